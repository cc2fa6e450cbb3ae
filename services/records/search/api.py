"""The routes of search: pages, similar cases, what nobody attends to, and changes as they happen (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
from fastapi import Request
from starlette.responses import StreamingResponse

from services.records.search import query
from services.records.search.query import Search
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Pool, connection

READ = "cases:read"
LOOK_EVERY_S, SAY_SOMETHING_S, LONGEST_S = 1.0, 15.0, 600.0
MOST_LISTENERS, CHANGES_A_TIME, UNATTENDED = 50, 200, 500


def routes(pool: Pool, keys: Authenticator) -> Router:
    """The routes."""
    router = Router(tags=["search"])
    listeners = 0

    @router.post("/v1/search", summary="Search complaints")
    async def search(request: Request, asked: Search) -> dict[str, Any]:
        """By words and by what is known, the last changed first. `next` is the `after` of the next page, or null."""
        await keys.check(request.headers, READ)
        async with connection(pool) as conn:
            rows = await query.run(conn, asked, await conn.fetchval("select app_now()"))
        following = rows[-1]["changed_idx"] if len(rows) == asked.limit else None
        return {"complaints": [query.shown(row) for row in rows], "next": following}

    @router.get("/v1/complaints/{complaint_id}/similar", summary="Similar past cases, with what was done and what worked")
    async def similar(request: Request, complaint_id: UUID, limit: int = 10) -> dict[str, Any]:
        """Resolved complaints about the same cause in similar words; those whose customers said it was solved first."""
        await keys.check(request.headers, READ)
        sql, values = query.similar_to(complaint_id, max(1, min(limit, 50)))
        async with connection(pool) as conn:
            rows = await conn.fetch(sql, *values)
        return {"complaint_id": str(complaint_id), "similar": [query.shown(row) for row in rows]}

    @router.get("/v1/unattended", summary="Open complaints with no owner or no next event")
    async def unattended(request: Request) -> dict[str, Any]:
        """There should be none: each open complaint has somebody, and something that comes next."""
        await keys.check(request.headers, READ)
        async with connection(pool) as conn:
            rows = await conn.fetch(query.UNATTENDED, UNATTENDED)
        return {"complaints": [query.shown(row) for row in rows]}

    @router.get("/v1/changes", summary="Changes as they happen", response_class=StreamingResponse)
    async def changes(request: Request) -> StreamingResponse:
        """Server-sent events: one for each change of a complaint, its id in the header Last-Event-ID goes on from there.

        The stream ends after ten minutes; browsers come back by themselves, and the key is looked at again.
        """
        nonlocal listeners
        await keys.check(request.headers, READ)
        last = request.headers.get("last-event-id", "")
        if last and not last.isdigit():
            raise Problem(400, "Bad Last-Event-ID", "Last-Event-ID is the number of the last change that was seen.")
        if listeners >= MOST_LISTENERS:
            raise Problem(503, "Too many listeners", "Close another stream first, or try again in a while.")

        async def stream() -> AsyncIterator[bytes]:
            nonlocal listeners
            listeners += 1
            try:
                async for part in _changes(pool, int(last) if last else None):
                    yield part
            finally:
                listeners -= 1

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return router


async def _changes(pool: Pool, seen: int | None) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    began = said = clock()
    while clock() - began < LONGEST_S:
        async with connection(pool) as conn:
            if seen is None:
                seen = await conn.fetchval(query.NEWEST)
                yield b": following\n\n"
            rows = await conn.fetch(query.CHANGES, seen, CHANGES_A_TIME)
        for row in rows:
            seen = row["changed_idx"]
            yield b"id: %d\nevent: change\ndata: %s\n\n" % (row["changed_idx"], orjson.dumps(query.shown(row), default=str))
            said = clock()
        if clock() - said > SAY_SOMETHING_S:
            yield b": nothing new\n\n"
            said = clock()
        if len(rows) < CHANGES_A_TIME:
            await asyncio.sleep(LOOK_EVERY_S)
