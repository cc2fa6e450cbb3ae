"""Two complaints that are one: merged by a person's command, and taken apart again by another. Both are events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request, Response

from services.intake import domain
from services.intake.domain import Merge, Unmerge
from shared.contracts.complaints import ComplaintMerged, MergeUndone
from shared.contracts.decision import Decision
from shared.contracts.envelope import EventData
from shared.http.commands import run_command
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves

SCOPE = "cases:write"
MAX_CHAIN = 8
TARGETS = "select complaint_id, into_id from merged where complaint_id = any($1::uuid[])"
MERGED = "insert into merged (complaint_id, into_id) values ($1, $2) on conflict (complaint_id) do update set into_id = excluded.into_id"
UNDONE = "delete from merged where complaint_id = $1"
STATE = "select state from complaint_state where complaint_id = $1"


def routes(saves: Saves[Any], pool: Pool, keys: Authenticator) -> Router:
    """The commands of intake."""
    router = Router(tags=["intake"])

    @router.post("/v1/complaints/{complaint_id}/merge", summary="Say that a complaint and another are one")
    async def merge(request: Request, complaint_id: UUID, command: Merge) -> Response:
        """What comes for it from now on belongs to `into`. Idempotent by the header Idempotency-Key; can be undone."""
        await keys.check(request.headers, SCOPE)
        await _stays(pool, command.into)
        return await run_command(request, keys, SCOPE, saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/unmerge", summary="Undo a merge")
    async def unmerge(request: Request, complaint_id: UUID, command: Unmerge) -> Response:
        """The complaint stands for itself again; what came meanwhile stays where it went. Idempotent by Idempotency-Key."""
        return await run_command(request, keys, SCOPE, saves, complaint_id, command, _answer)

    return router


async def _stays(pool: Pool, into: UUID) -> None:
    async with connection(pool) as conn:
        text = await conn.fetchval(STATE, into)
    state = None if text is None else orjson.loads(text)
    if state is None or not state.get("received"):
        raise Problem(404, "No such complaint", "Intake knows no complaint with the id of `into`.")
    if state.get("merged_into"):
        raise Problem(409, "Merged itself", "`into` was merged into another complaint: name that one.", into=state["merged_into"])


def _answer(decision: Decision[domain.IntakeState]) -> dict[str, Any]:
    into = decision.state.merged_into
    return {"merged_into": None if into is None else str(into)}


async def targets(conn: Connection, subjects: Iterable[UUID]) -> dict[UUID, UUID]:
    """Complaint -> the one that it belongs to by now, of those that were merged."""
    found = {subject: subject for subject in subjects}
    for _ in range(MAX_CHAIN):
        rows = await conn.fetch(TARGETS, list(set(found.values()))) if found else []
        if not rows:
            break
        step: dict[UUID, UUID] = {row["complaint_id"]: row["into_id"] for row in rows}
        found = {subject: step.get(into, into) for subject, into in found.items()}
    return {subject: into for subject, into in found.items() if subject != into}


async def note(conn: Connection, subject: UUID, events: Iterable[EventData]) -> None:
    """Where the next contacts of a complaint go, in the transaction of the command."""
    for event in events:
        if isinstance(event, ComplaintMerged):
            await conn.execute(MERGED, subject, event.into)
        elif isinstance(event, MergeUndone):
            await conn.execute(UNDONE, subject)
