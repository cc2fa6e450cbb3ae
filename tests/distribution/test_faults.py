"""Processes that are killed, cut off and fed late or out of order, while versions are activated and rolled back.

Every decision must be by a version that was in force at the event's time, as far as anybody can know it: what had reached
Kafka FRESH_S before is known. A process that cannot be sure says so (`lag`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from shared.config import KafkaSettings
from shared.contracts.policies import Activation
from shared.errors import NotReady
from shared.policy.distribution import actions, topics
from shared.policy.distribution import replica as replica_module
from shared.policy.distribution.actions import Request
from shared.policy.distribution.line import in_force_at
from shared.policy.distribution.replica import Replica
from shared.postgres.pool import Pool
from tests.distribution.parts import SERVICE, document, publish, replica, running, until

SECONDS = 12.0
FRESH_S, LEAD = 0.8, timedelta(seconds=2.5)


class Made(NamedTuple):
    """One decision: of something that happened `at`, made `now`."""

    at: datetime
    now: datetime
    activation: int
    late: bool
    lag: bool


class World:
    """What the test knows: when each activation was written, and every decision."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.landed: dict[int, tuple[Activation, datetime]] = {}
        self.made: list[Made] = []
        self.faults: Counter[str] = Counter()


async def test_no_decision_is_by_a_version_that_was_not_in_force(
    kafka: KafkaSettings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed=20_261_122)
    monkeypatch.setattr(replica_module, "topics", SimpleNamespace(Reader=_unreliable(world), write=topics.write))
    monkeypatch.setattr(replica_module, "FRESH_S", FRESH_S)
    monkeypatch.setattr(replica_module, "WAIT_S", 1.0)
    monkeypatch.setattr(replica_module, "RETRY_S", 0.2)
    monkeypatch.setattr(actions, "MIN_LEAD", LEAD)

    async with running(replica(kafka, pool)) as (one,):
        await until(lambda: one.fresh and one._recorded)
    for a in (await topics.read_all(kafka)).of_service(SERVICE):
        world.landed[a.seq] = (a, a.decided_at)
    deadline = time.monotonic() + SECONDS
    await asyncio.gather(_operate(world, kafka, deadline), *(_process(world, kafka, pool, deadline) for _ in range(3)))

    assert all(world.faults[name] for name in ("killed", "lagged")), world.faults
    sure = [made for made in world.made if not made.lag]
    assert len(sure) > 100
    assert {made.activation for made in sure} > {1}, "something was switched"
    wrong = [made for made in sure if (made.activation, made.late) not in _allowed(world, made)]
    assert not wrong, (len(wrong), wrong[0], _allowed(world, wrong[0]), world.landed)
    assert any(made.late for made in sure)


def _allowed(world: World, made: Made) -> set[tuple[int, bool]]:
    """What may decide it, and whether late: by all that was surely known, and by what might have been known besides."""
    written = [world.landed[seq] for seq in sorted(world.landed)]
    surely = sum(1 for _, landed in written if landed < made.now - timedelta(seconds=FRESH_S))
    perhaps = sum(1 for a, _ in written if a.decided_at <= made.now)
    known = ([a for a, _ in written[:count]] for count in range(surely, perhaps + 1))
    found = ((in_force_at(each, made.at), in_force_at(each, made.now)) for each in known)
    return {(then.seq if then else 0, then != now) for then, now in found}


async def _operate(world: World, kafka: KafkaSettings, deadline: float) -> None:
    """Publish and activate one version after the other; every third time roll back."""
    number = 1
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(0.1, 0.5))
        now = datetime.now(UTC)
        current = in_force_at([a for a, _ in world.landed.values()], now)
        held = await topics.read_all(kafka)
        if world.random.random() < 0.4 and current is not None and current.version > 1:
            version = held.versions[f"test.policy/{current.version}"]

            def decide(r: topics.Records, of: object = version) -> list[Activation]:
                return actions.roll_back(r, of, None, Request("tests", "bad"), datetime.now(UTC))  # type: ignore[arg-type]
        else:
            number += 1
            version = await publish(kafka, document(number))

            def decide(r: topics.Records, of: object = version) -> list[Activation]:
                return actions.activate(r, of, 1, Request("tests", "good"), datetime.now(UTC))  # type: ignore[arg-type]

        for written in await topics.write(kafka, SERVICE, decide):
            assert isinstance(written, Activation)
            world.landed[written.seq] = (written, datetime.now(UTC))


async def _process(world: World, kafka: KafkaSettings, pool: Pool, deadline: float) -> None:
    """A process that decides; now and then it is killed, and another one begins."""
    while time.monotonic() < deadline:
        async with running(replica(kafka, pool)) as (one,):
            until_killed = min(deadline, time.monotonic() + world.random.uniform(1.0, 5.0))
            while time.monotonic() < until_killed:
                await _decide(world, one)
                await asyncio.sleep(0.01)
        world.faults["killed"] += 1


async def _decide(world: World, one: Replica) -> None:
    try:
        async with asyncio.timeout(3.0):
            await one.caught_up()
        now = datetime.now(UTC)
        at = now - timedelta(seconds=world.random.choice([0.0, 0.0, 0.5, 3.0]))
        policy = one.in_force(at, now)
    except (NotReady, TimeoutError):
        return  # it waits: no decision without a version
    world.made.append(Made(at, now, policy.activation, policy.late, policy.lag))


def _unreliable(world: World) -> type[topics.Reader]:
    class Unreliable(topics.Reader):
        def __init__(self, kafka: KafkaSettings, names: list[str]) -> None:
            super().__init__(kafka, names, poll_ms=50)

        async def poll(self) -> list[tuple[str, str, bytes | None]]:
            if world.random.random() < 0.03:
                world.faults["lagged"] += 1
                await asyncio.sleep(world.random.uniform(0.2, 2.0))
            if world.random.random() < 0.01:
                world.faults["cut off"] += 1
                raise ConnectionError
            records = await super().poll()
            world.random.shuffle(records)
            return records

    return Unreliable
