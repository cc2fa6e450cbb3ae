"""`POST /v1/deliveries/NAME`: mail, files and payloads of a source, sent with an API key; each item is answered.

What the importing commands call. Everything in it is kept, as from a webhook: what cannot be used is rejected with its
reason, what cannot be read is a dead letter.
"""

from __future__ import annotations

import orjson

from services.intake import trying
from services.intake.accepting import SERVICE, Accepting, Answered
from services.intake.group_commit import NotStored
from services.intake.hooks import MAX_MAIL
from services.intake.sources import Sources, SourcesUnavailable
from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.contracts import ids
from shared.http.app import Api
from shared.http.edge import Answer, RawRequest
from shared.http.keys import Authenticator
from shared.http.problems import Problem, unavailable
from shared.telemetry import metrics

PATH = "/v1/deliveries/{name}"
SCOPE = "intake:write"
RETRY_AFTER_S = 5

_ITEM = {
    "type": "object",
    "required": ["event_id", "outcome", "kind"],
    "properties": {
        "event_id": {"type": "string"},
        "complaint_id": {
            "type": "string",
            "format": "uuid",
            "description": "Missing for an answer to an earlier message: it finds its complaint a moment later.",
        },
        "outcome": {"type": "string", "enum": ["accepted", "duplicate", "conflict"]},
        "kind": {"type": "string", "enum": ["contact", "reply", "status", "set_aside", "rejected", "dead_letter"]},
        "reason": {"type": "string"},
    },
}
OPERATION = {
    "tags": ["intake"],
    "description": "One delivery of a source, read by its adapter: a mail (message/rfc822), a CSV file, JSON. Everything is stored; "
    "each item says what it was read as, and whether it was there before. With the query `preview` nothing is stored, and the answer "
    "(200) holds the events that would be made.",
    "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
    "requestBody": {"required": True, "content": {"*/*": {}}},
    "responses": {
        "200": {"description": "A preview: nothing was stored."},
        "202": {
            "description": "Stored.",
            "content": {
                "application/json": {"schema": {"type": "object", "properties": {"items": {"type": "array", "items": _ITEM}}}}
            },
        },
        "404": {"description": "There is no such source."},
        "503": {"description": "Not stored; send it again."},
    },
}


def add_routes(app: Api, accepting: Accepting, sources: Sources, keys: Authenticator) -> None:
    """Add the route for deliveries with an API key."""

    async def post(request: RawRequest) -> Answer:
        await keys.check(request.headers, SCOPE)
        try:
            source = await sources.get(request.scope["path"].rpartition("/")[2])
        except SourcesUnavailable:
            raise unavailable("Sources cannot be looked up at the moment. Send it again.", RETRY_AFTER_S) from None
        if source is None:
            raise Problem(404, "No such source", "There is no source of this name. Make it: amends sources add NAME --adapter A.")
        given = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        delivery = Delivery(
            id=ids.time_ordered_id(),
            source=source.name,
            received_at=utc_now(),
            content_type=given.decode("latin-1")[:255],
            headers={},
            body=request.body,
            options=source.options,
        )
        if request.scope["query_string"] == b"preview":
            return Answer(orjson.dumps({"items": trying.judge(source.adapter, delivery)}), 200)
        try:
            answered = await accepting.keep(delivery, source.adapter, request.carrier)
        except NotStored:
            raise unavailable("The store does not answer; nothing was accepted. Send it again.", RETRY_AFTER_S) from None
        for each in answered:
            if each.answer != "accepted":
                metrics.SUBMISSIONS.labels(SERVICE, source.name, each.answer).inc()
        return Answer(orjson.dumps({"items": [_told(each) for each in answered]}), 202)

    app.add_raw_route(PATH, post, summary="Send a delivery of a source", operation=OPERATION, max_body=MAX_MAIL)


def _told(item: Answered) -> dict[str, str]:
    told = {"event_id": item.event_id, "outcome": item.answer, "kind": item.kind}
    if item.complaint_id is not None:
        told["complaint_id"] = str(item.complaint_id)
    return told if item.reason is None else {**told, "reason": item.reason}
