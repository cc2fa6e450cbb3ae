"""Records' HTTP routes: the timeline of a complaint, holds, erasure, access. Whoever reads a case is written into it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query, Request, Response

from services.records import store
from services.records.domain import (
    Erase,
    GiveAccess,
    LiftHold,
    NoteReading,
    RecordState,
    RequestErasure,
    SetHold,
    is_new,
)
from services.records.payloads import CaseKeys, opened
from services.records.store import Found
from shared.contracts.decision import Decision
from shared.contracts.privacy import CONFIRMED
from shared.errors import classify
from shared.http.commands import run_command
from shared.http.keys import Authenticator
from shared.http.problems import Problem, unavailable
from shared.http.router import Router
from shared.postgres.inputs import Input, Inputs
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves
from shared.telemetry import tracing

Start = Annotated[int, Query(ge=0, le=2**63 - 1)]
READ, ERASE = "cases:read", "cases:erase"
MAX_EVENTS = 1_000
WITHIN_S = 8.0
How = Literal["timeline", "export"]


def routes(pool: Pool, keys: Authenticator, saves: Saves[RecordState], case_keys: CaseKeys) -> Router:
    """The routes of records."""
    router = Router(tags=["records"])

    @router.get("/v1/complaints/{complaint_id}", summary="What happened to a complaint, and why")
    async def timeline(
        request: Request, complaint_id: UUID, start: Start = 0, limit: int = MAX_EVENTS, how: How = "timeline"
    ) -> dict[str, Any]:
        """The summary and every recorded event in ledger order. `next` is the `start` of the next page, or null.

        The reading itself is recorded, with `how`: to look at it, or to export it.
        Of an erased complaint the events are still listed, without their data.
        """
        caller = await keys.check(request.headers, READ)
        limit = max(1, min(limit, MAX_EVENTS))
        async with connection(pool) as conn:
            found = await _known(conn, complaint_id)
        await note_reading(saves, found, complaint_id, NoteReading(how=how, by=caller.name))
        async with connection(pool) as conn:
            found = await _known(conn, complaint_id)
            rows = await store.timeline(conn, complaint_id, start=start, limit=limit + 1)
            ciphers = await case_keys.for_reading(conn, [complaint_id])
        state = asdict(found.state or RecordState())
        readers = state.pop("readers")
        if found.state is None:  # the summary was erased with the rest
            state["status"] = "erased"
        return {
            "complaint_id": str(complaint_id),
            **state,
            "erased_at": found.erased_at,
            "readers": [{"by": by, "last_at": at} for by, at in readers.items()],
            "timeline": [_event(row, ciphers.get(complaint_id)) for row in rows[:limit]],
            "next": rows[limit]["idx"] if len(rows) > limit else None,
        }

    @router.post("/v1/complaints/{complaint_id}/erase", summary="Erase a complaint")
    async def erase(request: Request, complaint_id: UUID, command: Erase) -> Response:
        """Destroys its key; every service deletes what it has. The ledger still verifies. Refused while on hold."""
        return await run_command(request, keys, ERASE, saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/erasure", summary="The customer asks for erasure")
    async def request_erasure(request: Request, complaint_id: UUID, command: RequestErasure) -> Response:
        """Noted, for the rules of retention: it is erased when its time is over by them (`amends records retention --apply`)."""
        return await run_command(request, keys, ERASE, saves, complaint_id, command, _answer)

    @router.get("/v1/complaints/{complaint_id}/erasure", summary="Who has confirmed an erasure")
    async def erasure(request: Request, complaint_id: UUID) -> dict[str, Any]:
        """Done when `waiting` is empty."""
        await keys.check(request.headers, ERASE)
        async with connection(pool) as conn:
            found = await _known(conn, complaint_id)
            rows = await conn.fetch(store.CONFIRMATIONS, complaint_id, [event.TYPE for event in CONFIRMED.values()])
        confirmed = {row["service"]: row["recorded_at"] for row in rows}
        return {
            "complaint_id": str(complaint_id),
            "erased_at": found.erased_at,
            "confirmed": confirmed,
            "waiting": sorted(CONFIRMED.keys() - confirmed.keys()) if found.erased_at else [],
        }

    @router.post("/v1/complaints/{complaint_id}/hold", summary="Keep a complaint from being erased")
    async def hold(request: Request, complaint_id: UUID, command: SetHold) -> Response:
        """For a court, a regulator, an open investigation."""
        return await run_command(request, keys, ERASE, saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/hold/lift", summary="End a hold")
    async def lift(request: Request, complaint_id: UUID, command: LiftHold) -> Response:
        """Retention and requests for erasure count again."""
        return await run_command(request, keys, ERASE, saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/access", summary="Give the person what is held")
    async def access(request: Request, complaint_id: UUID, command: GiveAccess) -> Response:
        """Records that access was given. The data themselves: the timeline, or `amends records access`."""
        return await run_command(request, keys, ERASE, saves, complaint_id, command, _answer)

    return router


async def note_reading(saves: Saves[RecordState], found: Found, complaint_id: UUID, reading: NoteReading) -> None:
    """Write into the case who reads it, before it is shown. Raises Problem when that cannot be saved."""
    state = found.state
    if state is None:
        return

    async def take(_: Connection) -> Inputs:
        return [Input("command", complaint_id, reading, "reading", tracing.current(), "reading", str(complaint_id))]

    if not is_new(state, reading, datetime.now(UTC)):
        return
    try:
        await saves.act(take, within_s=WITHIN_S)
    except Exception as error:
        if classify(error) == "defect":
            raise
        raise unavailable("Who reads a case is recorded, and the store does not answer.", 5) from None


async def _known(conn: Connection, complaint_id: UUID) -> Found:
    found = await store.find(conn, complaint_id)
    if found is None:
        raise Problem(
            404, "No such complaint", "Nothing is recorded under this id. If it was just sent, try again in a moment."
        )
    return found


def _answer(decision: Decision[RecordState]) -> dict[str, Any]:
    return {"done": [event.TYPE for event in decision.events]}


def _event(row: Any, cipher: Any) -> dict[str, Any]:
    plain = opened(cipher, UUID(bytes=row["event_id"].bytes), bytes(row["salt"]), bytes(row["payload"]))
    envelope: dict[str, Any] = {}
    body: Any = None
    if plain is not None:
        head, _, data = plain.payload.partition(b"\n")
        envelope = orjson.loads(head)
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            body = None  # recorded as it came; it is no JSON
    occurred_at, recorded_at = row["occurred_at"], row["recorded_at"]
    return {
        "index": row["idx"],
        "id": str(row["event_id"]),
        "type": row["event_type"],
        "service": row["service"],
        "sequence": row["sequence"],
        "occurred_at": occurred_at.isoformat(),
        "recorded_at": recorded_at.isoformat(),
        "latency_ms": round((recorded_at - occurred_at).total_seconds() * 1000, 3),
        "causation_id": envelope.get("causation_id", ""),
        "trace_id": tracing.trace_id_of(tracing.parse(envelope.get("traceparent", ""))),
        "erased": plain is None,
        "data": body,
    }
