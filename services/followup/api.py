"""Follow-up's HTTP routes: promises, updates, check-ins, and what came of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request, Response

from services.followup import store
from services.followup.domain import (
    AllowContact,
    AnswerCheckIn,
    Bounced,
    CheckFact,
    Command,
    ConfirmPromise,
    FinishTask,
    FollowUpState,
    KeepPromise,
    MakePromise,
    NoteProgress,
    StopContact,
    WithdrawPromise,
    updates,
)
from services.followup.handlers import Handlers
from services.followup.letters import Letters
from shared.contracts.decision import Decision
from shared.contracts.followups import PromiseMade
from shared.http.commands import run_command
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Instant, Router
from shared.policy.distribution.line import Policies
from shared.postgres.pool import Pool, connection

READ, WRITE = "cases:read", "cases:write"
PROBLEM_404 = Problem(404, "No such complaint", "Follow-up knows no complaint with this id.")


def routes(pool: Pool, keys: Authenticator, handlers: Handlers, letters: Letters, policies: Policies) -> Router:
    """The routes of follow-up."""
    router = Router(tags=["followup"])

    @router.get("/v1/complaints/{complaint_id}/plan", summary="What is planned, promised and asked for a complaint")
    async def plan(request: Request, complaint_id: UUID) -> dict[str, Any]:
        """What the customer will hear next, and when; null where nothing is planned."""
        await keys.check(request.headers, READ)
        state = (await _found(pool, complaint_id))[0]
        return {
            "complaint_id": str(complaint_id),
            "status": state.facts.status,
            "update": state.update,
            "check_in": state.check_in if state.check_in is None or state.check_in.kind != "silence" else None,
            "after_that": state.later,
            "question": state.question,
            "facts": state.proved,
            "promises": state.promises,
            "tasks": state.tasks,
            "no_contact": state.silent or None,
            "outcome": state.outcome,
        }

    @router.get("/v1/complaints/{complaint_id}/update-draft", summary="The next progress update, as it would be sent now")
    async def update_draft(request: Request, complaint_id: UUID) -> dict[str, Any]:
        """What was done, what comes next, when the customer hears again; and the broken promises that it owns."""
        await keys.check(request.headers, READ)
        state, now = await _found(pool, complaint_id)
        policy = policies.in_force(now, now, complaint_id)
        return _draft(state, letters, policy.calendar_zone)

    async def command(request: Request, complaint_id: UUID, what: Command) -> Response:
        return await run_command(request, keys, WRITE, handlers.saves, complaint_id, what, answer_of)

    @router.post("/v1/complaints/{complaint_id}/promises", summary="Promise something to the customer")
    async def make(request: Request, complaint_id: UUID, body: MakePromise) -> Response:
        """`due_at` with a zone, or as local time where the customer is. `nobody_works` says why that may be unwise."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/promises/confirm", summary="Confirm a promise that was read in a reply")
    async def confirm(request: Request, complaint_id: UUID, body: ConfirmPromise) -> Response:
        """What the proposal lacks (a date) or has wrongly is given here."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/promises/keep", summary="Say that a promise was kept, with evidence")
    async def keep(request: Request, complaint_id: UUID, body: KeepPromise) -> Response:
        """Also late: then it stays broken, and the next message owns it."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/promises/withdraw", summary="Dismiss or replace a promise")
    async def withdraw(request: Request, complaint_id: UUID, body: WithdrawPromise) -> Response:
        """It was none, or the customer has agreed to another."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/progress", summary="Note what was done, or what comes next")
    async def progress(request: Request, complaint_id: UUID, body: NoteProgress) -> Response:
        """The next update to the customer says so, in these words."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/facts", summary="Say whether a fact about the remedy is true")
    async def fact(request: Request, complaint_id: UUID, body: CheckFact) -> Response:
        """Such as refund_booked, parcel_delivered: the customer is asked after it is proved."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/answer", summary="The customer's answer: yes, partly or no")
    async def answer(request: Request, complaint_id: UUID, body: AnswerCheckIn) -> Response:
        """As an agent heard it. `no` and `partly` reopen the complaint one tier up."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/contact/stop", summary="The customer hears nothing more from us")
    async def stop(request: Request, complaint_id: UUID, body: StopContact) -> Response:
        """They died, asked for it, or are on a quiet list. What is planned is cancelled."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/contact/allow", summary="The customer may be written to again")
    async def allow(request: Request, complaint_id: UUID, body: AllowContact) -> Response:
        """Plans are made again with the next event of the complaint."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/bounces", summary="A message came back")
    async def bounce(request: Request, complaint_id: UUID, body: Bounced) -> Response:
        """The next channel is tried."""
        return await command(request, complaint_id, body)

    @router.post("/v1/complaints/{complaint_id}/tasks/done", summary="A task was done")
    async def done(request: Request, complaint_id: UUID, body: FinishTask) -> Response:
        """With what came of it."""
        return await command(request, complaint_id, body)

    @router.get("/v1/promises", summary="Promises of all complaints, the most urgent first")
    async def all_promises(
        request: Request,
        status: Literal["proposed", "open", "kept", "broken", "withdrawn"] = "open",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """`broken` is what leads must see; `proposed` waits for somebody to confirm or dismiss it."""
        await keys.check(request.headers, READ)
        async with connection(pool) as conn:
            return {"promises": [dict(row) for row in await conn.fetch(store.PROMISES, status, limit)]}

    @router.get("/v1/tasks", summary="What people have to do, the most urgent first")
    async def all_tasks(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        """Calls and letters where no message can go, facts to look up."""
        await keys.check(request.headers, READ)
        async with connection(pool) as conn:
            return {"tasks": [dict(row) for row in await conn.fetch(store.TASKS, limit)]}

    @router.get("/v1/outcomes", summary="What came of resolutions, by team, cause, remedy or channel")
    async def outcomes(
        request: Request,
        by: Literal["team", "cause", "remedy", "channel"] = "team",
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> dict[str, Any]:
        """Of the last 90 days unless `since` and `until` say otherwise. Shares are of those who answered."""
        await keys.check(request.headers, READ)
        async with connection(pool) as conn:
            last: datetime = until or await conn.fetchval("select app_now()")
            first = since or last - timedelta(days=90)
            return {"by": by, "since": first, "until": last, "outcomes": await store.outcomes(conn, by, first, last)}

    return router


async def _found(pool: Pool, complaint_id: UUID) -> tuple[FollowUpState, datetime]:
    async with connection(pool) as conn:
        found = await store.find(conn, complaint_id)
    if found is None or found.state is None:
        raise PROBLEM_404
    return found.state, found.now


def _draft(state: FollowUpState, letters: Letters, calendar_zone: str) -> dict[str, Any]:
    by = state.update.due_at if state.update else None
    kind = state.update.kind if state.update else "progress_update"
    draft = updates.draft(state, kind, by)
    values = {
        "kind": kind, "done": list(draft.done), "next_step": draft.next_step, "owns_what": list(draft.owns), "late": False,
        "by": by.isoformat() if by else None, "zone": state.person.zone or calendar_zone, "enclose": [],
        "sender": letters.sender, "link": "", "review": False, "review_url": "",
    }  # fmt: skip
    words = letters.words(kind, state.language, values)
    return {"kind": kind, "language": state.language or "en", "by": by, "owns": draft.owns, **words._asdict()}


def answer_of(decision: Decision[FollowUpState]) -> dict[str, Any]:
    """What the command brought about, by its events."""
    state = decision.state
    made = next((event for event in decision.events if isinstance(event, PromiseMade)), None)
    promise = getattr(decision.events[0], "promise", None) if decision.events else None
    answer: dict[str, Any] = {"events": [event.TYPE for event in decision.events], "status": state.facts.status}
    if promise is not None and (found := state.promise(promise)) is not None:
        answer["promise"] = {
            "id": found.id, "status": found.status, "what": found.what, "owner": found.owner, "zone": found.zone,
            "due_at": found.due_at.isoformat() if found.due_at else None,
        }  # fmt: skip
    if made is not None and made.nobody_works:
        answer["nobody_works"] = made.nobody_works
    return answer
