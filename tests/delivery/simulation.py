"""A random simulation of the delivery protocol on a real PostgreSQL, with Kafka as lists and crashes everywhere.

intake -> escalation -> records, two replicas of each. Commands race batches and timers on the same few complaints;
the replicas read everything both (zombies) and fall back to older offsets (rebalances); relays duplicate, reorder and
fail; processes crash at every failpoint; connections are killed; a part of the inputs is poison until it is "fixed" and
replayed. Then everything must be there, once and in order. What must be there is known from what the commands
acknowledged, and from nothing else.

    python -m tests.delivery.simulation SEED [COMMANDS] [--runs N] [--mutant NAME]

The seed decides all that is decided here; how the tasks interleave also depends on PostgreSQL's timing, so a failing
seed fails again mostly, not always. The servers are those of tests/harness/cluster.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any
from unittest import mock
from uuid import UUID

import asyncpg
import structlog

from shared import failpoints
from shared.postgres import commands, dead_letters, relay, timers
from shared.postgres.pool import make_pool
from tests.delivery.checker import Books, check
from tests.delivery.mutants import MUTANTS
from tests.delivery.parts import (
    READS,
    SERVICES,
    TABLES,
    Crash,
    Faulty,
    MemoryKafka,
    Note,
    create_schemas,
    subject_number,
)
from tests.delivery.processes import Process
from tests.harness.cluster import fresh_database, running_cluster

COMPLAINTS = 10
CLIENTS = 6
SPEED = 60
# Far more than a run takes (two seconds): only one that is stuck gets there.
ANSWER_S, DRAIN_S = 120.0, 180.0
REPLAY_ROUNDS = 12
LANES = 3

_world: ContextVar[World] = ContextVar("world")


async def _at_failpoint(name: str) -> None:
    await _world.get().at(name)


class World:
    """One run: the replicas, the clients, and the books that the checker believes."""

    def __init__(self, dsn: str, seed: int, count: int) -> None:
        self.random = random.Random(seed)
        self.kafka = MemoryKafka({topic: [] for topic in ("complaints", "escalations")})
        self.faulty = Faulty()
        self.committed = {service: dict.fromkeys(READS[service], 0) for service in SERVICES}
        self.chaos = True
        self.crashes = 0
        self.ended: set[asyncio.Task[Any]] = set()
        self.books = Books(COMPLAINTS, self.kafka)
        self.problems: list[str] = []
        self._crash_rate = self.random.choice((0.002, 0.01, 0.02))
        self._dsn = dsn
        self._count = count
        self._processes: dict[str, list[Process]] = {}

    async def run(self) -> list[str]:
        """Returns what is wrong in the end: nothing, if the protocol holds."""
        async with contextlib.AsyncExitStack() as stack:
            self._conn = await asyncpg.connect(self._dsn)
            stack.push_async_callback(self._conn.close)
            _world.set(self)  # every task that begins from here on meets this world's faults
            for service in SERVICES:
                pools = [await make_pool(self._dsn, service=service, max_size=6) for _ in range(2)]
                for pool in pools:
                    stack.callback(pool.terminate)
                self._processes[service] = [Process(self, service, pool) for pool in pools]
            stack.push_async_callback(self._stop)
            killer = asyncio.ensure_future(self._kill_connections())
            stack.callback(killer.cancel)
            try:
                await asyncio.wait_for(asyncio.gather(*(self._client(number) for number in range(CLIENTS))), ANSWER_S)
            except TimeoutError:
                return [*self.problems, "the clients got no answers"]
            self._add_garbage()
            self.chaos = False
            await killer  # it uses the connection that looks whether all is at rest
            if not await self._drained():
                return [*self.problems, f"not drained: {await self._what_is_left()}"]
        return [*self.problems, *await check(self._dsn, self.books)]

    async def _stop(self) -> None:
        for process in itertools.chain(*self._processes.values()):
            process.stop()
        # On a pool that is already gone, asyncpg may wait for ever.
        await asyncio.wait(self.ended, timeout=10)

    async def at(self, name: str) -> None:
        """A failpoint was reached: crash, lose the answer, or be slow."""
        if self.chaos:
            x = self.random.random()
            if x < self._crash_rate:
                raise Crash(name)
            if name == "save.after_commit" and x < self._crash_rate + 0.01:
                raise asyncpg.ConnectionDoesNotExistError("committed, but the answer is lost")
            if x > 0.9:
                await asyncio.sleep(self.random.random() * (0.01 if x < 0.99 else 0.1))

    async def _kill_connections(self) -> None:
        while self.chaos:
            await asyncio.sleep(self.random.random() * 0.4)
            pids = await self._conn.fetch(
                "select pid from pg_stat_activity where datname = current_database() and application_name like 'amends-%'"
            )
            if pids:
                await self._conn.execute("select pg_terminate_backend($1)", self.random.choice(pids)["pid"])

    # --- what comes in ---

    async def _client(self, client: int) -> None:
        r = self.random
        for number in range(self._count // CLIENTS):
            service = r.choice(("intake", "intake", "escalation"))
            poison = r.choice(("decide", "sql")) + ":" + r.choice(("escalation", "records"))
            token = f"{client}-{number}" + (f"!{poison}" if service == "intake" and r.random() < 0.05 else "")
            refused = r.random() < 0.05
            subject = subject_number(r.randrange(COMPLAINTS))
            first = await self._until_answered(service, subject, token + ("refuse" if refused else ""))
            if (first.status == 409) != refused:
                self.problems.append(f"{token}: answered {first.status}")
            if refused:
                continue
            self.books.acknowledged[service, token] = subject
            if r.random() < 0.1:
                again = await self._until_answered(service, subject, token)
                if not again.replayed or again.body != first.body:
                    self.problems.append(f"{token}: answered {first.body}, and to the same key {again}")
            if r.random() < 0.01:
                self._add_garbage()

    async def _until_answered(self, service: str, subject: UUID, token: str) -> commands.Answer:
        """Ask one replica, or both at the same time; again after a crash, with the same key, as a caller should."""
        while True:
            asked = self.random.sample(self._processes[service], self.random.choice((1, 1, 1, 2)))
            calls = [
                process.spawn(
                    commands.execute(
                        process.replica.saves, subject=subject, command=Note(token=token), key=token, caller="client",
                        carrier=None, answer=lambda decision: {"place": len(decision.state.log)},
                    )
                )
                for process in asked
            ]  # fmt: skip
            await asyncio.wait(calls)
            answers = [call.result() for call in calls if not call.cancelled() and call.exception() is None]
            if len(answers) == 2 and answers[0].body != answers[1].body:
                self.problems.append(f"{token}: two answers to one key: {answers}")
            if answers:
                return answers[0]

    def _add_garbage(self) -> None:
        topic = self.random.choice(("complaints", "escalations"))
        position = self.kafka.length(topic)
        self.kafka.append(topic, b"key", [("ce_source", b"/elsewhere")], b"garbage")
        self.books.garbage |= {(service, f"{topic}/0/{position}") for service in SERVICES if topic in READS[service]}

    # --- the end ---

    async def _drained(self) -> bool:
        """Let everything come to rest; then fix the poison, replay the dead letters, and let it come to rest again."""
        deadline, rounds = time.monotonic() + DRAIN_S, 0
        while time.monotonic() < deadline and rounds < REPLAY_ROUNDS and len(self.problems) < 10:
            await asyncio.sleep(0.05)
            if await self._at_rest():
                parked = await self._parked()
                if not parked:
                    return True
                self.faulty.on = False
                rounds += 1
                for service, letter_id in parked:
                    process = self.random.choice(self._processes[service])
                    await asyncio.wait([process.spawn(dead_letters.replay(process.replica.saves, letter_id))])
        return False

    async def _at_rest(self) -> bool:
        for offsets in self.committed.values():
            if any(offset < self.kafka.length(topic) for topic, offset in offsets.items()):
                return False
        for service in SERVICES:
            if await self._conn.fetchval(f"select exists (select from {service}.outbox) or exists (select from {service}.timer)"):
                return False
        return True

    async def _parked(self) -> list[tuple[str, int]]:
        found = []
        for service in SERVICES:
            rows = await self._conn.fetch(f"select id from {service}.dead_letter where complaint_id is not null")
            found += [(service, row["id"]) for row in rows]
        return found

    async def _what_is_left(self) -> dict[str, Any]:
        left: dict[str, Any] = {"committed": self.committed, "topics": {t: len(log) for t, log in self.kafka.topics.items()}}
        for service in SERVICES:
            for table in ("outbox", "timer", "held", "dead_letter"):
                left[f"{service}.{table}"] = await self._conn.fetchval(f"select count(*) from {service}.{table}")
        return left


@contextlib.contextmanager
def conditions(mutant: str | None) -> Iterator[None]:
    """What holds for all runs of this process: failpoints armed, loops in step with the fast time, the mutant if any."""
    failpoints.arm(_at_failpoint)
    try:
        with (
            mock.patch.object(relay, "SWEEP_EVERY_S", 0.08),
            mock.patch.object(timers, "LONGEST_SLEEP_S", 0.05),
            MUTANTS[mutant]() if mutant else contextlib.nullcontext(),
        ):
            yield
    finally:
        failpoints.arm(None)


async def simulate(dsn: str, seed: int, count: int, name: str = "") -> list[str]:
    """One run in the given database, whose tables are emptied, under `conditions`. Returns what is wrong."""
    started = time.monotonic()
    await empty(dsn)
    world = World(dsn, seed, count)
    wrong = await world.run()
    complaints, escalations = (len(world.kafka.topics[topic]) for topic in ("complaints", "escalations"))
    print(
        f"seed {seed}{name}: {len(world.books.acknowledged)} commands, {world.crashes} crashes, {complaints} + {escalations} records, "
        f"{time.monotonic() - started:.1f} s: {f'{len(wrong)} WRONG {wrong[:3]}' if wrong else 'right'}",
        flush=True,
    )
    return wrong


async def empty(dsn: str) -> None:
    """Make the schemas, or empty them for the next run."""
    conn = await asyncpg.connect(dsn)
    try:
        if await conn.fetchval("select to_regclass('intake.outbox')") is None:
            await create_schemas(dsn, speed=SPEED)
        else:
            for service in SERVICES:
                await conn.execute(f"set search_path to {service}; truncate {TABLES}")
    finally:
        await conn.close()


async def simulate_all(
    dsns: Sequence[str], seeds: Sequence[int], count: int, *, mutant: str | None = None, until_wrong: bool = False,
    within_s: float = float("inf"),
) -> dict[int, list[str]]:  # fmt: skip
    """Runs the seeds, as many at a time as there are databases, and begins none after `within_s`.

    Returns by seed what is wrong.
    """
    started = time.monotonic()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # asyncpg complains of connections that we kill
    left = list(reversed(seeds))
    wrong: dict[int, list[str]] = {}

    async def lane(dsn: str) -> None:
        while left and not (until_wrong and any(wrong.values())) and time.monotonic() < started + within_s:
            seed = left.pop()
            wrong[seed] = await simulate(dsn, seed, count, f" mutant {mutant}" if mutant else "")

    with conditions(mutant):
        await asyncio.gather(*(lane(dsn) for dsn in dsns))
    return wrong


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.delivery.simulation", description="Simulate the delivery protocol under faults.",
        epilog="Example: python -m tests.delivery.simulation 7 600 --runs 20",
    )  # fmt: skip
    parser.add_argument("seed", type=int)
    parser.add_argument("commands", type=int, nargs="?", default=240)
    parser.add_argument("--runs", type=int, default=1, help="run this many seeds, from SEED on")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="break the protocol in this way: the run must fail")
    given = parser.parse_args(arguments)
    seeds = range(given.seed, given.seed + given.runs)
    with running_cluster() as cluster, contextlib.ExitStack() as stack:
        dsns = [stack.enter_context(fresh_database(cluster)) for _ in range(min(LANES, given.runs))]
        with quiet():
            wrong = asyncio.run(simulate_all(dsns, seeds, given.commands, mutant=given.mutant))
            return int(any(wrong.values()))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No log lines about crashes: they are the point here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
