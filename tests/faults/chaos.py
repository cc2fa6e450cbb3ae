"""The faults of the main run, each a few seconds long, in an order that the seed gives."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg

from tests.faults.client import Client
from tests.faults.fleet import CONSUMERS, SESSION_TIMEOUT_S, Fleet

SERVICES = ("intake", *CONSUMERS)
FREEZE_S = SESSION_TIMEOUT_S + 2.0
KAFKA_DOWN_S = 20.0
TERMINATE_ALL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
Fault = Callable[[], Awaitable[None]]


class Chaos:
    """Does every fault once at least. `done` counts them; `down` is when Kafka was away (monotonic times)."""

    def __init__(self, fleet: Fleet, client: Client, *, seed: int) -> None:
        self._fleet = fleet
        self._client = client
        self._random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.down = (0.0, 0.0)
        self._frozen: set[str] = set()
        self._thawing: set[asyncio.Task[None]] = set()
        self._started = time.monotonic()

    async def run(self, seconds: float) -> None:
        """Every fault once, in random order; then more of the short ones until `seconds` are over."""
        each: list[Fault] = [
            *(self._kill_of(service) for service in SERVICES),
            *(self._freeze_of(service) for service in SERVICES),
            self.kill_kafka,
            self.freeze_kafka,
            self.kafka_down,
            self.restart_postgres,
            self.terminate_connections,
            self.scale_up_and_down,
        ]
        self._random.shuffle(each)
        for fault in each:
            await fault()
            await asyncio.sleep(0.3 + self._random.random())
        more = [fault for fault in each if fault not in (self.kafka_down, self.scale_up_and_down)]
        while time.monotonic() - self._started < seconds:
            await self._random.choice(more)()
            await asyncio.sleep(0.5 + self._random.random())
        await asyncio.gather(*self._thawing)

    def _note(self, fault: str, about: str = "") -> None:
        self.done[fault] += 1
        print(f"{time.monotonic() - self._started:6.1f} s  {fault} {about}", flush=True)

    # --- services ---

    def _kill_of(self, service: str) -> Fault:
        async def kill() -> None:
            name = self._random.choice(self._fleet.names(service))
            self._note(f"SIGKILL {service}", name)
            await asyncio.to_thread(self._fleet.kill, name)

        return kill

    def _freeze_of(self, service: str) -> Fault:
        async def freeze() -> None:
            """Past the session timeout: another replica takes over, then this one wakes up and goes on as if."""
            awake = [name for name in self._fleet.names(service) if name not in self._frozen]
            if not awake:
                return
            name = self._random.choice(awake)
            self._note(f"SIGSTOP {service}", name)
            await asyncio.to_thread(self._fleet.freeze, name)
            self._frozen.add(name)
            self._thawing.add(asyncio.create_task(self._thaw(name)))

        return freeze

    async def _thaw(self, name: str) -> None:
        await asyncio.sleep(FREEZE_S)
        await asyncio.to_thread(self._fleet.thaw, name)
        self._frozen.discard(name)

    async def scale_up_and_down(self) -> None:
        """A third replica of every consumer joins under load and leaves again in order: two rebalances each."""
        names = [f"{service}-3" for service in CONSUMERS]
        self._note("rebalance", "up")
        await asyncio.to_thread(self._fleet.start, *names)
        await asyncio.to_thread(self._fleet.await_ready, *names)
        self._note("rebalance", "down")
        codes = await asyncio.gather(*(asyncio.to_thread(self._fleet.stop, name) for name in names))
        if any(codes):
            self._client.journal.complaints.append(f"SIGTERM under load: exit codes {codes}, not 0")

    # --- Kafka ---

    async def kill_kafka(self) -> None:
        self._note("SIGKILL Kafka")
        await asyncio.to_thread(self._fleet.stack.kafka.kill)
        await asyncio.to_thread(self._fleet.stack.kafka.start)

    async def freeze_kafka(self) -> None:
        self._note("SIGSTOP Kafka")
        await asyncio.to_thread(self._fleet.stack.kafka.freeze)
        await asyncio.sleep(self._random.choice((3.0, FREEZE_S)))
        await asyncio.to_thread(self._fleet.stack.kafka.thaw)

    async def kafka_down(self) -> None:
        """Kafka is away for 20 s. Intake accepts as ever, and one that is started meanwhile does too."""
        while any(name.startswith("intake") for name in self._frozen):  # its requests would wait, Kafka or not
            await asyncio.sleep(0.1)
        await asyncio.to_thread(self._fleet.await_ready, *self._fleet.names("intake"))
        self._note("Kafka down", "20 s")
        await asyncio.to_thread(self._fleet.stack.kafka.kill)
        began = time.monotonic()
        await asyncio.to_thread(self._fleet.start, "intake-3")
        await asyncio.to_thread(self._fleet.await_ready, "intake-3")
        url = self._fleet.replicas["intake-3"].process.url
        for _ in range(20):
            await self._client.send(self._client.message(), url=url)
        await asyncio.sleep(max(0.0, KAFKA_DOWN_S - (time.monotonic() - began)))
        self.down = (began, time.monotonic())
        await asyncio.to_thread(self._fleet.stack.kafka.start)
        self._note("Kafka up")

    # --- PostgreSQL ---

    async def restart_postgres(self) -> None:
        self._note("PostgreSQL immediate restart")
        await asyncio.to_thread(self._fleet.stack.postgres.restart_immediately)

    async def terminate_connections(self) -> None:
        self._note("PostgreSQL terminate all")
        conn = await asyncpg.connect(self._fleet.dsn, timeout=10)
        try:
            await conn.fetchval(TERMINATE_ALL)
        finally:
            await conn.close()
