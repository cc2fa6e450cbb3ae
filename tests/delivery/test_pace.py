"""Resting between batches: only at high rates, never for long, never when a full batch was there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kafka.pace import ENOUGH, EVERY_S, Pace


def rests(rate: float, per_batch: int, seconds: float, save_s: float = 0.02, waiting: int = 0) -> list[float]:
    pace, found = Pace(), []
    for number in range(int(rate * seconds / per_batch)):
        began = number * per_batch / rate
        found.append(pace.rest(per_batch, waiting, began, began + save_s))
    return found


def test_at_a_low_rate_nobody_waits() -> None:
    assert set(rests(100, 5, 20)) == {0.0}


def test_a_list_that_comes_at_once_is_no_load() -> None:
    assert set(rests(60, 180, 30)) == {0.0}


def test_at_a_high_rate_saves_begin_at_even_distances() -> None:
    assert rests(1000, 40, 10)[-1] == pytest.approx(EVERY_S - 0.02)


def test_a_save_that_took_long_is_followed_at_once() -> None:
    assert rests(1000, 40, 10, save_s=2 * EVERY_S)[-1] == 0.0


def test_after_a_full_batch_there_is_more() -> None:
    assert set(rests(5000, ENOUGH, 10)) == {0.0}


def test_while_enough_waits_nobody_rests() -> None:
    assert set(rests(1000, 40, 10, waiting=ENOUGH)) == {0.0}


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 10)), max_size=50))
def test_the_rest_is_short_whatever_comes(batches: list[tuple[int, float]]) -> None:
    pace, now = Pace(), 0.0
    for records, later in batches:
        now += later
        assert 0.0 <= pace.rest(records, 0, now, now) <= EVERY_S
