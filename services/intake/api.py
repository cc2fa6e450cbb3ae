"""Intake's HTTP routes: complaints and CloudEvents in, an answer per item out."""

from __future__ import annotations

from typing import Any

import orjson

from services.intake.accepting import SERVICE, Accepting, Answered
from services.intake.adapters import cloudevents
from services.intake.adapters.canonical import MAX_ITEMS, item_schemas
from services.intake.group_commit import Answer as Stored
from services.intake.group_commit import NotStored
from services.intake.submissions import Delivery, Rejection, Unreadable
from shared.clock import utc_now
from shared.contracts import ids
from shared.http.app import Api
from shared.http.edge import Answer, RawRequest
from shared.http.keys import Authenticator
from shared.http.problems import Problem, unavailable
from shared.telemetry import metrics

SCOPE = "intake:write"
MAX_BODY = 8_388_608
JSON_TYPES = ("application/json", "application/x-ndjson")
CLOUDEVENT_TYPES = (cloudevents.STRUCTURED, cloudevents.BATCH, "application/json")
_STATUS: dict[Stored, int] = {"accepted": 202, "duplicate": 202, "conflict": 409}
_CONFLICT = "this event_id was accepted before with another content; send a change under a new event_id"


def add_routes(app: Api, accepting: Accepting, keys: Authenticator) -> None:
    """Add the routes of intake. They are raw: one body in, one answer out, thousands a second."""

    async def post_complaints(request: RawRequest) -> Answer:
        return await _accept(request, accepting, keys, "canonical")

    async def post_cloudevents(request: RawRequest) -> Answer:
        return await _accept(request, accepting, keys, "cloudevents")

    one, items = item_schemas()
    app.add_raw_route(
        "/v1/complaints",
        post_complaints,
        summary="Send complaints, contacts, replies and statuses",
        operation={
            "tags": ["intake"],
            "description": "One canonical item, a list of up to 1,000, or NDJSON. Each item is answered; sending one again is harmless.",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"oneOf": [one, items]}},
                    "application/x-ndjson": {"schema": one},
                },
            },
            "responses": RESPONSES,
        },
        media_types=JSON_TYPES,
        max_body=MAX_BODY,
    )
    app.add_raw_route(
        "/v1/cloudevents",
        post_cloudevents,
        summary="Send canonical items as CloudEvents 1.0",
        operation={
            "tags": ["intake"],
            "description": "Binary mode (ce-* headers), structured, or a batch of up to 1,000. The data is a canonical item.",
            "requestBody": {"required": True, "content": {kind: {} for kind in CLOUDEVENT_TYPES}},
            "responses": RESPONSES,
        },
        media_types=CLOUDEVENT_TYPES,
        max_body=MAX_BODY,
    )


_ANSWERED_ITEM = {
    "type": "object",
    "required": ["event_id", "status", "outcome"],
    "properties": {
        "event_id": {"type": ["string", "null"]},
        "complaint_id": {"type": "string", "format": "uuid"},
        "status": {"type": "integer", "enum": [202, 409, 422]},
        "outcome": {"type": "string", "enum": ["accepted", "duplicate", "conflict", "rejected"]},
        "field": {"type": "string"},
        "detail": {"type": "string"},
    },
}
RESPONSES: dict[str, Any] = {
    "202": {
        "description": "Stored. Each item has its own status: an item that was refused among others that were not says so here.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"items": {"type": "array", "items": _ANSWERED_ITEM}}}
            }
        },
    },
    "409": {"description": "Accepted before with another content."},
    "422": {"description": "No item is a canonical complaint."},
    "503": {"description": "Not stored; send the same request again."},
}


async def _accept(request: RawRequest, accepting: Accepting, keys: Authenticator, adapter: str) -> Answer:
    key = await keys.check(request.headers, SCOPE)
    content_type = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower().decode("latin-1")
    delivery = Delivery(
        id=ids.time_ordered_id(),
        source=key.name,
        received_at=utc_now(),
        content_type=content_type,
        headers={
            name.decode("latin-1"): value.decode("utf-8", "replace")
            for name, value in request.headers
            if name.startswith(b"ce-")
        },
        body=request.body,
    )
    try:
        answers = await accepting.accept(delivery, adapter, request.carrier)
    except Unreadable as problem:
        metrics.SUBMISSIONS.labels(SERVICE, key.name, "unreadable").inc()
        raise Problem(problem.status, problem.title, problem.detail) from None
    except NotStored:
        raise unavailable("The store does not answer; nothing was accepted. Send the same request again.", 5) from None
    items = [_item(answer) for answer in answers]
    for item in items:
        if item["outcome"] != "accepted":
            metrics.SUBMISSIONS.labels(SERVICE, key.name, item["outcome"]).inc()
    return _answer(items)


def _item(item: Answered | Rejection) -> dict[str, Any]:
    if isinstance(item, Rejection):
        return {
            "event_id": item.event_id,
            "status": 422,
            "outcome": "rejected",
            "field": item.field,
            "detail": f"{item.field} {item.reason}",
        }
    told: dict[str, Any] = {
        "event_id": item.event_id,
        "complaint_id": str(item.complaint_id),
        "status": _STATUS[item.answer],
        "outcome": item.answer,
    }
    if item.answer == "conflict":
        told["detail"] = _CONFLICT
    return told


def _answer(items: list[dict[str, Any]]) -> Answer:
    """202 when something was accepted; otherwise the one problem, or 422 with all of them."""
    if not items:
        raise Problem(422, "No items", f"Send at least one item and at most {MAX_ITEMS}.")
    statuses = {item["status"] for item in items}
    if 202 in statuses:
        return Answer(orjson.dumps({"items": items}), 202)
    if statuses == {409}:
        raise Problem(409, "Already accepted with another content", f"{items[0]['detail'].capitalize()}.", items=items)
    number, rejected = next((n, item) for n, item in enumerate(items) if item["status"] == 422)
    where = f"Item {number}: " if len(items) > 1 else ""
    raise Problem(422, "Not a canonical complaint", f"{where}{rejected['detail']}.", items=items)
