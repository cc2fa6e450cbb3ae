"""The bench: one service on one database, emptied between tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from deploy.local.readiness import run_coroutine
from shared import failpoints
from shared.postgres.pool import make_pool
from tests.delivery.bench import SERVICE, Bench
from tests.delivery.parts import create_schemas, end_tasks
from tests.harness.cluster import Cluster, fresh_database


@pytest.fixture(scope="module")
def bench_database(cluster: Cluster) -> Iterator[str]:
    with fresh_database(cluster) as dsn:
        run_coroutine(create_schemas(dsn, [SERVICE]))
        yield dsn


@pytest.fixture
async def bench(bench_database: str) -> AsyncIterator[Bench]:
    settings = {"search_path": SERVICE}
    conn = await asyncpg.create_pool(bench_database, min_size=1, max_size=2, server_settings=settings)
    pool = await make_pool(bench_database, service=SERVICE)
    try:
        bench = Bench(conn, pool)
        await bench.reset()
        yield bench
    finally:
        failpoints.arm(None)
        await end_tasks()
        pool.terminate()
        conn.terminate()
