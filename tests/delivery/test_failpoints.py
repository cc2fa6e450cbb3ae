"""Every failpoint, one by one: the process ends there, another begins, and the outcome is that of a day without crashes.

Then every pair for two workers that do the same work: one is frozen at the first point, the other crashes at the second.
What accept.* and consume.* do is seen by the tests with whole processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from unittest import mock

import pytest

from shared import failpoints
from shared.contracts.codec import decode, read_data
from shared.contracts.envelope import Event
from shared.postgres.dead_letters import save_batch
from tests.delivery.bench import SERVICE, Bench, command
from tests.delivery.mutants import MUTANTS
from tests.delivery.parts import Crash, Noted, Replica, states_of, subject_number

REACHED = [name for name in failpoints.POINTS if name.partition(".")[0] in ("save", "relay", "sweep", "timers")]
# A worker frozen in a transaction keeps its locks: it goes on when the other has come to an end, or waits for it.
THAW_S = 0.05
_numbers = itertools.count(1000)
_worker: ContextVar[Worker] = ContextVar("worker")


async def _at_failpoint(name: str) -> None:
    await _worker.get().at(name)


class Worker:
    """A process that does a day's work, step by step, and a step again when it ended in the middle."""

    def __init__(self, bench: Bench, at: Callable[[str, int], Awaitable[None]]) -> None:
        self._bench = bench
        self._at = at
        self.counts: Counter[str] = Counter()

    async def at(self, name: str) -> None:
        self.counts[name] += 1
        await self._at(name, self.counts[name])

    async def work(self, day: Day) -> None:
        _worker.set(self)
        try:
            self._begin()
            for step in (day.early, day.command, day.event, day.due, day.unsent, day.swept, day.rest):
                await self._through(step)
        finally:
            self._sending.cancel()

    def _begin(self) -> None:
        self.replica = self._bench.replica()
        self._sending = asyncio.ensure_future(self.replica.relay.run())

    async def _through(self, step: Callable[[Replica], Awaitable[bool]]) -> None:
        """Do the step until it says that it is completed; after a crash with a new process."""
        completed = False
        while not completed:
            doing = asyncio.ensure_future(step(self.replica))
            tasks = [doing, self._sending]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                doing.cancel()
                raise
            if not self._sending.done() and doing.exception() is None:
                completed = doing.result()
                await asyncio.sleep(0 if completed else 0.01)
                continue
            for task in tasks:
                task.cancel()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(error, Exception):
                    raise error
            self._begin()


