"""Two complaints that are one: merged by a person's command, and taken apart again by another. Both are events.

Intake proposes which may be one (`GET /v1/repeats`): a person merges the two, or dismisses the proposal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from services.intake import domain
from services.intake.domain import Dismiss, Merge, Unmerge
from shared.contracts.complaints import ComplaintMerged, MergeUndone, RepeatDismissed, RepeatSuspected
from shared.contracts.decision import Decision
from shared.contracts.envelope import EventData
from shared.http.commands import run_command
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves

SCOPE, READ = "cases:write", "cases:read"
MAX_CHAIN = 8
TARGETS = "select complaint_id, into_id from merged where complaint_id = any($1::uuid[])"
MERGED = "insert into merged (complaint_id, into_id) values ($1, $2) on conflict (complaint_id) do update set into_id = excluded.into_id"
UNDONE = "delete from merged where complaint_id = $1"
PROPOSE = """
insert into suspected_repeat (complaint_id, of_id, matched, same_category, similarity, opened_at, suspected_at)
select complaint_id, of_id, string_to_array(matched, ' '), same_category, similarity, opened_at, $7
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bool[], $5::float8[], $6::timestamptz[])
    as new (complaint_id, of_id, matched, same_category, similarity, opened_at)
on conflict (complaint_id) do nothing
"""
PROPOSED = """
select complaint_id, of_id as of, matched, same_category, similarity, opened_at, suspected_at from suspected_repeat
where ($1::timestamptz is null or (suspected_at, complaint_id) < ($1, $2::uuid))
order by suspected_at desc, complaint_id desc limit $3
"""
DECIDED = "delete from suspected_repeat where complaint_id = any($1::uuid[]) or of_id = any($1::uuid[])"
DISMISSED = "delete from suspected_repeat where complaint_id = $1"
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

    @router.post("/v1/complaints/{complaint_id}/not-a-repeat", summary="Dismiss that a complaint may repeat another")
    async def dismiss(request: Request, complaint_id: UUID, command: Dismiss) -> Response:
        """It is not proposed again. Idempotent by the header Idempotency-Key."""
        return await run_command(request, keys, SCOPE, saves, complaint_id, command, _answer)

    @router.get("/v1/repeats", summary="Complaints that may repeat another of the same customer")
    async def proposed(
        request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50, before: Annotated[str | None, Query(max_length=100)] = None
    ) -> Proposals:
        """What nobody has decided on yet, the newest first. Merge the complaint into `of`, or dismiss it. `next` is the `before` of
        the next page."""
        await keys.check(request.headers, READ)
        at, complaint_id = _place(before)
        async with connection(pool) as conn:
            rows = await conn.fetch(PROPOSED, at, complaint_id, limit)
        found = [Proposal.model_validate(dict(row)) for row in rows]
        return Proposals(repeats=found, next=_page(found[-1]) if len(found) == limit else None)

    return router


class Proposal(BaseModel):
    """The complaint `complaint_id` may be the same as `of`: of the same customer (`matched` says how he was known again)."""

    complaint_id: UUID
    of: UUID
    matched: list[str]
    same_category: bool
    similarity: float | None = Field(description="The share of words in common where the two say what is wrong; null: too few.")
    opened_at: datetime = Field(description="When `of` was opened.")
    suspected_at: datetime


class Proposals(BaseModel):
    """A page of proposals."""

    repeats: list[Proposal]
    next: str | None


def _page(last: Proposal) -> str:
    return f"{last.suspected_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{last.complaint_id}"


def _place(before: str | None) -> tuple[datetime | None, UUID | None]:
    if before is None:
        return None, None
    at, _, complaint_id = before.partition("_")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), UUID(complaint_id)
    except (ValueError, OverflowError):
        raise Problem(422, "No such page", "`before` is the `next` of an earlier page.") from None


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
            await conn.execute(DECIDED, [subject])
        elif isinstance(event, MergeUndone):
            await conn.execute(UNDONE, subject)
        elif isinstance(event, RepeatDismissed):
            await conn.execute(DISMISSED, subject)


async def propose(conn: Connection, proposals: Sequence[tuple[UUID, RepeatSuspected]], now: datetime) -> None:
    """Keep what was proposed until somebody decides, in the transaction that normalizes the complaints."""
    if proposals:
        rows = [(i, p.of, " ".join(p.matched), p.same_category, p.similarity, p.opened_at) for i, p in proposals]
        await conn.execute(PROPOSE, *(list(column) for column in zip(*rows, strict=True)), now)


async def forget(conn: Connection, complaints: Iterable[UUID]) -> None:
    """No proposal names a complaint that was erased."""
    await conn.execute(DECIDED, list(complaints))
