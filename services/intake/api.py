"""Intake's HTTP routes: complaints and CloudEvents in, an answer per item out."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from services.intake.accept import Answer, NotStored
from services.intake.adapters import cloudevents
from services.intake.adapters.canonical import CANONICAL_ITEM, MAX_ITEMS
from services.intake.handlers import SERVICE, Handlers
from services.intake.submissions import Delivery, Item, Rejection, Unreadable
from shared.clock import utc_now
from shared.contracts import ids
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.telemetry import metrics

SCOPE = "intake:write"
JSON_TYPES = ("application/json", "application/x-ndjson")
_STATUS: dict[Answer | None, int] = {"accepted": 202, "duplicate": 202, "conflict": 409, None: 422}
_DETAIL: dict[Answer, str] = {
    "conflict": "this event_id was accepted before with another content; send a change under a new event_id",
}


def routes(handlers: Handlers, keys: Authenticator) -> APIRouter:
    """The routes of intake."""
    router = APIRouter(tags=["intake"])
    schema = CANONICAL_ITEM.json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)

    @router.post(
        "/v1/complaints",
        status_code=202,
        summary="Send complaints, contacts, replies and statuses",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {}, "application/x-ndjson": {}}}},
    )
    async def post_complaints(request: Request) -> Response:
        """One canonical item, a list of up to 1,000, or NDJSON. Each item is answered; sending one again is harmless."""
        content_type = _content_type(request)
        if content_type not in JSON_TYPES:
            raise Problem(415, "Unsupported media type", f"Send {' or '.join(JSON_TYPES)}; this request says {content_type or 'nothing'}.")
        return await _accept(request, handlers, keys, "canonical", content_type)

    @router.post(
        "/v1/cloudevents",
        status_code=202,
        summary="Send canonical items as CloudEvents 1.0",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {cloudevents.STRUCTURED: {}, cloudevents.BATCH: {}, "application/json": {}},
            }
        },
    )
    async def post_cloudevents(request: Request) -> Response:
        """Binary mode (ce-* headers), structured, or a batch of up to 1,000."""
        return await _accept(request, handlers, keys, "cloudevents", _content_type(request))

    return router


async def _accept(request: Request, handlers: Handlers, keys: Authenticator, adapter: str, content_type: str) -> Response:
    key = await keys.check(request.headers, SCOPE)
    body = await request.body()
    delivery = Delivery(
        id=ids.time_ordered_id(),
        source=key.name,
        received_at=utc_now(),
        content_type=content_type,
        headers={name: value for name, value in request.headers.items() if name.startswith("ce-")},
        body=body,
    )
    try:
        answers = await handlers.accept(delivery, adapter, request.state.carrier)
    except Unreadable as problem:
        metrics.SUBMISSIONS.labels(SERVICE, key.name, "unreadable").inc()
        raise Problem(problem.status, problem.title, problem.detail) from None
    except NotStored:
        raise Problem(
            503, "Not stored", "The store does not answer; nothing was accepted. Send the same request again.", headers={"Retry-After": "5"}
        ) from None
    items = [_item(*answer) for answer in answers]
    for item in items:
        if item["status"] != 202:
            metrics.SUBMISSIONS.labels(SERVICE, key.name, item["outcome"]).inc()
    return _answer(items)


def _item(item: Item, complaint_id: Any, answer: Answer | None) -> dict[str, Any]:
    if isinstance(item, Rejection):
        return {"event_id": item.event_id, "status": 422, "outcome": "rejected", "field": item.field, "detail": f"{item.field} {item.reason}"}
    told: dict[str, Any] = {
        "event_id": item.identity.event_id, "complaint_id": str(complaint_id), "status": _STATUS[answer], "outcome": answer,
    }  # fmt: skip
    if answer in _DETAIL:
        told["detail"] = _DETAIL[answer]
    return told


def _answer(items: list[dict[str, Any]]) -> Response:
    """202 when something was accepted; otherwise the one problem, or 422 with all of them."""
    if not items:
        raise Problem(422, "No items", f"Send at least one item and at most {MAX_ITEMS}.")
    statuses = {item["status"] for item in items}
    if 202 in statuses:
        return Response(orjson.dumps({"items": items}), 202, media_type="application/json")
    if statuses == {409}:
        raise Problem(409, "Already accepted with another content", items[0]["detail"], items=items)
    rejected = next(item for item in items if item["status"] == 422)
    where = f"item {items.index(rejected)}: " if len(items) > 1 else ""
    raise Problem(422, "Not a canonical complaint", f"{where}{rejected['detail']}.", items=items)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
