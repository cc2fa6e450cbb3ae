"""How each system signs what it sends, written from its documentation and apart from the code that checks it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from standardwebhooks.webhooks import Webhook

FORM = "application/x-www-form-urlencoded"


def b64(secret: str, message: bytes, algorithm: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), message, algorithm).digest()).decode()


def hexed(secret: str, message: bytes, algorithm: str) -> str:
    return hmac.new(secret.encode(), message, algorithm).hexdigest()


def headers(adapter: str, secret: str, body: bytes, url: str, now: datetime | None = None) -> dict[str, str]:
    """The headers of a request of `adapter` with `body` to `url`."""
    now = now or datetime.now(UTC)
    seconds, millis = str(int(now.timestamp())), str(int(now.timestamp() * 1000))
    if adapter == "zendesk":
        time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "x-zendesk-webhook-signature": b64(secret, time.encode() + body, "sha256"),
            "x-zendesk-webhook-signature-timestamp": time,
        }
    if adapter == "chatwoot":
        signed = f"sha256={hexed(secret, f'{seconds}.'.encode() + body, 'sha256')}"
        return {"x-chatwoot-signature": signed, "x-chatwoot-timestamp": seconds}
    if adapter in ("zammad", "intercom"):
        return {"x-hub-signature": f"sha1={hexed(secret, body, 'sha1')}"}
    if adapter == "front":
        return {
            "x-front-signature": b64(secret, f"{millis}:".encode() + body, "sha256"),
            "x-front-request-timestamp": millis,
        }
    if adapter == "hubspot":
        return {
            "x-hubspot-signature-v3": b64(secret, f"POST{url}".encode() + body + millis.encode(), "sha256"),
            "x-hubspot-request-timestamp": millis,
        }
    if adapter == "twilio":
        if body[:1] in (b"{", b"["):
            return {"x-twilio-signature": b64(secret, url.encode(), "sha1")}
        pairs = sorted(parse_qsl(body.decode(), keep_blank_values=True))
        return {
            "x-twilio-signature": b64(secret, (url + "".join(k + v for k, v in pairs)).encode(), "sha1"),
            "content-type": FORM,
        }
    if adapter == "standard-webhooks":
        identity = f"msg_{hashlib.sha256(body).hexdigest()[:20]}"
        signature = Webhook(secret).sign(identity, now.replace(tzinfo=None), body.decode())
        return {"webhook-id": identity, "webhook-timestamp": seconds, "webhook-signature": signature}
    return {"authorization": f"Bearer {secret}"}
