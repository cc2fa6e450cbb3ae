"""Routes that every service has for the people who run it: dead letters, seen and replayed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.postgres import dead_letters
from shared.postgres.dead_letters import NotReplayable
from shared.postgres.pool import Pool, connection
from shared.postgres.saves import Saves

SCOPE = "ops"


def operations(saves: Saves[Any], pool: Pool, keys: Authenticator, *, requeue: str | None = None) -> APIRouter:
    """`requeue` is the SQL that puts a stored submission back in line (intake)."""
    router = APIRouter(tags=["operations"])

    @router.get("/v1/dead-letters", summary="Inputs that could not be handled")
    async def list_dead_letters(request: Request, limit: int = 100) -> dict[str, Any]:
        """Why each was parked, and where it came from; oldest first. No contents."""
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            rows = await conn.fetch(dead_letters.LIST, max(1, min(limit, 1000)))
        return {"dead_letters": [dict(row) for row in rows]}

    @router.post("/v1/dead-letters/{letter_id}/replay", summary="Handle a dead letter again")
    async def replay(request: Request, letter_id: int) -> dict[str, Any]:
        """After a fix: `handled`, `queued` (it will be, at once), `duplicate` (it was, meanwhile) or `parked` (again)."""
        await keys.check(request.headers, SCOPE)
        try:
            outcome = await dead_letters.replay(saves, letter_id, requeue)
        except NotReplayable as error:
            raise Problem(404, "No such dead letter", f"{error}.") from None
        return {"id": letter_id, "outcome": outcome}

    return router
