"""The account of each source and day: it adds up, shows what is nowhere, and forgets days that have gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from services.intake.balance import Balance
from shared.postgres.pool import Pool
from shared.telemetry.metrics import REGISTRY
from tests.intake.test_normalize import Bed, bed, item, pool

__all__ = ["bed", "pool"]
OF_DAY, NOWHERE = "amends_submissions_of_day", "amends_submissions_unaccounted"


def shown(name: str) -> dict[tuple[str, ...], float]:
    """What /metrics shows of a gauge: by its labels behind `service`."""
    (family,) = [family for family in REGISTRY.collect() if family.name == name]
    return {tuple(value for label, value in each.labels.items() if label != "service"): each.value for each in family.samples}


def of_day(day: str) -> dict[str, float]:
    return {outcome: value for (source, found, outcome), value in shown(OF_DAY).items() if (source, found) == ("shop-eu", day)}


async def test_each_submission_of_a_day_has_an_outcome_or_is_pending(pool: Pool, bed: Bed) -> None:
    bed.unsaveable = "m-4"
    await bed.accept(item(1), item(2, kind="reply", record_id="T-1"), item(3, author_kind="bot"), item(4), item(1))
    running = asyncio.create_task(bed.handlers.normalize())
    await bed.until({"m-1": "complaint", "m-2": "reply", "m-3": "set_aside", "m-4": "dead_letter"})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await bed.accept(item(5), item(6))
    balance, now = Balance(pool), datetime.now(UTC)
    await balance.count(now)
    day = next(day for source, day, _ in shown(OF_DAY) if source == "shop-eu")
    assert of_day(day) == {"complaint": 1, "reply": 1, "set_aside": 1, "dead_letter": 1, "pending": 2}, "six, the double counts once"
    assert shown(NOWHERE)["shop-eu", day] == 0

    async with pool.acquire() as conn:
        await conn.execute("delete from inbox")
        await conn.execute("delete from dead_letter")
    await balance.count(now)
    assert shown(NOWHERE)["shop-eu", day] == 3, "two out of line, one parked nowhere"

    await balance.count(now + timedelta(days=2))
    assert of_day(day), "the day before yesterday is still there"
    await balance.count(now + timedelta(days=3))
    assert of_day(day) == {}
    assert not any(labels[1] == day for labels in shown(NOWHERE))


async def test_a_parked_submission_of_an_erased_complaint_is_accounted_for(pool: Pool, bed: Bed) -> None:
    await bed.accept(item(1))
    assert await bed.handlers._normalize_once() == 1
    async with pool.acquire() as conn:
        await conn.execute("update submission set outcome = 'dead_letter'")
        await Balance(pool).count(datetime.now(UTC))
        assert _only(shown(NOWHERE)) == 1
        await conn.execute("update complaint_state set state = null, erased_at = app_now()")
    await Balance(pool).count(datetime.now(UTC))
    assert _only(shown(NOWHERE)) == 0


def _only(values: dict[Any, float]) -> float:
    (value,) = [value for labels, value in values.items() if labels[0] == "shop-eu"]
    return value
