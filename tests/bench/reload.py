"""A new version of escalation's policy every two seconds, while one process decides: what that does to its decisions' time.

The process follows the real topics and keeps what it reads in the real database; its load is decisions alone, so that the
figures show what compiling and switching take from its event loop, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
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
from tests.bench.bed import tell
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
    text = (files("services.escalation") / "policy" / FILE).read_text(encoding="utf-8")
    tell(f"reload: making versions with {RULES} rules more")
    versions = _versions(text, int(ROUNDS * seconds / EVERY_S) + ROUNDS)
    with fresh_database(cluster) as dsn:
        await migrate(dsn, SERVICE)
        pool = await make_pool(dsn, service=SERVICE)
        replica = Replica(
            service=SERVICE, packaged=[packaged(text, origin=FILE)], kafka=kafka, pool=pool, progress=Progress()
        )  # fmt: skip
        following = asyncio.ensure_future(replica.run())
        try:
            await replica.caught_up()
            rounds, switched = [], 0
            await _decide(replica, 2.0)  # the first decisions of a process take longer
            machine, meter = Machine(), _meter(cluster)
            for _ in range(ROUNDS):
                tell(f"reload: {RATE:.0f} batches/s for {seconds:.0f} s, without and with reloads")
                calm = await _decide(replica, seconds)
                async with _reloading(kafka, versions) as done:
                    busy = await _decide(replica, seconds)
                switched += len(done)
                rounds.append(_round(calm, busy))
            others = machine.read(sum(meter.read().values()))["others"]
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
    """Later versions of the packaged document, with more rules: made before, so that only the process compiles."""
    head, _, rest = text.partition("\n  default:")
    more = "".join(RULE.format(number=number) for number in range(RULES))
    packaged = load_policy(text, origin="packaged").version
    found = []
    for number in range(packaged + 1, packaged + 1 + count):
        document = f"{head}{more}\n  default:{rest}".replace(f"\n  version: {packaged}\n", f"\n  version: {number}\n", 1)
        found.append((load_policy(document, origin="bench"), document))
    return found


@contextlib.asynccontextmanager
async def _reloading(kafka: KafkaSettings, versions: list[tuple[Policy, str]]) -> AsyncIterator[list[int]]:
    """Inside, one version after the other is published and put in force, and taken from `versions`."""
    done: list[int] = []
    task = asyncio.ensure_future(_reload(kafka, versions, done))
    try:
        yield done
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _reload(kafka: KafkaSettings, versions: list[tuple[Policy, str]], done: list[int]) -> None:
    while versions:
        began = time.monotonic()
        policy, document = versions.pop(0)

        def decide(held: Records, policy: Policy = policy, document: str = document) -> list[Any]:
            now = datetime.now(UTC)
            new = actions.publish(held, policy, document, "bench", now)
            request = Request("bench", "bench", now, in_the_past=True)
            return [*new, *actions.activate(held, new[0], 1, request, now)]

        await topics.write(kafka, SERVICE, decide)
        done.append(policy.version)
        await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
