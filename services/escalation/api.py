"""Escalation's HTTP routes: the commands of people, and the clocks of a complaint."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from services.escalation import clock_view, store
from services.escalation.domain import Close, Escalate, EscalationState, ExtendLimit, Reopen, Resolve, Wait
from services.escalation.handlers import Handlers
from services.escalation.recompute import LATEST, Recompute
from shared.contracts.decision import Decision
from shared.http.commands import run_command
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Pool, connection

SCOPE, READ, OPERATE = "cases:write", "cases:read", "ops"


def routes(handlers: Handlers, recompute: Recompute, pool: Pool, keys: Authenticator) -> Router:
    """The routes of escalation."""
    router = Router(tags=["escalation"])

    @router.post("/v1/complaints/{complaint_id}/resolve", summary="Say that a complaint is resolved, and how")
    async def resolve(request: Request, complaint_id: UUID, command: Resolve) -> Response:
        """Idempotent by the header Idempotency-Key. Follow-up plans its check-ins from this.

        Without an offer the reason for that is recorded: `reason`, or what `resolution` says.
        """
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/close", summary="Close a complaint")
    async def close(request: Request, complaint_id: UUID, command: Close) -> Response:
        """Idempotent by the header Idempotency-Key. Closing without a resolution needs a reason."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/wait", summary="Say that it is for the customer to answer")
    async def wait(request: Request, complaint_id: UUID, command: Wait) -> Response:
        """The service's own clocks stand still until the customer writes or the complaint is opened; legal ones run on."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/reopen", summary="Open a complaint again, with the same clocks")
    async def reopen(request: Request, complaint_id: UUID, command: Reopen) -> Response:
        """From waiting, resolved or closed. Idempotent by the header Idempotency-Key."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/escalate", summary="Ask for a higher tier or a specialist desk")
    async def escalate(request: Request, complaint_id: UUID, command: Escalate) -> Response:
        """The next tier if none is named. At the highest there is an alarm instead. Idempotent by Idempotency-Key."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/extend", summary="Record that a legal limit is extended, and why")
    async def extend(request: Request, complaint_id: UUID, command: ExtendLimit) -> Response:
        """The regimes in force that know the extension by its name set their deadlines anew. Idempotent by Idempotency-Key."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.get("/v1/complaints/{complaint_id}/clocks", summary="The clocks of a complaint")
    async def clocks(request: Request, complaint_id: UUID) -> dict[str, Any]:
        """What is due when, where each clock stands now, and by which rules of which policy version."""
        await keys.check(request.headers, READ)
        state, now = await _known(pool, complaint_id)
        return {"complaint_id": str(complaint_id), **clock_view.overview(state, now)}

    @router.get("/v1/complaints/{complaint_id}/clocks/{name:path}", summary="Why a clock is due when it is")
    async def clock(request: Request, complaint_id: UUID, name: str) -> dict[str, Any]:
        """Segment by segment: what counted, what did not and why, what is to come. `name` as in the list of clocks."""
        await keys.check(request.headers, READ)
        state, now = await _known(pool, complaint_id)
        found = clock_view.explain(state, name, now)
        if found is None:
            names = ", ".join(each.key for each in state.clocks.running) or "none"
            raise Problem(404, "No such clock", f"The complaint has no clock of that name; it has: {names}.")
        return {"complaint_id": str(complaint_id), **found}

    @router.post("/v1/clocks/recompute", summary="Work the clocks of all open complaints out again")
    async def sweep(request: Request) -> dict[str, Any]:
        """By the policies in force now. Answers at once with the sweep's number; no promised deadline moves later."""
        caller = await keys.check(request.headers, OPERATE)
        return {"sweep": await recompute.ask(caller.name)}

    @router.get("/v1/clocks/recompute", summary="The last sweeps over all clocks, and how far they are")
    async def sweeps(request: Request) -> dict[str, Any]:
        """The newest first: who asked for it, complaints seen and changed so far, and when it was done."""
        await keys.check(request.headers, OPERATE)
        async with connection(pool) as conn:
            rows = await conn.fetch(LATEST)
        return {"sweeps": [dict(row) for row in rows]}

    return router


async def _known(pool: Pool, complaint_id: UUID) -> tuple[EscalationState, datetime]:
    async with connection(pool) as conn:
        state, now = await store.find(conn, complaint_id)
    if state is None or now is None:
        raise Problem(404, "No such complaint", "Escalation knows no complaint with this id.")
    return state, now


def _answer(decision: Decision[EscalationState]) -> dict[str, Any]:
    return {"status": decision.state.facts.status, "tier": decision.state.tiers.tier}
