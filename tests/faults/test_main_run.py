"""Nothing accepted is lost and nothing is done twice, whatever is killed, frozen or away."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys

from deploy.local.stack import LocalStack
from tests.faults import run
from tests.faults.chaos import SERVICES
from tests.faults.fleet import ROOT


def test_every_kind_of_fault_under_load(stack: LocalStack) -> None:
    """AMENDS_FAULTS_SEED repeats a run. `python -m tests.faults.run` does the same by hand, for longer."""
    seed = int(os.environ.get("AMENDS_FAULTS_SEED", random.randrange(10**6)))
    outcome = asyncio.run(run.run(stack, seed=seed, seconds=45))
    print(outcome.text())
    assert not outcome.findings, outcome.text()
    for fault in ("SIGKILL", "SIGSTOP"):
        assert all(outcome.faults[f"{fault} {about}"] for about in (*SERVICES, "Kafka")), outcome.text()
    assert outcome.submissions > 500
    assert outcome.ends["intake -9"] == sum(n for end, n in outcome.ends.items() if end.startswith("intake")), (
        outcome.text()
    )
    # While Kafka was away for 20 s, every request was accepted at its first try.
    assert len(outcome.down_s) > 100, outcome.text()
    assert outcome.down_tries == 1, outcome.text()


def test_the_checker_shares_no_code_with_the_services() -> None:
    """What both got wrong in the same way would go unseen."""
    loads = "import sys, tests.faults.checker; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", loads], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "tests" in loaded
    assert not {"services", "shared", "deploy"} & set(loaded)
