"""A new version of escalation's policy every two seconds, while complaints come in: what that does to their latency."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from shared.config import KafkaSettings
from shared.policy.distribution import actions, topics
from shared.policy.distribution.actions import Request
from shared.policy.distribution.records import Records
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from tests.bench.bed import Bed, bed, tell
from tests.bench.whole_way import Way, _latencies, _percentile
from tests.harness.cluster import Cluster

RATE = 150.0  # complaints a second: well below what lasts, so that waiting shows as waiting
EVERY_S = 2.0
RULES = 50  # besides those of the packaged policy
RULE = """
    - id: BENCH-{number}
      when: complaint.severity == 5 && complaint.category == "billing" && complaint.tags.size() > {number}
      then: {{tier: 2}}"""


async def reload(cluster: Cluster, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Latencies to the ledger without and with reloads, in turn twice; the lesser difference of the p99 counts."""
    async with bed(cluster, folder) as made:
        way = Way(made, 1)
        await way.start({})
        await way.run(RATE, 5.0, random_gaps=True)
        text = (files("services.escalation") / "policy" / "escalation.retail.yaml").read_text(encoding="utf-8")
        tell(f"reload: making versions with {RULES} rules more")
        versions = _versions(text, int(2 * seconds / EVERY_S))
        rounds, switched = [], 0
        for _ in range(2):
            figures: dict[str, float] = {}
            for name in ("calm", "reloading"):
                async with _reloading(made, versions if name == "reloading" else []) as done:
                    run = await way.run(RATE, seconds, random_gaps=True)
                switched += len(done)
                to_ledger, _ = _latencies(run, made.id_key)
                figures |= {f"{name}_p{p}_ms": round(1000 * _percentile(to_ledger, p), 1) for p in (50, 99)}
            figures["effect_ms"] = round(figures["reloading_p99_ms"] - figures["calm_p99_ms"], 1)
            rounds.append(figures)
        best = min(rounds, key=lambda figures: figures["effect_ms"])
        return {**best, "rounds": rounds, "reloads": switched, "rules": RULES, "complaints_s": RATE, "seconds": seconds}


def _versions(text: str, count: int) -> list[tuple[Policy, str]]:
    """Later versions of the packaged document, with more rules: made before, so that only the services compile."""
    head, _, rest = text.partition("\n  default:")
    more = "".join(RULE.format(number=number) for number in range(RULES))
    packaged = load_policy(text, origin="packaged").version
    found = []
    for number in range(packaged + 1, packaged + 1 + count):
        document = f"{head}{more}\n  default:{rest}".replace(f"\n  version: {packaged}\n", f"\n  version: {number}\n", 1)
        found.append((load_policy(document, origin="bench"), document))
    return found


@contextlib.asynccontextmanager
async def _reloading(made: Bed, versions: list[tuple[Policy, str]]) -> AsyncIterator[list[int]]:
    """Inside, one version after the other is published and put in force, and taken from `versions`."""
    done: list[int] = []
    task = asyncio.ensure_future(_reload(made, versions, done))
    try:
        yield done
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if done:
            tell(f"reload: {len(done)} versions were put in force")


async def _reload(made: Bed, versions: list[tuple[Policy, str]], done: list[int]) -> None:
    kafka = KafkaSettings.model_construct(bootstrap=made.cluster.kafka_bootstrap, topic_prefix=made.prefix)
    while versions:
        began = time.monotonic()
        policy, document = versions.pop(0)

        def decide(held: Records, policy: Policy = policy, document: str = document) -> list[Any]:
            now = datetime.now(UTC)
            new = actions.publish(held, policy, document, "bench", now)
            request = Request("bench", "bench", now, in_the_past=True)
            return [*new, *actions.activate(held, new[0], 1, request, now)]

        await topics.write(kafka, "escalation", decide)
        done.append(policy.version)
        await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
