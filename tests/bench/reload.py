"""A new version of escalation's policy every two seconds, while one process decides: what that does to its decisions' time.

The process follows the real topics and keeps what it reads in the real database; its load is decisions alone, so that the
figures show what compiling and switching take from its event loop, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from deploy.topics import create_topics
from shared.config import KafkaSettings
from shared.policy.distribution import actions, topics
from shared.policy.distribution.actions import Request
from shared.policy.distribution.packaged import packaged
from shared.policy.distribution.records import Records
from shared.policy.distribution.replica import Replica
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.postgres.migrate import migrate
from shared.postgres.pool import make_pool
from shared.telemetry.health import Progress
from tests.bench.bed import ROOT, tell
from tests.bench.cost import Machine, Meter
from tests.bench.policies import complaints
from tests.harness.cluster import Cluster, fresh_database

SERVICE, FILE = "escalation", "escalation.retail.yaml"
RATE = 200.0  # batches a second
BATCH = 5  # complaints in each
EVERY_S = 2.0
ROUNDS = 5
ABOVE_MS = 50.0
RULES = 50  # besides those of the packaged policy
RULE = """
    - id: BENCH-{number}
      when: complaint.severity == 5 && complaint.category == "billing" && complaint.tags.size() > {number}
      then: {{tier: 2}}"""


async def reload(cluster: Cluster, *, seconds: float) -> dict[str, Any]:
    """Time from when a batch was due until it was decided, without and with reloads, in turn.

    What reloads cost is told by the round in the middle; beside it, how many batches took longer than `ABOVE_MS` and how
    many cores others took meanwhile: on a busy machine the batches without reloads are late, too.
    """
    kafka = KafkaSettings.model_construct(
        bootstrap=cluster.kafka_bootstrap, topic_prefix=f"reload-{secrets.token_hex(3)}-"
    )
    await create_topics(kafka)
    text = _text()
    tell(f"reload: making versions with {RULES} rules more")
    with fresh_database(cluster) as dsn:
        await migrate(dsn, SERVICE)
        pool = await make_pool(dsn, service=SERVICE)
        replica = Replica(
            service=SERVICE, packaged=[packaged(text, origin=FILE)], kafka=kafka, pool=pool, progress=Progress()
        )  # fmt: skip
        following = asyncio.ensure_future(replica.run())
        try:
            await replica.caught_up()
            async with owner(kafka, int(ROUNDS * (seconds / EVERY_S + 2)) + 1) as people:
                await people.one()  # what is done first takes longer: versions, decisions
                await _decide(replica, 2.0)
                rounds, machine, meter = [], Machine(), _meter(cluster)
                for _ in range(ROUNDS):
                    tell(f"reload: {RATE:.0f} batches/s for {seconds:.0f} s, without and with reloads")
                    calm = await _decide(replica, seconds)
                    async with people.busy():
                        busy = await _decide(replica, seconds)
                    rounds.append(_round(calm, busy))
                others = machine.read(sum(meter.read().values()))["others"]
                switched = people.reloads - 1
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            await pool.close()
    middle = sorted(rounds, key=lambda each: each["effect_ms"])[ROUNDS // 2]
    total = {name: sum(each[name] for each in rounds) for name in ("batches", "calm_above", "reloading_above")}
    about = {"rules": RULES, "batches_s": RATE, "seconds": seconds, "above_ms": ABOVE_MS, "others": others}
    return {**middle, **total, "rounds": rounds, "reloads": switched, **about}


def _round(calm: list[float], busy: list[float]) -> dict[str, float]:
    return {
        "batches": len(busy),
        "calm_p99_ms": _p99(calm),
        "reloading_p99_ms": _p99(busy),
        "effect_ms": round(_p99(busy) - _p99(calm), 1),
        "worst_ms": round(1e3 * max(busy), 1),
        "calm_above": sum(1e3 * took > ABOVE_MS for took in calm),
        "reloading_above": sum(1e3 * took > ABOVE_MS for took in busy),
    }


def _meter(cluster: Cluster) -> Meter:
    stack = cluster.stack
    return Meter({} if stack is None else {"kafka": stack.kafka.child.pid, "postgres": stack.postgres.child.pid})


async def _decide(replica: Replica, seconds: float) -> list[float]:
    """Decide batch after batch, each when it is due; the time that each took from then, in seconds.

    A batch that is late makes the next ones late: their time counts from when they were due, as users would feel it.
    """
    facts, took, number = complaints(400), [], 0
    began = time.perf_counter()
    while (due := began + number / RATE) < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await replica.caught_up()
        now = datetime.now(UTC)
        policy = replica.in_force(now, now)
        for each in range(BATCH):
            policy.decide(facts[(number * BATCH + each) % len(facts)])
        took.append(time.perf_counter() - due)
        number += 1
    return took


def _p99(took: list[float]) -> float:
    return round(1000 * sorted(took)[int(0.99 * len(took))], 1)


def _versions(text: str, count: int) -> list[tuple[Policy, str]]:
    """Later versions of the packaged document, with more rules."""
    head, _, rest = text.partition("\n  default:")
    more = "".join(RULE.format(number=number) for number in range(RULES))
    packaged = load_policy(text, origin="packaged").version
    found = []
    for number in range(packaged + 1, packaged + 1 + count):
        document = f"{head}{more}\n  default:{rest}".replace(f"\n  version: {packaged}\n", f"\n  version: {number}\n", 1)
        found.append((load_policy(document, origin="bench"), document))
    return found


def _text() -> str:
    return (files("services.escalation") / "policy" / FILE).read_text(encoding="utf-8")


class Owner:
    """The policy owner: a process of its own, as `amends policy` is one, that puts a version in force when it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.reloads = 0

    async def one(self) -> None:
        """The next version; returns when it is written."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"next\n")
        await self._process.stdin.drain()
        if await self._process.stdout.readline() != b"done\n":
            raise RuntimeError("the process that activates versions has ended")
        self.reloads += 1

    @contextlib.asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Inside, a new version comes into force every EVERY_S seconds."""
        task = asyncio.ensure_future(self._go_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.shield(self.one())
            await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))


@contextlib.asynccontextmanager
async def owner(kafka: KafkaSettings, versions: int) -> AsyncIterator[Owner]:
    """A policy owner with so many versions at hand."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.reload", kafka.bootstrap, kafka.topic_prefix, str(versions), cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the process that activates versions did not start")
        yield Owner(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _own(kafka: KafkaSettings, count: int) -> None:
    """The owner's process: a line on stdin, a version in force, a line on stdout."""
    versions = iter(_versions(_text(), count))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        policy, document = next(versions)

        def decide(held: Records, policy: Policy = policy, document: str = document) -> list[Any]:
            now = datetime.now(UTC)
            new = actions.publish(held, policy, document, "bench", now)
            request = Request("bench", "bench", now, in_the_past=True)
            return [*new, *actions.activate(held, new[0], 1, request, now)]

        await topics.write(kafka, SERVICE, decide)
        print("done", flush=True)


if __name__ == "__main__":
    where = KafkaSettings.model_construct(bootstrap=sys.argv[1], topic_prefix=sys.argv[2])
    asyncio.run(_own(where, int(sys.argv[3])))
