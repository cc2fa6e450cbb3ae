"""A real Kafka and a real PostgreSQL for the tests: given addresses, else containers, else the embedded stack."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.kafka import BROKER_SETTINGS
from deploy.local.readiness import free_port, run_coroutine
from deploy.local.stack import LocalStack

GIVEN_KAFKA, GIVEN_POSTGRES = "AMENDS_TEST_KAFKA_BOOTSTRAP", "AMENDS_TEST_DATABASE_URL"
KAFKA_IMAGE, POSTGRES_IMAGE = "apache/kafka:4.3.1", "postgres:18"


@dataclass(frozen=True)
class Cluster:
    """Addresses of the servers; `postgres_dsn` may create databases. `stack` only where this process runs them."""

    kafka_bootstrap: str
    postgres_dsn: str
    stack: LocalStack | None = None


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """The servers for one test session."""
    kafka, postgres = os.environ.get(GIVEN_KAFKA), os.environ.get(GIVEN_POSTGRES)
    if kafka and postgres:
        yield Cluster(kafka, postgres)
    elif kafka or postgres:
        raise RuntimeError(f"set both {GIVEN_KAFKA} and {GIVEN_POSTGRES}, or neither")
    elif docker_answers():
        with containers() as cluster:
            yield cluster
    else:
        with embedded() as cluster:
            yield cluster


@contextlib.contextmanager
def embedded() -> Iterator[Cluster]:
    """The embedded stack on a temporary folder, for this block."""
    # Not pytest's folder: as root, PostgreSQL's user could not pass through that.
    stack = LocalStack(Path(tempfile.mkdtemp(prefix="amends-test-")))
    try:
        with stack:
            yield Cluster(stack.addresses.kafka_bootstrap, stack.addresses.postgres_dsn, stack)
    finally:
        stack.erase()


def docker_answers() -> bool:
    """Whether a Docker engine is there."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=3, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextlib.contextmanager
def containers() -> Iterator[Cluster]:
    """Kafka and PostgreSQL in containers, with the same broker settings as the embedded ones."""
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()  # fixed, because the broker must be told the address that it announces
    settings = BROKER_SETTINGS | {
        "node.id": "1",
        "process.roles": "broker,controller",
        "controller.quorum.voters": "1@localhost:9093",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://localhost:{port}",
    }
    kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    for name, value in settings.items():
        kafka.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    kafka.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(120))
    postgres = PostgresContainer(POSTGRES_IMAGE, driver=None).with_command("postgres -c max_connections=200")
    with kafka, postgres:
        yield Cluster(f"localhost:{port}", postgres.get_connection_url())


@contextlib.contextmanager
def fresh_database(cluster: Cluster) -> Iterator[str]:
    """The DSN of a new, empty database, which is dropped after the block, whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    _execute(cluster.postgres_dsn, f'create database "{name}"')
    try:
        yield urlunsplit(urlsplit(cluster.postgres_dsn)._replace(path=f"/{name}"))
    finally:
        _execute(cluster.postgres_dsn, f'drop database if exists "{name}" with (force)')


def _execute(dsn: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    run_coroutine(execute())
