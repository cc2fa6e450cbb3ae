"""`/v1/hooks/NAME`: what other systems send by themselves. Verified on the raw bytes, stored, then answered as each expects.

Senders stop calling after errors, so whatever is authentic is 2xx: duplicates, and bodies that cannot be read, too. Those
become dead letters, to be seen and read again after a fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from services.intake import signatures
from services.intake.accepting import SERVICE, Accepting
from services.intake.group_commit import NotStored
from services.intake.signatures import Signed, Unverified
from services.intake.sources import SourceRecord, Sources, SourcesUnavailable
from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.contracts import ids
from shared.http.app import Api
from shared.http.edge import Answer, RawRequest
from shared.http.problems import Problem, unavailable
from shared.telemetry import metrics

PATH = "/v1/hooks/{name}"
MAX_HOOK = 1_048_576
MAX_MAIL = 26_214_400
# Adapters that take files and mail instead of events.
LARGE = ("email", "csv", "cfpb")
RETRY_AFTER_S = 5
# What adapters read; nothing that lets anybody in is kept.
KEPT_HEADERS = (
    "ce-", "webhook-id", "webhook-timestamp", "svix-id", "x-chatwoot-delivery", "x-chatwoot-timestamp", "x-zammad-",
    "i-twilio-idempotency-token", "x-zendesk-webhook-id", "x-zendesk-webhook-invocation-id", "x-front-request-timestamp",
)  # fmt: skip
ACK = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    b'<soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
STORED = b'{"status":"stored"}'


def add_routes(app: Api, accepting: Accepting, sources: Sources) -> None:
    """Add the webhook of every source."""

    async def post(request: RawRequest) -> Answer:
        source = await _source(request, sources)
        return await _receive(request, source, accepting)

    async def get(request: RawRequest) -> Answer:
        source = await _source(request, sources)
        if source.adapter != "twilio" or not request.scope["query_string"]:
            raise Problem(405, "Method not allowed", "This webhook answers POST.", headers={"Allow": "POST"})
        return await _receive(request, source, accepting)

    async def head(request: RawRequest) -> Answer:  # Intercom looks whether somebody is there
        await _source(request, sources)
        return Answer(b"", 200)

    async def options(request: RawRequest) -> Answer:  # the handshake of CloudEvents' webhooks
        await _source(request, sources)
        headers = [(b"allow", b"POST")]
        origin = request.header(b"webhook-request-origin")
        if origin is not None and origin.isascii() and origin.decode().isprintable():
            headers += [(b"webhook-allowed-origin", origin), (b"webhook-allowed-rate", b"*")]
        return Answer(b"", 200, headers=tuple(headers))

    def limit(path: str) -> int:
        return MAX_MAIL if sources.adapter(path.rpartition("/")[2]) in LARGE else MAX_HOOK

    operation = {
        "tags": ["intake"],
        "description": "For systems that call by themselves. The source's adapter says how its requests are verified and read; "
        "`amends sources add` makes one. Whatever is authentic is stored and 2xx, also duplicates and bodies that cannot be read.",
        "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"content": {"*/*": {}}},
        "responses": {
            "200": {"description": "Stored; the answer is what the sender expects (SOAP, TwiML, a challenge)."},
            "202": {"description": "Stored."},
            "401": {"description": "Not signed with a secret of this source, or too old."},
            "404": {"description": "There is no such source."},
            "503": {"description": "Not stored; send it again."},
        },
    }
    app.add_raw_route(
        PATH, post, summary="A source's webhook", operation=operation, max_body=limit, authenticated=False
    )
    for method, handler in (("GET", get), ("HEAD", head), ("OPTIONS", options)):
        app.add_raw_route(
            PATH, handler, summary="", operation={}, method=method, max_body=0, authenticated=False, documented=False
        )


async def _source(request: RawRequest, sources: Sources) -> SourceRecord:
    try:
        source = await sources.get(request.scope["path"].rpartition("/")[2])
    except SourcesUnavailable:
        raise unavailable("Sources cannot be looked up at the moment. Send it again.", RETRY_AFTER_S) from None
    if source is None:
        raise Problem(404, "No such source", "There is no source of this name. `amends sources list` shows them.")
    return source


async def _receive(request: RawRequest, source: SourceRecord, accepting: Accepting) -> Answer:
    now = utc_now()
    headers = _headers(request)
    query: str = request.scope["query_string"].decode("latin-1")
    body = request.body if request.scope["method"] == "POST" else query.encode("latin-1")
    signed = Signed(
        method=request.scope["method"],
        urls=tuple(_addresses(request, headers, source.options)),
        headers=headers,
        body=request.body,
        now=now,
    )
    try:
        signatures.verify(source.auth, signed, source.secrets)
    except Unverified as reason:
        metrics.SUBMISSIONS.labels(SERVICE, source.name, "unverified").inc()
        raise Problem(401, "Not verified", f"{str(reason)[:1].upper()}{str(reason)[1:]}.") from None
    if source.adapter == "front" and "x-front-challenge" in headers:
        return Answer(request.header(b"x-front-challenge") or b"", 200, b"text/plain")
    delivery = Delivery(
        id=ids.time_ordered_id(),
        source=source.name,
        received_at=now,
        content_type=_storable(headers.get("content-type", "")).partition(";")[0].strip().lower()[:255],
        headers={name: _storable(value) for name, value in headers.items() if name.startswith(KEPT_HEADERS)},
        body=body,
        options=source.options,
    )
    try:
        answered = await accepting.keep(delivery, source.adapter, request.carrier)
    except NotStored:
        raise unavailable("The store does not answer; nothing was accepted. Send it again.", RETRY_AFTER_S) from None
    for each in answered:
        if each.answer != "accepted":
            metrics.SUBMISSIONS.labels(SERVICE, source.name, "duplicate").inc()
    return _acknowledge(source.adapter, headers, body)


def _headers(request: RawRequest) -> dict[str, str]:
    """By lower-case name; of several the first."""
    found: dict[str, str] = {}
    for name, value in request.headers:
        found.setdefault(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
    return found


def _storable(value: str) -> str:
    return value.encode("utf-8", "replace").decode() if not value.isascii() else value


def _addresses(request: RawRequest, headers: Mapping[str, str], options: Mapping[str, Any]) -> Iterator[str]:
    """The addresses that the sender may have called: as the source was told, or as this request and its proxies say."""
    path = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    query = request.scope["query_string"]
    rest = (path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
    public = options.get("url")
    if isinstance(public, str) and public:
        parts = urlsplit(public)
        yield f"{parts.scheme}://{parts.netloc}{rest}"
        if parts.path not in ("", "/"):  # a proxy that answers under another path
            yield public + (f"?{query.decode('latin-1')}" if query else "")
        return
    hosts = dict.fromkeys(
        filter(None, (headers.get("x-forwarded-host", "").partition(",")[0].strip(), headers.get("host")))
    )
    for host in hosts or {"localhost": None}:
        for scheme in ("https", "http"):
            yield f"{scheme}://{host}{rest}"


def _acknowledge(adapter: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """What the sender takes for yes."""
    if adapter == "salesforce" and body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return Answer(ACK, 200, b"text/xml; charset=utf-8")
    if adapter == "twilio" and body.lstrip()[:1] not in (b"{", b"["):
        return Answer(TWIML, 200, b"text/xml; charset=utf-8")
    request_id = headers.get("x-amz-firehose-request-id")
    if request_id is not None:
        # Firehose takes anything else for a failure.
        told = {
            "requestId": request_id.encode("ascii", "replace").decode(),
            "timestamp": int(utc_now().timestamp() * 1000),
        }
        return Answer(orjson.dumps(told), 200)
    return Answer(STORED, 202)
