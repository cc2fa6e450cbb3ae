"""A process of intake that has never known what is in force: it accepts at once, and normalizes when it knows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from deploy.topics import create_topics
from shared.config import KafkaSettings
from shared.postgres.migrate import migrate
from tests.harness.cluster import Cluster, fresh_database

DUE = "select (select count(*) from submission), (select count(*) from submission where outcome is null)"


def test_it_accepts_before_it_knows_what_is_in_force_and_normalizes_after(cluster: Cluster, tmp_path: Path) -> None:
    prefix = f"start-{time.time_ns()}-"
    with fresh_database(cluster) as dsn:
        asyncio.run(migrate(dsn, "intake"))
        deployment = Deployment(dsn, cluster.kafka_bootstrap, new_id_key(), own_master_keys(tmp_path), prefix)
        key = asyncio.run(deployment.add_key("anna", ["intake"]))
        process = ServiceProcess("intake", environment=deployment.environment(), folder=tmp_path, name="intake")
        process.start()
        try:
            process.await_ready()
            body = [{"event_id": "e-1", "record_id": "r-1", "text": "I was charged twice and nobody answers"}]
            answer = httpx2.post(
                f"{process.url}/v1/complaints", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=15
            )
            assert answer.status_code == 202, answer.text
            time.sleep(2.0)  # long enough to normalize it, if it did
            assert _one(dsn, DUE) == (1, 1)
            assert process.ready()

            asyncio.run(create_topics(KafkaSettings.model_construct(bootstrap=cluster.kafka_bootstrap, topic_prefix=prefix)))
            deadline = time.monotonic() + 60
            while _one(dsn, DUE) != (1, 0):
                assert time.monotonic() < deadline, "not normalized"
                time.sleep(0.2)
        finally:
            process.stop()


def _one(dsn: str, query: str) -> tuple[Any, ...]:
    async def ask() -> tuple[Any, ...]:
        conn = await asyncpg.connect(dsn, server_settings={"search_path": "intake"})
        try:
            return tuple(await conn.fetchrow(query))
        finally:
            await conn.close()

    return asyncio.run(ask())
