"""Follow-up's HTTP routes: what is planned for a complaint."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request

from services.followup import store
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Pool, connection

SCOPE = "cases:read"


def routes(pool: Pool, keys: Authenticator) -> Router:
    """The routes of follow-up."""
    router = Router(tags=["followup"])

    @router.get("/v1/complaints/{complaint_id}/plan", summary="The next update and check-in of a complaint")
    async def plan(request: Request, complaint_id: UUID) -> dict[str, Any]:
        """What the customer will hear next, and when; null where nothing is planned."""
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            state = await store.find(conn, complaint_id)
        if state is None:
            raise Problem(404, "No such complaint", "Follow-up knows no complaint with this id.")
        return {
            "complaint_id": str(complaint_id),
            "status": state.facts.status,
            "update": state.update,
            "check_in": state.check_in,
        }

    return router
