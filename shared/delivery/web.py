"""Webhooks (CloudEvents, signed by Standard Webhooks) and chat messages, over guarded HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import orjson
from standardwebhooks import Webhook

from shared.delivery import guard
from shared.delivery.guard import Network
from shared.delivery.routes import Permanent, Temporary
from shared.delivery.settings import Endpoint
from shared.postgres.messages import Letter

TIMEOUT = httpx2.Timeout(15.0, connect=5.0)
LONGEST_WAIT_S = 3600.0
MOST_READ = 8 * 1024 * 1024


class Caller:
    """Makes guarded HTTP requests: to judged addresses, without redirects or proxies."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks
        self._client: httpx2.AsyncClient | None = None

    async def request(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """Returns when the other side has said 2xx; what else it says is not read. Raises Temporary or Permanent."""
        await self._exchange(method, url, content, headers, most=0, final={}, held={})

    async def ask(
        self, method: str, url: str, content: bytes, headers: Mapping[str, str], *, final: Mapping[int, str],
        held: Mapping[int, str],
    ) -> bytes:  # fmt: skip
        """The body of a 2xx answer, `MOST_READ` at most. `final`: further statuses that are Permanent, and their reasons;
        `held`: those that hold the letter until somebody has mended the cause."""
        return await self._exchange(method, url, content, headers, most=MOST_READ, final=final, held=held)

    async def _exchange(
        self, method: str, url: str, content: bytes, headers: Mapping[str, str], *, most: int, final: Mapping[int, str],
        held: Mapping[int, str],
    ) -> bytes:  # fmt: skip
        client = self._client = self._client or httpx2.AsyncClient(timeout=TIMEOUT, trust_env=False)
        try:
            address, host, extensions = await guard.pinned(url, self._networks)
            request = client.build_request(
                method, address, content=content, headers={**headers, **host}, extensions=extensions
            )
            response = await client.send(request, stream=True)
            try:
                body = await _read(response, most) if response.is_success else b""
            finally:
                await response.aclose()
        except guard.Refused as refused:
            raise Permanent(str(refused)) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise Temporary(f"no answer ({type(error).__name__})") from None
        _judge(response, final, held)
        return body


async def _read(response: httpx2.Response, most: int) -> bytes:
    body = b""
    if most:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > most:
                raise Permanent("the endpoint's answer is too long")
    return body


def _judge(response: httpx2.Response, final: Mapping[int, str], held: Mapping[int, str]) -> None:
    status = response.status_code
    if response.is_success:
        return
    if status in final:
        raise Permanent(f"{final[status]} ({status})")
    if status in held:
        raise Temporary(f"{held[status]} ({status})", held=True)
    if status == 410:
        raise Permanent("the endpoint says that it is gone for good (410)")
    if status in (400, 413, 422):
        raise Permanent(f"the endpoint does not take this message ({status})")
    raise Temporary(f"the endpoint answers {status}", after_s=_retry_after(response.headers.get("retry-after")))


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or a date; nonsense is none."""
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else (
            parsedate_to_datetime(value) - datetime.now(UTC)
        ).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


class Webhooks:
    """The body's `type` and `data` as a CloudEvent (structured JSON), signed with each live secret of the endpoint."""

    def __init__(self, endpoints: Mapping[str, Endpoint], caller: Caller, source: str) -> None:
        self._endpoints = endpoints
        self._caller = caller
        self._source = source

    async def send(self, letter: Letter) -> None:
        endpoint = self._endpoints.get(letter.to)
        if endpoint is None:
            raise Permanent(f"there is no webhook named '{letter.to}' in AMENDS_DELIVERY_ENDPOINTS_FILE")
        now = datetime.now(UTC)
        event: dict[str, Any] = {
            "specversion": "1.0", "id": str(letter.id), "source": self._source, "type": letter.body["type"],
            "subject": str(letter.complaint_id), "datacontenttype": "application/json", "data": letter.body["data"],
        }  # fmt: skip
        content = orjson.dumps(event)
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": str(letter.id),
            "webhook-timestamp": str(int(now.timestamp())),
            **{name: value.get_secret_value() for name, value in endpoint.headers.items()},
        }
        if endpoint.secrets:
            headers["webhook-signature"] = " ".join(
                Webhook(secret.get_secret_value()).sign(str(letter.id), now, content.decode())
                for secret in endpoint.secrets
            )
        await self._caller.request("POST", endpoint.url.get_secret_value(), content, headers)


class Chats:
    """A text into a chat's incoming webhook: Slack and Mattermost, Teams, or plain JSON."""

    def __init__(self, endpoints: Mapping[str, Endpoint], caller: Caller) -> None:
        self._endpoints = endpoints
        self._caller = caller

    async def send(self, letter: Letter) -> None:
        endpoint = self._endpoints.get(letter.to)
        if endpoint is None:
            raise Permanent(f"there is no chat named '{letter.to}' in AMENDS_DELIVERY_ENDPOINTS_FILE")
        text = letter.body["text"]
        content = orjson.dumps(_FORMS[endpoint.form](text))
        headers = {"content-type": "application/json", "idempotency-key": str(letter.id)}
        await self._caller.request("POST", endpoint.url.get_secret_value(), content, headers)


def _slack(text: str) -> dict[str, Any]:
    """A customer's words must not ring everybody (`<!channel>`) nor hide a link."""
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _teams(text: str) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": [{"type": "TextBlock", "text": text, "wrap": True}],
    }  # fmt: skip
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def _plain(text: str) -> dict[str, Any]:
    return {"text": text}


_FORMS: dict[str, Callable[[str], dict[str, Any]]] = {"slack": _slack, "teams": _teams, "plain": _plain}
