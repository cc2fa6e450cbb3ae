"""The main fault run: load, every kind of fault, then the checker. `python -m tests.faults.run --seed 7 --seconds 60`."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from deploy.local.stack import LocalStack
from tests.faults import checker
from tests.faults.chaos import Chaos
from tests.faults.client import Client
from tests.faults.fleet import CONSUMERS, SOURCE, Fleet, own_stack
from tests.faults.journal import Journal
from tests.faults.load import Load
from tests.faults.poison import Poison
from tests.faults.rules import Finding

RATE = 30.0


@dataclass
class Outcome:
    """What a run came to. `down_s`: seconds to the answer of each request that intake got while Kafka was down."""

    seed: int
    findings: list[Finding]
    faults: Counter[str]
    ends: Counter[str]
    submissions: int
    commands: int
    down_s: list[float]
    down_tries: int

    def text(self) -> str:
        """Figures, and what is wrong."""
        slow = sorted(self.down_s) or [0.0]
        return (
            f"seed {self.seed}: {self.submissions} submissions, {self.commands} commands, faults {dict(self.faults)}, "
            f"ends {dict(self.ends)}; Kafka down: {len(self.down_s)} answered, p99 {slow[int(len(slow) * 0.99)]:.3f} s, "
            f"max {slow[-1]:.3f} s; {len(self.findings)} findings\n{checker.report(self.findings)}"
        )


async def run(stack: LocalStack, *, seed: int, seconds: float, rate: float = RATE) -> Outcome:
    """One run on a deployment of its own. The same seed gives the same faults and the same messages (not their timing)."""
    with Fleet(stack) as fleet:
        fleet.start(*(f"{service}-{n}" for service in ("intake", *CONSUMERS) for n in (1, 2)))
        await asyncio.to_thread(fleet.await_ready)
        _say("all services are ready")
        journal = Journal(SOURCE)
        async with Client(fleet.urls, fleet.key, journal, seed) as client:
            load = Load(client, fleet.dsn, rate=rate, seed=seed)
            prefix = fleet.deployment.topic_prefix
            poison = Poison(stack.addresses.kafka_bootstrap, prefix, journal, seed=seed)
            chaos = Chaos(fleet, client, seed=seed)
            loading, poisoning = asyncio.create_task(load.run()), asyncio.create_task(poison.run(every_s=1.0))
            try:
                await chaos.run(seconds)
            finally:
                load.stop()
                poison.stop()
            await poisoning
            await loading
            _say("the load has ended; waiting until nothing moves")
            unsettled = await checker.settle(fleet.dsn, stack.addresses.kafka_bootstrap, prefix)
            _say("checking")
            findings = await checker.check(
                journal,
                fleet.dsn,
                stack.addresses.kafka_bootstrap,
                prefix,
                records_url=fleet.url("records"),
                key=fleet.key,
            )
            if unsettled:
                findings.insert(0, Finding("settle", "", unsettled))
            intake = [a for a in client.answered if a.service == "intake"]
            during = [a for a in intake if chaos.down[0] + 1 < a.at - a.seconds and a.at < chaos.down[1]]
        _say("checked")
        if findings:
            keep(fleet, journal)
        ends = Counter(f"{end.name.partition('-')[0]} {end.code}" for end in fleet.ends)
        return Outcome(
            seed, findings, chaos.done, ends, len(journal.acknowledged()), len(journal.commands),
            [a.seconds for a in during], max((a.tries for a in during), default=0),
        )  # fmt: skip


def keep(fleet: Fleet, journal: Journal) -> Path:
    """Keep the logs and the journal of a run that went wrong; says where."""
    folder = Path(tempfile.gettempdir()) / f"amends-faults-kept-{time.strftime('%H%M%S')}"
    shutil.copytree(fleet.folder, folder)
    shutil.copytree(fleet.stack.data_dir / "logs", folder / "stack")
    journal.save(folder / "journal.json")
    print(f"logs and journal are kept in {folder}", flush=True)
    return folder


def _say(text: str) -> None:
    print(f"{time.strftime('%X')}  {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="which faults and messages (default: any)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of load and faults; each fault is done once at least"
    )
    parser.add_argument("--rate", type=float, default=RATE, help="requests started per second")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with own_stack() as stack:
        outcome = asyncio.run(run(stack, seed=given.seed, seconds=given.seconds, rate=given.rate))
    print(outcome.text())
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
