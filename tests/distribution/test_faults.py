"""Processes that are killed, cut off and fed late or out of order, while versions are activated and rolled back.

Processes of escalation, of records, and of intake, which follows two documents: its policy and its reading rules.

Every decision must be by a version that was in force at the event's time, as far as anybody can know it: what had reached
Kafka FRESH_S before is known. A process that cannot be sure says so (`lag`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
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
from shared.policy.distribution.line import Versioned, in_force_at
from shared.policy.distribution.packaged import packaged
from shared.policy.distribution.replica import Replica
from shared.postgres.pool import Pool
from shared.telemetry.health import Progress
from shared.text.reading.rules import Rules
from tests.distribution.parts import HOUSE, OTHERS, SERVICE, publish, running, text_of, until

SECONDS, AT_MOST_S = 12.0, 90.0
OF = {"EscalationPolicy": SERVICE} | {kind: service for kind, (service, _) in OTHERS.items()}
KINDS = tuple(OF)  # of intake the policy first
RUNNING = ("escalation", "escalation", "intake", "intake", "records")
FRESH_S, LEAD = 0.8, timedelta(seconds=2.5)


class Made(NamedTuple):
    """One decision by a document of that kind: of something that happened `at`, made `now`."""

    kind: str
    at: datetime
    now: datetime
    activation: int
    late: bool
    lag: bool


class World:
    """What the test knows: when each activation was written, by service and number, and every decision."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.began = 0.0
        self.landed: dict[tuple[str, int], tuple[Activation, datetime]] = {}
        self.made: list[Made] = []
        self.faults: Counter[str] = Counter()

    def ends(self) -> bool:
        """After SECONDS, and on a busy machine when enough has happened."""
        ran = time.monotonic() - self.began
        return ran > AT_MOST_S or (ran > SECONDS and not self.missing())

    def missing(self) -> list[str]:
        """What the run must have seen to say anything."""
        sure = [made for made in self.made if not made.lag]
        missing = [name for name in ("killed", "lagged") if not self.faults[name]]
        for kind in KINDS:
            decided = [made.activation for made in sure if made.kind == kind]
            missing += [f"20 decisions by a {kind}"] if len(decided) <= 20 else []
            missing += [f"a switch of {kind}"] if len(set(decided)) < 2 else []
        return missing + ([] if any(made.late for made in sure) else ["a late decision"])

    def of_kind(self, kind: str) -> list[tuple[Activation, datetime]]:
        """The activations of one kind of document, by seq, and when each was written for sure."""
        return [self.landed[key] for key in sorted(self.landed) if self.landed[key][0].kind == kind]


async def test_no_decision_is_by_a_version_that_was_not_in_force(
    kafka: KafkaSettings, pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World(seed=20_261_122)
    monkeypatch.setattr(replica_module, "topics", SimpleNamespace(Reader=_unreliable(world), write=topics.write))
    monkeypatch.setattr(replica_module, "FRESH_S", FRESH_S)
    monkeypatch.setattr(replica_module, "WAIT_S", 1.0)
    monkeypatch.setattr(replica_module, "RETRY_S", 0.2)
    monkeypatch.setattr(actions, "MIN_LEAD", LEAD)

    for name, text in HOUSE.items():
        (tmp_path / name).write_text(text)

    def starts(service: str) -> Replica:
        kinds = [kind for kind in KINDS if OF[kind] == service]
        documents = [packaged(text_of(kind, 1), origin=kind, folder=tmp_path) for kind in kinds]
        return Replica(service=service, packaged=documents, kafka=kafka, pool=pool, progress=Progress())

    for service in set(OF.values()):
        async with running(starts(service)) as (one,):
            await until(lambda one=one: one.fresh and one._recorded)  # type: ignore[misc]
        for a in (await topics.read_all(kafka)).of_service(service):
            world.landed[service, a.seq] = (a, a.decided_at)
    world.began = time.monotonic()
    await asyncio.gather(
        *(_operate(world, kafka, service) for service in sorted(set(OF.values()))),
        *(_process(world, partial(starts, service)) for service in RUNNING),
    )

    assert not world.missing()
    wrong = [made for made in world.made if not made.lag and (made.activation, made.late) not in _allowed(world, made)]
    assert not wrong, (len(wrong), wrong[0], _allowed(world, wrong[0]), world.of_kind(wrong[0].kind))


def _allowed(world: World, made: Made) -> set[tuple[int, bool]]:
    """What may decide it, and whether late: by all that was surely known, and by what might have been known besides."""
    written = world.of_kind(made.kind)
    surely = sum(1 for _, landed in written if landed < made.now - timedelta(seconds=FRESH_S))
    perhaps = sum(1 for a, _ in written if a.decided_at <= made.now)
    known = ([a for a, _ in written[:count]] for count in range(surely, perhaps + 1))
    found = ((in_force_at(each, made.at), in_force_at(each, made.now)) for each in known)
    return {(then.seq if then else 0, then != now) for then, now in found}


async def _operate(world: World, kafka: KafkaSettings, service: str) -> None:
    """Publish and activate one version after the other of a service's documents; every third time roll back."""
    kinds, number = [kind for kind in KINDS if OF[kind] == service], 1
    while not world.ends():
        await asyncio.sleep(world.random.uniform(0.1, 0.5))
        kind, now = world.random.choice(kinds), datetime.now(UTC)
        current = in_force_at([a for a, _ in world.of_kind(kind)], now)
        held = await topics.read_all(kafka)
        if world.random.random() < 0.4 and current is not None and current.version > 1:
            version = held.versions[f"{current.policy}/{current.version}"]

            def decide(r: topics.Records, of: object = version) -> list[Activation]:
                return actions.roll_back(r, of, None, Request("tests", "bad"), datetime.now(UTC))  # type: ignore[arg-type]
        else:
            number += 1
            version = await publish(kafka, text_of(kind, number))

            def decide(r: topics.Records, of: object = version) -> list[Activation]:
                return actions.activate(r, of, 1, Request("tests", "good"), datetime.now(UTC))  # type: ignore[arg-type]

        written_now = await topics.write(kafka, OF[kind], decide)
        await topics.read_all(kafka)  # a commit is acknowledged before readers can see what it commits
        for written in written_now:
            assert isinstance(written, Activation)
            world.landed[OF[kind], written.seq] = (written, datetime.now(UTC))


async def _process(world: World, start: Callable[[], Replica]) -> None:
    """A process that decides; now and then it is killed, and another one begins."""
    while not world.ends():
        async with running(start()) as (one,):
            until_killed = time.monotonic() + world.random.uniform(1.0, 5.0)
            while time.monotonic() < until_killed and not world.ends():
                await _decide(world, one)
                await asyncio.sleep(0.01)
        world.faults["killed"] += 1


async def _decide(world: World, one: Replica) -> None:
    try:
        async with asyncio.timeout(3.0):
            await one.caught_up()
        now = datetime.now(UTC)
        at = now - timedelta(seconds=world.random.choice([0.0, 0.0, 0.5, 3.0]))
        found: list[Versioned] = [one.in_force(at, now)]
        if found[0].service == "intake":
            found.append(one.other(Rules, at, now))
    except (NotReady, TimeoutError):
        return  # it waits: no decision without a version
    world.made += [Made(by.kind, at, now, by.activation, by.late, by.lag) for by in found]


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
