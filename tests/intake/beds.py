"""Intake on an empty database and a real HTTP server, as the importing commands meet it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from services.intake import deliveries, merges, sources
from services.intake.accepting import Accepting
from services.intake.handlers import Handlers
from services.intake.sources import Sources
from shared.clock import utc_now
from shared.contracts import ids
from shared.contracts.codec import write_data
from shared.contracts.envelope import Event, Position
from shared.contracts.privacy import ComplaintErased
from shared.http.app import make_app
from shared.http.keys import Authenticator, mint
from shared.http.server import Server
from shared.postgres import api_keys
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, connection, make_pool
from shared.telemetry.health import Progress
from shared.vault import MasterKeys
from tests.intake.parts import KEY, saves
from tests.intake.policies import POLICIES

VAULT = MasterKeys({"first": bytes(32)})


class Bed:
    """Handlers, sources and an API key. `server` once it was started."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.progress = pool, Progress()
        self.sources = Sources(self._load)
        self.accepting = Accepting(pool, KEY, VAULT)
        self.handlers = Handlers(self.accepting, KEY, self.progress, VAULT, self.sources, policies=POLICIES)
        self.handlers.saves = saves(self.handlers, pool, self.progress)
        self.key = ""
        self.url = ""

    async def _load(self) -> Any:
        async with connection(self.pool) as conn:
            return await sources.load(conn, VAULT)

    async def add(self, name: str, adapter: str, **options: Any) -> None:
        async with self.pool.acquire() as conn:
            await sources.add(conn, name, adapter, "shared-secret", options)
        self.sources._tried_at = float("-inf")
        await self.sources.refresh()

    async def outcomes(self) -> dict[str, str | None]:
        async with self.pool.acquire() as conn:
            return {row[0]: row[1] for row in await conn.fetch("select event_id, outcome from submission order by 1")}

    async def settle(self) -> dict[str, str | None]:
        """Normalize what is there; event id -> outcome."""
        while await self.handlers._normalize_once():
            pass
        return await self.outcomes()


async def erase(bed: Bed, complaint: UUID) -> None:
    """What records writes when it has erased a complaint, handled."""
    data = ComplaintErased(reason="asked", by="privacy-desk")
    event = Event(
        ids.event_id(KEY, "records", complaint, 1), data.TYPE, "records", complaint, 1, utc_now(), "", "", "", "", write_data(data),
        Position("records", 0, 1),
    )  # fmt: skip
    await bed.handlers.handle_batch([event])


@contextlib.asynccontextmanager
async def bed_on(database: str) -> AsyncIterator[Bed]:
    """A bed, its acceptance running and its route for deliveries served."""
    await migrate(database, "intake")
    pool = await make_pool(database, service="intake")
    bed = Bed(pool)
    bed.key, record = mint("importer", {"intake:write", "cases:read", "cases:write"}, None)
    async with pool.acquire() as conn:
        await api_keys.add(conn, record)
    app = make_app("Intake", service="intake", progress=bed.progress)
    keys = Authenticator(lambda: api_keys.load(pool), refresh_s=10.0)
    deliveries.add_routes(app, bed.accepting, bed.sources, keys)
    app.include_router(merges.routes(bed.handlers.saves, pool, keys))
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    bed.url = server.url
    running = asyncio.create_task(bed.accepting.commits.run())
    try:
        yield bed
    finally:
        running.cancel()
        await server.stop(1.0)
        await pool.close()
