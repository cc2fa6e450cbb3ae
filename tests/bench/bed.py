"""What the benchmark runs on: a real Kafka and PostgreSQL, a fresh database, topics of its own, service processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.processes import Child
from deploy.local.readiness import free_port
from shared.contracts.topics import FLOWS, PARTITIONS, TABLES
from shared.http.keys import mint
from shared.postgres import api_keys
from shared.postgres.inputs import Outgoing
from shared.postgres.migrate import migrate
from tests.bench.cost import Meter
from tests.bench.events import MASTER_KEY, SOURCE
from tests.harness.cluster import GIVEN_KAFKA, Cluster, embedded, fresh_database, running_cluster

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("intake", "escalation", "followup", "records")
START_S = 60.0
ID_KEY = bytes(range(32))
SCOPES = {"intake:write", "cases:read", "cases:write", "ops"}


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def servers() -> Iterator[Cluster]:
    """Given addresses, or the embedded stack: containers would hide what Kafka and PostgreSQL cost."""
    with running_cluster() if os.environ.get(GIVEN_KAFKA) else embedded() as cluster:
        yield cluster


@dataclass
class Bed:
    """One database and one set of topics on a cluster, and the services started on them."""

    cluster: Cluster
    folder: Path
    dsn: str
    prefix: str
    id_key: bytes = ID_KEY
    key: str = ""
    children: dict[str, Child] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    helpers: list[Child] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every service."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AMENDS_", "OTEL_"))},
            "AMENDS_DATABASE_URL": self.dsn,
            "AMENDS_KAFKA_BOOTSTRAP": self.cluster.kafka_bootstrap,
            "AMENDS_KAFKA_TOPIC_PREFIX": self.prefix,
            "AMENDS_ID_KEY": self.id_key.hex(),
            "AMENDS_MASTER_KEY_FILE": str(self.master_key_file),
            "AMENDS_LOG_LEVEL": "warning",
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def master_key_file(self) -> Path:
        """The key that the benchmark seals with too: the services must be able to open what it puts into their tables."""
        file = self.folder / "master-keys"
        file.write_text(f"bench {MASTER_KEY.hex()}\n", encoding="utf-8")
        return file

    async def connect(self, service: str) -> Any:
        return await asyncpg.connect(self.dsn, server_settings={"search_path": service})

    async def prepare(self) -> None:
        """Migrate all services, make topics and one API key."""
        self.key, record = mint(SOURCE, SCOPES)
        for service in SERVICES:
            await migrate(self.dsn, service)
            conn = await self.connect(service)
            await api_keys.add(conn, record)
            await conn.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.cluster.kafka_bootstrap)
        await admin.start()
        try:
            topics = [NewTopic(self.prefix + flow.topic, PARTITIONS, 1) for flow in FLOWS]
            topics += [NewTopic(self.prefix + table.topic, 1, 1) for table in TABLES]
            await admin.create_topics(topics)
        finally:
            await admin.close()

    async def drop_topics(self) -> None:
        """Delete the topics, so that parts of one run do not fill the disk for each other."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.cluster.kafka_bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([self.prefix + each.topic for each in (*FLOWS, *TABLES)])
        finally:
            await admin.close()

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Put events into their topics, as a relay does."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.cluster.kafka_bootstrap, enable_idempotence=True, linger_ms=5,
            max_batch_size=262_144, max_request_size=2_097_152,
        )  # fmt: skip
        await producer.start()
        try:
            waiting = [
                await producer.send(self.prefix + event.topic, event.value, key=event.key, headers=event.headers)
                for event in events
            ]
            for acknowledgement in waiting:
                await acknowledgement
        finally:
            await producer.stop()

    def start(self, service: str, *, wrapper: Sequence[str] = (), **settings: str) -> Child:
        """Start one service as a process; `wrapper` runs its module under something else."""
        self.ports[service] = free_port()
        child = Child(
            f"{service}-{next(self._numbers)}",  # a second one of the same name would end the first
            [sys.executable, *wrapper, "-m", f"services.{service}.app"],
            folder=self.folder,
            env={**self.environment, "AMENDS_HTTP_PORT": str(self.ports[service]), **settings},
            cwd=ROOT,
        )
        child.start()
        self.children[service] = child
        return child

    def run_module(self, module: str, *arguments: str, name: str) -> Child:
        """Start one of the benchmark's own modules as a process that ends with this one, and by itself."""
        child = Child(
            name, [sys.executable, "-m", module, *arguments], folder=self.folder, env=self.environment, cwd=ROOT
        )
        child.start()
        self.helpers.append(child)
        return child

    async def ready(self, service: str) -> None:
        """Wait until the service answers that it is ready."""
        await self._until(service, lambda: self.get(service, "/readyz")[0] == 200)

    async def _until(self, service: str, condition: Any) -> None:
        deadline = time.monotonic() + START_S
        while not await asyncio.to_thread(condition):
            self.check(service)
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{service} is not ready after {START_S:.0f} s; its log: {self.children[service].log}"
                )
            await asyncio.sleep(0.05)

    def check(self, service: str) -> None:
        """Raise if the service has ended."""
        child = self.children[service]
        if not child.alive:
            lines = "\n".join(child.last_lines())
            raise RuntimeError(f"{service} ended with status {child.returncode}:\n{lines}")

    def get(self, service: str, path: str) -> tuple[int, bytes]:
        """GET from a service; status 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def counter(self, service: str, *names: str) -> tuple[float, ...]:
        """Sums of a service's counters over all their labels."""
        sums = dict.fromkeys(names, 0.0)
        for line in self.get(service, "/metrics")[1].decode().splitlines():
            name = line.partition("{")[0]
            if name in sums:
                sums[name] += float(line.rpartition(" ")[2])
        return tuple(sums.values())

    def meter(self, **more: int) -> Meter:
        """Counts CPU time of the services, of `more` (process ids), and of Kafka and PostgreSQL where this process runs them."""
        roots = {service: child.pid for service, child in self.children.items() if child.alive} | more
        stack = self.cluster.stack
        if stack is not None:
            roots |= {"kafka": stack.kafka.child.pid, "postgres": stack.postgres.child.pid}
        return Meter(roots)

    async def stop(self, *services: str) -> None:
        """End service processes in order; all, if none is named."""
        for service in services or tuple(self.children):
            child = self.children.pop(service)
            await asyncio.to_thread(child.stop, 25.0)


@contextlib.asynccontextmanager
async def bed(cluster: Cluster, folder: Path) -> AsyncIterator[Bed]:
    """A fresh bed; its processes end, and its database and topics go, with this block."""
    with fresh_database(cluster) as dsn:
        made = Bed(cluster, folder, dsn, f"bench-{secrets.token_hex(3)}-")
        await made.prepare()
        try:
            yield made
        finally:
            for child in (*made.helpers, *made.children.values()):
                child.kill()
            with contextlib.suppress(Exception):
                await made.drop_topics()
