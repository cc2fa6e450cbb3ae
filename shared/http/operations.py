"""Routes that every service has for the people who run it: dead letters, seen and replayed; and the counts."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Path, Request

from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres import dead_letters, messages, reconciliation
from shared.postgres.dead_letters import NotReplayable
from shared.postgres.pool import Pool, connection
from shared.postgres.reconciliation import Also
from shared.postgres.saves import Saves

SCOPE = "ops"
LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]


def operations(
    service: str, saves: Saves[Any], pool: Pool, keys: Authenticator, *, requeue: str | None = None, count: Also | None = None
) -> Router:
    """`requeue` is the SQL that puts a stored submission back in line (intake); `count` counts the service's own tables."""
    router = Router(tags=["operations"])

    @router.get("/v1/dead-letters", summary="Inputs that could not be handled")
    async def list_dead_letters(request: Request, limit: int = 100) -> dict[str, Any]:
        """Why each was parked, and where it came from; oldest first. No contents."""
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            rows = await conn.fetch(dead_letters.LIST, max(1, min(limit, 1000)))
        return {"dead_letters": [dict(row) for row in rows]}

    @router.get("/v1/dead-letters/{letter_id}", summary="One input that could not be handled")
    async def show_dead_letter(request: Request, letter_id: LetterId) -> dict[str, Any]:
        """With its envelope or, of a record that is no event, its headers (hex). No contents, only their size in bytes."""
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            row = await conn.fetchrow(dead_letters.SHOW, letter_id)
        if row is None:
            raise Problem(404, "No such dead letter", f"There is no dead letter {letter_id}, or it was replayed.")
        return {**dict(row), "input": orjson.loads(row["input"])}

    @router.post("/v1/dead-letters/{letter_id}/replay", summary="Handle a dead letter again")
    async def replay(request: Request, letter_id: LetterId) -> dict[str, Any]:
        """After a fix: `handled`, `queued` (it will be, at once), `duplicate` (it was, meanwhile) or `parked` (again)."""
        await keys.check(request.headers, SCOPE)
        try:
            outcome = await dead_letters.replay(saves, letter_id, requeue)
        except NotReplayable as error:
            raise Problem(404, "No such dead letter", f"{error}.") from None
        return {"id": letter_id, "outcome": outcome}

    @router.get("/v1/endpoints", summary="Where messages go, and what does not answer")
    async def list_endpoints(request: Request) -> dict[str, Any]:
        """Each mail server, webhook and chat with failures in a row (`resting`: left alone for now), and what waits for it."""
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            rows = await conn.fetch(messages.LIST_ENDPOINTS)
        return {"endpoints": [dict(row) for row in rows if row["name"] != "digested"]}

    @router.get("/v1/reconciliation", summary="The counts that must add up between the services")
    async def reconcile(request: Request) -> dict[str, Any]:
        """Of one moment: events emitted, handled, held and parked by the service that wrote them; what waits to be sent."""
        await keys.check(request.headers, SCOPE)
        return await reconciliation.counts(pool, service, count)

    @router.get("/v1/whoami", summary="Whose API key this is")
    async def whoami(request: Request) -> dict[str, Any]:
        """The name that policy commands sign with; only for keys that may publish and activate policies."""
        caller = await keys.check(request.headers, "policies:write")
        return {"name": caller.name, "service": service}

    return router
