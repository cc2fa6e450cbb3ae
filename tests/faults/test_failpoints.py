"""A crash at every step of the delivery protocol, in every service that takes that step, loses and doubles nothing."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import asyncpg

from deploy.local.stack import LocalStack
from shared.failpoints import POINTS
from tests.faults import checker
from tests.faults.client import Client
from tests.faults.fleet import CONSUMERS, SOURCE, Fleet
from tests.faults.journal import Journal
from tests.faults.load import Load
from tests.faults.poison import Poison

# Steps that only some services take.
ONLY = {"accept": ("intake",), "consume": CONSUMERS, "timers": ("followup",), "messages": ("escalation",)}
# Steps that are also taken when there is nothing to do: the crash comes a little later, under load.
LATER = {"save": 6, "accept": 3}
SECONDS = 150.0


def plan(service: str) -> list[str]:
    """Every point that `service` reaches. A crash leaves an outbox row: the sweep's point comes right after it."""
    points = [p for p in POINTS if service in ONLY.get(p.partition(".")[0], (service,))]
    points.remove("sweep.after_claim")
    points.insert(points.index("relay.before_send") + 1, "sweep.after_claim")
    return [f"{point}=exit@{LATER.get(point.partition('.')[0], 1)}" for point in points]


async def test_a_crash_at_every_point(stack: LocalStack) -> None:
    """Each service dies at its first point, is started again armed with the next, and so on, while load comes in."""
    journal = Journal(SOURCE)
    plans = {f"{service}-1": plan(service) for service in ("intake", *CONSUMERS)}
    assert {p.partition("=")[0] for points in plans.values() for p in points} == set(POINTS)
    folder = Path(tempfile.mkdtemp(dir=stack.data_dir))
    (folder / "teams.yaml").write_text(
        "tiers: [front line, supervisor, manager]\nfallback: managers\n"
        "teams:\n  - {id: front, tier: 1}\n  - {id: managers, tier: 3, email: managers@shop.example}\n"
    )
    told = {
        "AMENDS_ESCALATION_DIRECTORY_FILE": str(folder / "teams.yaml"),
        "AMENDS_DELIVERY_MAILDIR": str(folder / "mails"),
        "AMENDS_DELIVERY_BUDGET_PER_HOUR": "1000000",  # else all that comes late waits for a digest
    }
    with Fleet(stack, session_timeout_s=1.2, AMENDS_DEAD_LETTER_LIMIT="1000", **told) as fleet:
        for name, points in plans.items():
            fleet.start(name, via=("forks", str(fleet.folder / name), *points))
        await asyncio.to_thread(fleet.await_ready)
        kafka, prefix = fleet.deployment.kafka_bootstrap, fleet.deployment.topic_prefix
        async with Client(fleet.urls, fleet.key, journal, 1) as client:
            load = Load(client, fleet.dsn, rate=15, seed=1)
            poison = Poison(kafka, prefix, journal, seed=1, most=300)
            running = [asyncio.create_task(load.run()), asyncio.create_task(poison.run(every_s=0.2))]
            deadline = time.monotonic() + SECONDS
            while unreached := [
                f"{n}: {rest}" for n, points in plans.items() if (rest := points[len(ends_of(fleet, n)) :])
            ]:
                assert time.monotonic() < deadline, f"not reached in {SECONDS:.0f} s: {unreached}"
                for task in running:  # the poison may be used up
                    assert not task.done() or task.exception() is None, f"it ended: {task.exception()!r}"
                await asyncio.sleep(0.1)
            await let_claims_expire(fleet)
            load.stop()
            poison.stop()
            await asyncio.gather(*running)
            assert await checker.settle(fleet.dsn, kafka, prefix) == ""
            findings = await checker.check(
                journal, fleet.dsn, kafka, prefix, records_url=fleet.url("records"), key=fleet.key
            )
        ends = {name: ends_of(fleet, name) for name in plans}
    assert findings == [], checker.report(findings)
    assert ends == {name: [f"{point} 137" for point in points] for name, points in plans.items()}
    assert fleet.ends == []
    assert journal.garbage
    assert journal.broken


def ends_of(fleet: Fleet, name: str) -> list[str]:
    """At which points a replica has ended, and with which code."""
    report = fleet.folder / name
    return report.read_text().splitlines() if report.exists() else []


async def let_claims_expire(fleet: Fleet) -> None:
    """What a sweeper had claimed when it died is claimed again after 30 s: let that time pass at once."""
    conn = await asyncpg.connect(fleet.dsn, timeout=10)
    try:
        for service in ("intake", *CONSUMERS):
            await conn.execute(f"update {service}.outbox set send_after = now()")
    finally:
        await conn.close()
