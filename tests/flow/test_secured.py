"""The same services on a Kafka with TLS and passwords and a PostgreSQL behind TLS, by settings alone."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from aiokafka.errors import KafkaError

from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from deploy.topics import create_topics
from shared.config import KafkaSettings
from tests.harness.cluster import Cluster, fresh_database
from tests.harness.secured import PASSWORD, USER, Authority, SecuredBroker, behind_tls


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    folder = Path(tempfile.mkdtemp(prefix="amends-test-"))
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def broker(authority: Authority) -> Iterator[SecuredBroker]:
    broker = SecuredBroker(authority.file.parent, authority)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


def by_password(broker: SecuredBroker, authority: Authority, mechanism: str) -> dict[str, str]:
    return {
        "AMENDS_KAFKA_BOOTSTRAP": f"127.0.0.1:{broker.password_port}",
        "AMENDS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "AMENDS_KAFKA_SASL_MECHANISM": mechanism,
        "AMENDS_KAFKA_SASL_USERNAME": USER,
        "AMENDS_KAFKA_SASL_PASSWORD": PASSWORD,
        "AMENDS_KAFKA_CA_FILE": str(authority.file),
    }


def test_a_complaint_travels_over_tls_only(cluster: Cluster, broker: SecuredBroker, authority: Authority, tmp_path: Path) -> None:
    with fresh_database(cluster) as plain, behind_tls(plain, authority) as dsn:
        deployment = Deployment(dsn, broker.bootstrap, new_id_key(), own_master_keys(tmp_path))
        asyncio.run(deployment.prepare())
        key = asyncio.run(deployment.add_key("shop-eu"))
        environment = deployment.environment(**by_password(broker, authority, "SCRAM-SHA-512"))
        services = [ServiceProcess(name, environment=environment, folder=tmp_path) for name in ("intake", "records")]
        try:
            for service in services:
                service.start()
            for service in services:
                service.await_ready()
            intake, records = (service.url for service in services)
            complaint = {"event_id": "e1", "record_id": "r1", "text": "The kettle leaks.", "customer": {"name": "Ann"}}
            with httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=15) as client:
                answer = client.post(f"{intake}/v1/complaints", json=complaint)
                assert answer.status_code == 202, answer.text
                where = f"{records}/v1/complaints/{answer.json()['items'][0]['complaint_id']}"
                deadline = time.monotonic() + 60
                while client.get(where).status_code != 200:
                    assert time.monotonic() < deadline, "not recorded within a minute"
                    time.sleep(0.1)
        finally:
            for service in services:
                service.stop()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_each_way_of_saying_the_password(
    broker: SecuredBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    assert "complaints" in " ".join(topics_made(monkeypatch, mechanism, by_password(broker, authority, mechanism)))


def test_a_client_certificate(broker: SecuredBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    client = str(authority.pem("client"))
    settings = {
        "AMENDS_KAFKA_BOOTSTRAP": f"127.0.0.1:{broker.certificate_port}",
        "AMENDS_KAFKA_SECURITY_PROTOCOL": "SSL",
        "AMENDS_KAFKA_CA_FILE": str(authority.file),
        "AMENDS_KAFKA_CERT_FILE": client,
        "AMENDS_KAFKA_KEY_FILE": client,
    }
    assert "complaints" in " ".join(topics_made(monkeypatch, "certificate", settings))
    with pytest.raises(KafkaError):
        topics_made(monkeypatch, "none", settings | {"AMENDS_KAFKA_CERT_FILE": "", "AMENDS_KAFKA_KEY_FILE": ""})


@pytest.mark.parametrize("changed", [{"AMENDS_KAFKA_CA_FILE": ""}, {"AMENDS_KAFKA_SASL_PASSWORD": "wrong"}])
def test_a_stranger_is_not_talked_to(
    broker: SecuredBroker, authority: Authority, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    """A server that the given authorities do not vouch for, and a password that the server does not take."""
    with pytest.raises(KafkaError):
        topics_made(monkeypatch, "stranger", by_password(broker, authority, "SCRAM-SHA-512") | changed)


def topics_made(monkeypatch: pytest.MonkeyPatch, name: str, environment: dict[str, str]) -> list[str]:
    for variable, value in environment.items():
        if value:
            monkeypatch.setenv(variable, value)
        else:
            monkeypatch.delenv(variable, raising=False)
    return asyncio.run(create_topics(KafkaSettings(topic_prefix=f"{name}-")))
