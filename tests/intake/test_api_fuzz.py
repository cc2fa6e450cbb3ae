"""What the OpenAPI document allows, and what it does not, against a running intake: no answer is a 5xx, and none takes long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from services.intake import sources
from shared.vault import read_master_keys
from tests.harness.cluster import Cluster, fresh_database

SECRET = "a shared secret of the fuzzer"


@pytest.fixture(scope="module")
def intake(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and API key of a process of intake, with a webhook for Zendesk's payloads named `fuzz`."""
    folder = tmp_path_factory.mktemp("intake")
    with fresh_database(cluster) as dsn:
        deployment = Deployment(
            dsn, cluster.kafka_bootstrap, new_id_key(), own_master_keys(folder), f"fuzz-{time.time_ns()}-"
        )
        asyncio.run(deployment.prepare())
        key = asyncio.run(deployment.add_key("fuzz-key", ["intake"]))
        asyncio.run(_add_source(dsn, deployment))
        process = ServiceProcess(
            "intake", environment=deployment.environment(AMENDS_DEAD_LETTER_LIMIT="100000"), folder=folder
        )
        try:
            process.start()
            process.await_ready()
            yield process.url, key
        finally:
            process.stop()


async def _add_source(dsn: str, deployment: Deployment) -> None:
    import asyncpg

    conn = await asyncpg.connect(dsn, server_settings={"search_path": "intake"})
    await sources.add(conn, "fuzz", "zendesk", "shared-secret", {})
    await sources.add_secret(conn, read_master_keys(deployment.master_key_file), "fuzz", "signing", SECRET)
    await conn.close()


def test_no_request_is_an_error_of_ours(intake: tuple[str, str]) -> None:
    url, api_key = intake
    asked = []
    for each in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = each.ok()
        _ask(operation, SECRET if "/hooks/" in operation.path else api_key)
        asked.append(operation.path)
    assert "/v1/hooks/{name}" in asked


def _ask(operation: Any, key: str) -> None:
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def one(case: Any) -> None:
        if "/hooks/" in case.path:
            case.path_parameters = {"name": "fuzz"}
        answer = case.call(headers={"Authorization": f"Bearer {key}"}, timeout=20)
        assert answer.status_code < 500, f"{case.method} {case.path}: {answer.status_code} {answer.text[:300]}"

    one()
