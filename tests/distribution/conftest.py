"""Topics and a schema of their own for each test, on the session's Kafka and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.readiness import run_coroutine
from shared.config import KafkaSettings
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from tests.distribution.parts import SERVICE, kafka_with_topics
from tests.harness.cluster import Cluster, fresh_database


@pytest.fixture
async def kafka(cluster: Cluster) -> KafkaSettings:
    return await kafka_with_topics(cluster.kafka_bootstrap)


@pytest.fixture(scope="module")
def schema(cluster: Cluster) -> Iterator[str]:
    with fresh_database(cluster) as dsn:
        run_coroutine(migrate(dsn, SERVICE))
        yield dsn


@pytest.fixture
async def pool(schema: str) -> AsyncIterator[Pool]:
    pool = await make_pool(schema, service=SERVICE)
    try:
        await pool.execute("truncate policy_record")
        yield pool
    finally:
        pool.terminate()
