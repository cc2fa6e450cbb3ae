"""Is this request from who it says? Each sender's own scheme, on the raw bytes, compared in constant time.

Two secrets may be live at a time, so that one can be replaced. Where the sender signs a time, requests more than five minutes
off are refused; where it does not, what protects against replay is that every event is stored once by its id.
Facts and their sources: docs/how-to/connect. A malformed signature is a wrong one.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

from services.intake.adapters.fields import moment
from shared.frozen import dataclass

WINDOW = timedelta(minutes=5)
MAX_PARAMETERS = 1_000
MAX_SIGNATURES = 20
# Zendesk signs its test requests with this documented secret: as a source's own it would let anybody in.
ZENDESK_TEST_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # noqa: S105 - published by Zendesk


class Unverified(Exception):
    """The request is not from the sender, or cannot be shown to be. The text may be told; it names no secret."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a scheme looks at. `headers` by lower-case name; `urls` are the addresses that the sender may have called."""

    method: str
    urls: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes
    now: datetime


Scheme = Callable[[Signed, bytes], Iterable[bool]]


def verify(scheme: str, request: Signed, secrets: Sequence[bytes]) -> None:
    """Raises Unverified unless one of `secrets` made the request's signature."""
    check = SCHEMES[scheme]
    # All are computed: how long it takes says nothing about which of them was right.
    results = [any([*check(request, secret)]) for secret in secrets]
    if not any(results):
        raise Unverified("the signature does not match" if scheme != SHARED else "the secret does not match")


def _header(request: Signed, *names: str) -> str:
    for name in names:
        if value := request.headers.get(name, "").strip():
            return value
    raise Unverified(f"the header {names[0]} is missing")


def _in_window(request: Signed, value: str) -> None:
    given = moment(value)
    if given is None:
        raise Unverified("the time that was signed cannot be read")
    if abs(given.time - request.now) > WINDOW:
        raise Unverified("the time that was signed is more than five minutes off: an old request, or a wrong clock")


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))


def _base64(secret: bytes, message: bytes, algorithm: str) -> str:
    return base64.b64encode(hmac.digest(secret, message, algorithm)).decode()


def _hex(secret: bytes, message: bytes, algorithm: str) -> str:
    return hmac.digest(secret, message, algorithm).hex()


def _zendesk(request: Signed, secret: bytes) -> Iterable[bool]:
    given = _header(request, "x-zendesk-webhook-signature")
    time = _header(request, "x-zendesk-webhook-signature-timestamp")
    _in_window(request, time)
    return [_same(_base64(secret, time.encode() + request.body, "sha256"), given)]


def _chatwoot(request: Signed, secret: bytes) -> Iterable[bool]:
    given = _header(request, "x-chatwoot-signature")
    time = _header(request, "x-chatwoot-timestamp")
    _in_window(request, time)
    return [_same(f"sha256={_hex(secret, time.encode() + b'.' + request.body, 'sha256')}", given.lower())]


def _hub_signature(request: Signed, secret: bytes) -> Iterable[bool]:
    """WebSub's: Zammad and Intercom."""
    given = _header(request, "x-hub-signature", "x-body-signature").lower()
    expected = _hex(secret, request.body, "sha1")
    return [_same(f"sha1={expected}", given if "=" in given else f"sha1={given}")]


def _front(request: Signed, secret: bytes) -> Iterable[bool]:
    given = _header(request, "x-front-signature")
    time = request.headers.get("x-front-request-timestamp", "").strip()
    if time:  # an application's webhook
        _in_window(request, time)
        return [_same(_base64(secret, time.encode() + b":" + request.body, "sha256"), given)]
    return [_same(_base64(secret, request.body, "sha1"), given)]  # a rule's


_HUBSPOT_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")", "%2A": "*",
    "%2C": ",", "%3B": ";",
}  # fmt: skip
_ENCODED = re.compile("|".join(_HUBSPOT_DECODED), re.IGNORECASE)


def _hubspot(request: Signed, secret: bytes) -> Iterable[bool]:
    # Only v3: v1 and v2 are plain hashes without a time, which every captured request would pass for ever.
    given = _header(request, "x-hubspot-signature-v3")
    time = _header(request, "x-hubspot-request-timestamp")
    _in_window(request, time)
    decoded = [_ENCODED.sub(lambda found: _HUBSPOT_DECODED[found.group().upper()], url) for url in request.urls]
    return [
        _same(_base64(secret, request.method.encode() + url.encode() + request.body + time.encode(), "sha256"), given)
        for url in dict.fromkeys([*request.urls, *decoded])
    ]


