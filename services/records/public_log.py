"""The public log over HTTP (https://c2sp.org/tlog-tiles): the checkpoint, its tiles and records, for whoever wants to check.

What is served is what the last checkpoint signs and nothing behind it. Nothing personal is in it (see ledger.py).
"""

from __future__ import annotations

from fastapi import Request, Response

from services.records import log_export, tree_store
from services.records.tree import tiles
from services.records.tree_store import Conn, Stored
from shared.http.keys import Authenticator
from shared.http.problems import Problem
from shared.http.router import Router
from shared.postgres.pool import Pool, connection

PREFIX = "/log"
SCOPE = "cases:read"
TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"
# A tile of a size that was signed never changes; the checkpoint does.
FOR_EVER, SECONDS = "public, max-age=31536000, immutable", "public, max-age=2"


def routes(pool: Pool, keys: Authenticator, *, is_open: bool) -> Router:
    """The routes. Unless the log `is_open` to everybody, they want an API key that may read cases."""
    router = Router(tags=["public log"], prefix=PREFIX)

    async def allowed(request: Request) -> None:
        if not is_open:
            await keys.check(request.headers, SCOPE)

    @router.get("/checkpoint", summary="The signed head of the ledger", response_class=Response)
    async def checkpoint(request: Request) -> Response:
        """Of the format c2sp.org/tlog-checkpoint; it signs everything else here."""
        await allowed(request)
        async with connection(pool) as conn:
            last = await _last(conn)
        return Response(last.note, media_type=TEXT, headers={"cache-control": SECONDS})

    @router.get("/log.vkey", summary="The log's public key", response_class=Response)
    async def public_key(request: Request) -> Response:
        """To be compared with the one that you have from a source you trust, never to be believed."""
        await allowed(request)
        async with connection(pool) as conn:
            current, _ = await log_export.keys_of(conn, await _last(conn))
        return Response(f"{current}\n", media_type=TEXT, headers={"cache-control": SECONDS})

    @router.get("/retired.vkeys", summary="The log's earlier public keys", response_class=Response)
    async def retired_keys(request: Request) -> Response:
        """A line each; empty when the key was never changed."""
        await allowed(request)
        async with connection(pool) as conn:
            _, retired = await log_export.keys_of(conn, await _last(conn))
        return Response("".join(f"{key}\n" for key in retired), media_type=TEXT, headers={"cache-control": SECONDS})

    @router.get("/tile/{path:path}", summary="Hashes or records by 256", response_class=Response)
    async def tile(request: Request, path: str) -> Response:
        """`LEVEL/N`, `LEVEL/N.p/W`, `entries/N` or `entries/N.p/W`, as c2sp.org/tlog-tiles has it."""
        await allowed(request)
        place = tiles.parse(f"tile/{path}")
        if place is None:
            raise Problem(404, "No such tile", "A tile's path is tile/LEVEL/N or tile/entries/N, with .p/W when it is partial.")
        level, number, width = place
        async with connection(pool) as conn:
            last = await _last(conn)
            if number * tiles.WIDTH + width > tiles.count(0 if level == tiles.ENTRIES else int(level), last.size):
                raise Problem(404, "No such tile", f"The checkpoint signs {last.size} records; this tile is not, or not full, among them.")
            data = await _read(conn, level, number, width)
        return Response(data, media_type=BYTES, headers={"cache-control": FOR_EVER})

    return router


async def _last(conn: Conn) -> Stored:
    last = await tree_store.last_checkpoint(conn)
    if last is None:
        raise Problem(404, "No checkpoint", "Nothing is signed yet. Try again in a while.")
    return last


async def _read(conn: Conn, level: int | str, number: int, width: int) -> bytes:
    if level == tiles.ENTRIES:
        leaves = await tree_store.leaves(conn, number, width)
        data = tiles.bundle(leaves) if len(leaves) == width else None
    else:
        data = await tree_store.tile(conn, int(level), number, width)
    if data is None:
        raise Problem(500, "The ledger is damaged", "Something that was signed is missing. Its operator runs: amends records verify")
    return data
