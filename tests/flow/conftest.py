"""The four services as processes, on the session's Kafka and PostgreSQL, sending their spans to a receiver here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from services.records import key_files
from shared.contracts.envelope import SERVICES
from tests.flow.otlp import Receiver
from tests.harness.cluster import Cluster, fresh_database


@dataclass(frozen=True)
class Running:
    """What a test needs of the running services."""

    services: dict[str, ServiceProcess]
    client: httpx2.Client
    dsn: str
    kafka: str
    prefix: str
    folder: Path
    otlp: Receiver

    def send(self, *items: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
        """Post canonical items to intake; returns the answers."""
        answer = self.client.post(f"{self.services['intake'].url}/v1/complaints", json=list(items), headers=headers)
        assert answer.status_code == 202, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def command(self, complaint_id: str, name: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
        url = f"{self.services['escalation'].url}/v1/complaints/{complaint_id}/{name}"
        return self.client.post(url, json=body, headers=headers)

    def timeline(self, complaint_id: str, until: Callable[[list[str]], bool], within_s: float = 20) -> list[dict[str, Any]]:
        """The recorded events of a complaint, once their types satisfy `until`."""
        deadline = time.monotonic() + within_s
        types: list[str] = []
        while time.monotonic() < deadline:
            answer = self.client.get(f"{self.services['records'].url}/v1/complaints/{complaint_id}")
            if answer.status_code == 200:
                # That the test itself reads the case is recorded, too.
                events = [e for e in answer.json()["timeline"] if e["type"] != "amends.records.case_read.v1"]
                types = [event["type"] for event in events]
                if until(types):
                    return events
            time.sleep(0.05)
        raise AssertionError(f"not recorded within {within_s} s; there is {types}")


@pytest.fixture(scope="module")
def running(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("services")
    otlp = Receiver()
    prefix = f"flow-{folder.name}-{time.time_ns()}-"
    with fresh_database(cluster) as dsn:
        deployment = Deployment(dsn, cluster.kafka_bootstrap, new_id_key(), own_master_keys(folder), prefix)
        asyncio.run(deployment.prepare())
        key = asyncio.run(deployment.add_key("shop-eu"))
        environment = deployment.environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=otlp.endpoint, OTEL_BSP_SCHEDULE_DELAY="200", AMENDS_LOG_LEVEL="debug",
            AMENDS_RECORDS_SIGNING_KEY_FILE=str(folder / "signing" / "ledger.key"), AMENDS_RECORDS_CHECKPOINT_EVERY_S="1",
        )
        key_files.make(folder / "signing" / "ledger.key", "complaints.example.com/ledger")
        services = {name: ServiceProcess(name, environment=environment, folder=folder) for name in SERVICES}
        try:
            for service in services.values():
                service.start()
            for service in services.values():
                service.await_ready()
            with httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=15) as client:
                yield Running(services, client, dsn, cluster.kafka_bootstrap, prefix, folder, otlp)
        finally:
            for service in services.values():
                service.stop()
            otlp.close()
