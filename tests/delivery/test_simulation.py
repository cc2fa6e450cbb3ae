"""The delivery protocol under random faults. Any seed again: python -m tests.delivery.simulation SEED 120."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.delivery.simulation import LANES, quiet, simulate_all
from tests.harness.cluster import Cluster, fresh_database

SEEDS = range(1, 17)
WITHIN_S = 10.0


@pytest.fixture(scope="module")
def databases(cluster: Cluster) -> Iterator[list[str]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(fresh_database(cluster)) for _ in range(LANES)]


async def test_nothing_is_lost_doubled_or_out_of_order(databases: list[str]) -> None:
    with quiet():
        wrong = await simulate_all(databases, SEEDS, 120, within_s=WITHIN_S)
    assert len(wrong) >= LANES
    assert {seed: found for seed, found in wrong.items() if found} == {}


@pytest.mark.parametrize("mutant", ["norevision", "noseen", "nokey"])
async def test_the_checker_notices_a_protocol_without(mutant: str, databases: list[str]) -> None:
    """`holdalone`, `deletefirst` and `keeptimer` show more seldom here; test_saves and test_failpoints aim at them."""
    with quiet():
        wrong = await simulate_all(databases[:2], range(1, 7), 40, mutant=mutant, until_wrong=True)
    assert any(wrong.values()), f"the simulation does not notice {mutant}"
