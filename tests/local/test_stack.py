"""The embedded stack: what it promises to the tests and to `make run`."""

import asyncio
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import jars, pgfiles
from deploy.local.kafka import KafkaBroker
from deploy.local.postgres import PostgresServer
from deploy.local.processes import StartFailed
from deploy.local.progress import silent
from deploy.local.readiness import run_coroutine
from deploy.local.stack import LocalStack
from tests.harness.cluster import Cluster
from tests.harness.processes import eventually, runs
from tests.local.owner import start_owner

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: as root, PostgreSQL's user could not pass through that."""
    with tempfile.TemporaryDirectory(prefix="amends-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def stack(cluster: Cluster) -> LocalStack:
    if cluster.stack is None:
        pytest.skip("the servers are not ours to stop")
    return cluster.stack


def working_in(folder: Path) -> list[psutil.Process]:
    """Processes with their working folder there: Kafka and PostgreSQL have that."""
    return [each for each in psutil.process_iter(["cwd"]) if (each.info["cwd"] or "").startswith(str(folder))]


async def create_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, 1, 1)])
        assert answer.topic_errors[0][1] == 0, answer
    finally:
        await admin.close()


async def topics(bootstrap: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_kafka_carries_records(cluster: Cluster, topic_prefix: str) -> None:
    topic = f"{topic_prefix}records"
    await create_topic(cluster.kafka_bootstrap, topic)
    async with AIOKafkaProducer(bootstrap_servers=cluster.kafka_bootstrap, max_request_size=2_000_000) as producer:
        sent = await producer.send_and_wait(topic, b"x" * 1_900_000)
        assert sent.timestamp_type == 1, "the broker stamps records itself"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=cluster.kafka_bootstrap, auto_offset_reset="earliest")
    async with consumer:
        record = await consumer.getone()
        assert record.value == b"x" * 1_900_000


async def test_each_test_has_a_database_of_its_own(cluster: Cluster, database: str) -> None:
    assert await query(database, "select count(*) from pg_tables where schemaname = 'public'") == 0
    assert await query(database, "select lower('ÄÖ')") == "äö"
    assert database != cluster.postgres_dsn


async def test_kafka_can_be_frozen_killed_and_started_on_the_same_address(stack: LocalStack, topic_prefix: str) -> None:
    address, topic = stack.kafka.bootstrap, f"{topic_prefix}kept"
    await create_topic(address, topic)
    await asyncio.to_thread(stack.kafka.freeze)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(topics(address), 0.5)
    await asyncio.to_thread(stack.kafka.thaw)
    assert topic in await topics(address)
    await asyncio.to_thread(stack.kafka.kill)
    assert not stack.kafka.child.alive
    await asyncio.to_thread(stack.kafka.start)
    assert stack.kafka.bootstrap == address
    assert topic in await topics(address)


async def test_postgres_can_be_frozen_killed_and_started_on_the_same_address(stack: LocalStack, database: str) -> None:
    await query(database, "create table kept as select 1 as one")
    await asyncio.to_thread(stack.postgres.freeze)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(query(database, "select 1"), 0.5)
    await asyncio.to_thread(stack.postgres.thaw)
    for fault in (stack.postgres.kill, stack.postgres.stop, lambda: None):
        open_connection = await asyncpg.connect(database)
        await asyncio.to_thread(fault)
        await asyncio.to_thread(
            stack.postgres.restart_immediately if stack.postgres.child.alive else stack.postgres.start
        )
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await open_connection.fetchval("select 1")
        assert await query(database, "select one from kept") == 1


async def test_another_broker_at_our_port_is_not_taken_for_ours(cluster: Cluster, tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path, tmp_path)
    broker.port, broker.cluster_id = int(cluster.kafka_bootstrap.split(":")[1]), "another"
    assert not await broker.answers()
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka_bootstrap)
    await admin.start()
    broker.cluster_id = (await admin.describe_cluster())["cluster_id"]
    await admin.close()
    assert await broker.answers()


def test_a_killed_owner_leaves_its_data_and_nothing_else(folder: Path) -> None:
    folder = folder / "with space, comma and ü"
    owner, told = start_owner(folder, "stack")
    bootstrap, dsn = told["kafka_bootstrap"], told["postgres_dsn"]
    try:
        run_coroutine(create_topic(bootstrap, "kept"))
        run_coroutine(query(dsn, "create table kept as select 1 as one"))
        with pytest.raises(StartFailed, match=f"in use by process {owner.pid}"):
            LocalStack(folder).start()
        children = psutil.Process(owner.pid).children(recursive=True)
        assert {"java", "postgres"} <= {each.name() for each in children}
        assert working_in(folder)
    finally:
        owner.kill()
        owner.wait()
    with LocalStack(folder) as stack:
        assert not any(runs(each.pid) for each in children)
        # The same ports only where they are free again by now; the same password and database always.
        bootstrap, before, dsn = stack.addresses.kafka_bootstrap, dsn, stack.addresses.postgres_dsn
        assert re.sub(r":\d+/", "/", dsn) == re.sub(r":\d+/", "/", before)
        assert "kept" in run_coroutine(topics(bootstrap))
        assert run_coroutine(query(dsn, "select one from kept")) == 1
        password = re.findall(r":([^:@]+)@", dsn)[0]
        command_lines = [" ".join(each.cmdline()) for each in psutil.Process().children(recursive=True)]
        assert not any(password in line for line in command_lines)
        assert stat.S_IMODE((folder / "postgres" / "password").stat().st_mode) == 0o600


def test_an_interrupted_start_leaves_nothing(folder: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-m", "tests.local.owner", str(folder), "stack"])
    assert eventually((folder / "logs" / "kafka-format.pid").exists)
    children = psutil.Process(owner.pid).children(recursive=True)
    owner.send_signal(signal.SIGINT)
    assert owner.wait(30) == 130
    assert eventually(lambda: not any(runs(each.pid) for each in children))
    assert not working_in(folder)


def test_a_part_that_fails_stops_the_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_CACHE_DIR", str(folder / "empty-cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(jars, "ATTEMPTS", 1)
    stack = LocalStack(folder / "data")
    with pytest.raises(StartFailed, match="kafka did not start: cannot download"):
        stack.start()
    assert not working_in(folder)
    stack.erase()  # the lock is free
    assert not (folder / "data").exists()


def test_a_data_folder_that_cannot_be_used(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(StartFailed, match="the data folder cannot be used"):
        LocalStack(folder / "file" / "data").start()


@as_root
def test_postgres_runs_below_a_folder_that_is_closed_to_others(folder: Path) -> None:
    folder.chmod(0o700)
    server = PostgresServer(folder / "data", folder / "logs")
    try:
        server.start()
        assert run_coroutine(query(server.dsn, "select 1")) == 1
        assert psutil.Process(server.child.pid).username() == "nobody"
        place = Path((folder / "data" / pgfiles.LOCATION).read_text())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        server.stop()
        pgfiles.erase_data(folder / "data")
    assert not place.exists()


@as_root
def test_postgres_programs_are_copied_from_an_environment_that_is_closed_to_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENDS_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setattr(pgfiles, "reachable", lambda path: "site-packages" not in str(path))
    user = pgfiles.choose_user()
    assert user is not None
    programs = pgfiles.programs(user, silent)
    assert programs.is_relative_to(folder / "cache")
    for program in ("postgres", "psql"):
        subprocess.run([programs / program, "--version"], user=user.uid, group=user.gid, check=True, cwd="/")
    started = time.monotonic()
    assert pgfiles.programs(user, silent) == programs
    assert time.monotonic() - started < 0.1, "copied once"
