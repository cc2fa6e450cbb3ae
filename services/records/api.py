"""Records' HTTP routes: the timeline of a complaint."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request

from services.records import store
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Pool, connection
from shared.telemetry import tracing

SCOPE = "cases:read"
MAX_EVENTS = 1_000


def routes(pool: Pool, keys: Authenticator) -> Router:
    """The routes of records."""
    router = Router(tags=["records"])

    @router.get("/v1/complaints/{complaint_id}", summary="What happened to a complaint, and why")
    async def timeline(request: Request, complaint_id: UUID, start: int = 0, limit: int = MAX_EVENTS) -> dict[str, Any]:
        """The summary and every recorded event in ledger order. `next` is the `start` of the next page, or null."""
        await keys.check(request.headers, SCOPE)
        limit = max(1, min(limit, MAX_EVENTS))
        async with connection(pool) as conn:
            state, rows = await store.timeline(conn, complaint_id, start=start, limit=limit + 1)
        if state is None:
            raise Problem(
                404,
                "No such complaint",
                "Nothing is recorded under this id. If it was just sent, try again in a moment.",
            )
        shown = [_event(row["idx"], bytes(row["payload"]), row["recorded_at"]) for row in rows[:limit]]
        return {
            "complaint_id": str(complaint_id),
            **asdict(state),
            "timeline": shown,
            "next": rows[limit]["idx"] if len(rows) > limit else None,
        }

    return router


def _event(index: int, payload: bytes, recorded_at: datetime) -> dict[str, Any]:
    head, _, data = payload.partition(b"\n")
    envelope = orjson.loads(head)
    occurred_at = datetime.fromisoformat(envelope["time"])
    try:
        body: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None  # recorded as it came; it is no JSON
    return {
        "index": index,
        "id": envelope["id"],
        "type": envelope["type"],
        "service": envelope["service"],
        "sequence": envelope["sequence"],
        "occurred_at": occurred_at.isoformat(),
        "recorded_at": recorded_at.isoformat(),
        "latency_ms": round((recorded_at - occurred_at).total_seconds() * 1000, 3),
        "causation_id": envelope["causation_id"],
        "trace_id": tracing.trace_id_of(tracing.parse(envelope["traceparent"])),
        "data": body,
    }
