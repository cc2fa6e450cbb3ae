"""Escalation's HTTP routes: the commands of people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request, Response

from services.escalation.domain import Close, EscalationState, Resolve
from services.escalation.handlers import Handlers
from shared.contracts.decision import Decision
from shared.http.commands import run_command
from shared.http.keys import Authenticator
from shared.http.router import Router

SCOPE = "cases:write"


def routes(handlers: Handlers, keys: Authenticator) -> Router:
    """The routes of escalation."""
    router = Router(tags=["escalation"])

    @router.post("/v1/complaints/{complaint_id}/resolve", summary="Say that a complaint is resolved, and how")
    async def resolve(request: Request, complaint_id: UUID, command: Resolve) -> Response:
        """Idempotent by the header Idempotency-Key. Follow-up plans its check-ins from this."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    @router.post("/v1/complaints/{complaint_id}/close", summary="Close a complaint")
    async def close(request: Request, complaint_id: UUID, command: Close) -> Response:
        """Idempotent by the header Idempotency-Key. Closing without a resolution needs a reason."""
        return await run_command(request, keys, SCOPE, handlers.saves, complaint_id, command, _answer)

    return router


def _answer(decision: Decision[EscalationState]) -> dict[str, Any]:
    return {"status": decision.state.facts.status, "tier": decision.state.tiers.tier}