class Day:
    """What happens to one complaint. Each step may be done again; it returns whether it is completed."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.subject = subject_number(next(_numbers))
        self._events = bench.incoming(self.subject, "one", "two", "three", "four", "five")
        self._start = next(_numbers) * 1000
        self._evening = 20

    async def early(self, replica: Replica) -> bool:
        await save_batch(replica.saves, [self._events[1]])
        await save_batch(replica.saves, self._events[:2])
        return True

    async def command(self, replica: Replica) -> bool:
        answer = await command(replica, self.subject, "command", key=str(self.subject))
        return answer.body == {"place": 3}

    async def event(self, replica: Replica) -> bool:
        await save_batch(replica.saves, [self._events[2]])
        return True

    async def due(self, replica: Replica) -> bool:
        await self._clock(10)
        await replica.timers._fire()
        return "t3" in await self._bench.tokens(self.subject)

    async def unsent(self, replica: Replica) -> bool:
        with mock.patch.object(replica.relay, "offer"):  # the queue in memory is full
            await save_batch(replica.saves, self._events[3:])
        return True

    async def swept(self, replica: Replica) -> bool:
        await self._clock(20)
        await replica.relay._sweep_once()
        return True

    async def rest(self, replica: Replica) -> bool:
        """What was claimed and left comes again after half a minute."""
        self._evening += 40
        await self._clock(self._evening)
        await replica.timers._fire()
        await replica.relay._sweep_once()
        return await self._bench.count("timer") == 0 and await self._bench.count("outbox") == 0

    async def outcome(self) -> tuple[Any, ...]:
        """State and events of the complaint, and that nothing else is left."""
        sequence, state = (await states_of(self._bench.conn, SERVICE, self.subject))[self.subject]
        sent: dict[int, str] = {}
        for record in self._bench.kafka.topics["escalations"]:
            event = decode(record, "escalations") if record.key == self.subject.bytes else None
            if isinstance(event, Event):
                token = read_data(Noted, event.data).token
                assert sent.setdefault(event.sequence, token) == token, "two events under one number"
        left = {table: await self._bench.count(table) for table in ("outbox", "timer", "held", "dead_letter")}
        return state, sequence, sorted(sent.items()), left

    async def _clock(self, seconds: int) -> None:
        await self._bench.conn.execute(
            "update clock set ahead = greatest(ahead, make_interval(secs => $1))", float(self._start + seconds)
        )


@pytest.fixture(autouse=True)
def armed() -> None:
    failpoints.arm(_at_failpoint)


async def without_crashes(bench: Bench) -> tuple[tuple[Any, ...], Counter[str]]:
    async def go_on(name: str, turn: int) -> None:
        pass

    day, worker = Day(bench), Worker(bench, go_on)
    await asyncio.wait_for(worker.work(day), 20)
    return await day.outcome(), worker.counts


async def with_a_crash(bench: Bench, point: str, turn: int) -> tuple[Any, ...]:
    async def crash(name: str, at: int) -> None:
        if (name, at) == (point, turn):
            raise Crash(name)

    day = Day(bench)
    await asyncio.wait_for(Worker(bench, crash).work(day), 20)
    return await day.outcome()


def crashes(counts: Counter[str]) -> list[tuple[str, int]]:
    """Each time that a point was reached."""
    return [(name, turn) for name in REACHED for turn in range(1, counts[name] + 1)]


async def test_a_crash_anywhere_changes_nothing(bench: Bench) -> None:
    expected, counts = await without_crashes(bench)
    assert {name for name in REACHED if counts[name] == 0} == set(), "the day does not lead there"
    assert expected[0].log[:5] == (
        ("intake", "one"), ("intake", "two"), ("command", "command"), ("intake", "three"), ("timer", "t3"),
    )  # fmt: skip
    assert expected[2] == list(enumerate(expected[0].emitted, 1))
    for point, turn in crashes(counts):
        assert await with_a_crash(bench, point, turn) == expected, f"crash at {point}, time {turn}"


async def test_one_worker_frozen_and_the_other_crashed_at_every_pair_of_points(bench: Bench) -> None:
    expected, _ = await without_crashes(bench)
    for frozen_at, crash_at in itertools.product(REACHED, REACHED):
        outcome = await pair(bench, frozen_at, crash_at)
        assert outcome == expected, f"one frozen at {frozen_at}, the other crashed at {crash_at}"


async def pair(bench: Bench, frozen_at: str, crash_at: str) -> tuple[Any, ...]:
    frozen, thawed = asyncio.Event(), asyncio.Event()

    async def freeze(name: str, turn: int) -> None:
        if name == frozen_at and not frozen.is_set():
            frozen.set()
            await asyncio.wait_for(thawed.wait(), 20)

    async def crash(name: str, turn: int) -> None:
        if (name, turn) == (crash_at, 1):
            raise Crash(name)

    day = Day(bench)
    first = asyncio.ensure_future(Worker(bench, freeze).work(day))
    await asyncio.wait_for(frozen.wait(), 20)
    second = asyncio.ensure_future(Worker(bench, crash).work(day))
    await asyncio.wait([second], timeout=THAW_S)
    thawed.set()
    await asyncio.wait_for(asyncio.gather(first, second), 20)
    return await day.outcome()


@pytest.mark.parametrize("mutant", ["deletefirst", "keeptimer", "nokey"])
async def test_these_tests_notice_a_protocol_without(mutant: str, bench: Bench) -> None:
    expected, counts = await without_crashes(bench)
    with MUTANTS[mutant]():
        for point, turn in crashes(counts):
            with contextlib.suppress(TimeoutError):
                if await asyncio.wait_for(with_a_crash(bench, point, turn), 2) == expected:
                    continue
            return
    pytest.fail(f"no crash shows {mutant}")