def _twilio(request: Signed, secret: bytes) -> Iterable[bool]:
    given = _header(request, "x-twilio-signature")
    urls = [variant for url in request.urls for variant in _with_and_without_port(url)]
    announced = parse_qs(urlsplit(request.urls[0]).query).get("bodySHA256") if request.urls else None
    if announced:
        if not _same(hashlib.sha256(request.body).hexdigest(), announced[0].lower()):
            raise Unverified("the body does not match its hash in the address")
        return [_same(_base64(secret, url.encode(), "sha1"), given) for url in urls]
    form = ""
    if request.body:
        try:
            pairs = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            raise Unverified("the form cannot be read") from None
        form = "".join(name + value for name, value in sorted(set(pairs)))
    return [_same(_base64(secret, (url + form).encode("utf-8", "surrogateescape"), "sha1"), given) for url in urls]


def _with_and_without_port(url: str) -> Iterable[str]:
    """Twilio signs some addresses with the default port and some without."""
    parts = urlsplit(url)
    default = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    yield url
    if parts.netloc.endswith(default):
        yield parts._replace(netloc=parts.netloc.removesuffix(default)).geturl()
    elif ":" not in parts.netloc.rpartition("@")[2]:
        yield parts._replace(netloc=parts.netloc + default).geturl()


def _standard_webhooks(request: Signed, secret: bytes) -> Iterable[bool]:
    # By hand: the library fails in other ways than its own on malformed signatures, and has a clock of its own.
    message_id = _header(request, "webhook-id", "svix-id")
    time = _header(request, "webhook-timestamp", "svix-timestamp")
    given = _header(request, "webhook-signature", "svix-signature")
    _in_window(request, time)
    encoded = secret.removeprefix(b"whsec_")
    try:
        key = base64.b64decode(encoded + b"=" * (-len(encoded) % 4))
    except binascii.Error:
        raise Unverified("the source's secret is not base64: rotate it") from None
    expected = f"v1,{_base64(key, f'{message_id}.{time}.'.encode('utf-8', 'surrogateescape') + request.body, 'sha256')}"
    return [_same(expected, each) for each in given.split(" ")[:MAX_SIGNATURES]]


def _shared_secret(request: Signed, secret: bytes) -> Iterable[bool]:
    """For senders that sign nothing: the secret itself, in a header or, where no header can be set, in the address."""
    expected = hashlib.sha256(secret).digest()
    results = [hmac.compare_digest(hashlib.sha256(each).digest(), expected) for each in _presented(request)]
    if not results:
        raise Unverified("a secret is needed: Authorization (Bearer or Basic), X-Api-Key, or ?key= in the address")
    return results


def _presented(request: Signed) -> Iterable[bytes]:
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield rest.strip().encode("utf-8", "surrogateescape")
    elif scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            yield base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    for name in ("x-api-key", "x-amends-secret", "x-amz-firehose-access-key"):
        if name in request.headers:
            yield request.headers[name].strip().encode("utf-8", "surrogateescape")
    query = parse_qs(urlsplit(request.urls[0]).query, max_num_fields=MAX_PARAMETERS) if request.urls else {}
    for name in ("key", "access_token"):
        for value in query.get(name, [])[:1]:
            yield value.encode("utf-8", "surrogateescape")


SHARED = "shared-secret"
SCHEMES: dict[str, Scheme] = {
    "zendesk": _zendesk,
    "chatwoot": _chatwoot,
    "zammad": _hub_signature,
    "intercom": _hub_signature,
    "front": _front,
    "hubspot": _hubspot,
    "twilio": _twilio,
    "standard-webhooks": _standard_webhooks,
    SHARED: _shared_secret,
}


def scheme_of(adapter: str, auth: str | None) -> str:
    """How a source's requests are verified: as its system signs, or by a shared secret where it does not (or `auth` says so)."""
    return auth if auth in SCHEMES else adapter if adapter in SCHEMES else SHARED


def unusable(scheme: str, secret: str) -> str | None:
    """Why a secret cannot be a source's, or None."""
    if len(secret) < 16:
        return "it has fewer than 16 characters"
    if scheme == "zendesk" and secret == ZENDESK_TEST_SECRET:
        return "it is the documented secret that signs Zendesk's test requests: anybody can use it"
    if scheme == "standard-webhooks":
        try:
            encoded = secret.removeprefix("whsec_")
            base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            return "a Standard Webhooks secret is whsec_ and base64"
    return None
