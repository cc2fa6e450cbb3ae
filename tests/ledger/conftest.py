"""A ledger on a real PostgreSQL: records' own tables, saves and publisher, without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared import failpoints
from shared.postgres.migrate import migrate
from shared.postgres.pool import make_pool
from tests.delivery.parts import end_tasks
from tests.ledger.database import Ledger


@pytest.fixture
async def ledger(database: str, tmp_path: Path) -> AsyncIterator[Ledger]:
    await migrate(database, "records")
    pool = await make_pool(database, service="records")
    conn = await asyncpg.connect(database, server_settings={"search_path": "records"})
    try:
        yield Ledger(database, pool, conn, tmp_path)
    finally:
        failpoints.arm(None)
        await end_tasks()
        conn.terminate()
        pool.terminate()
