"""The account of each source and day, as a metric: what was accepted, what became of it, and what nobody accounts for."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import structlog

from shared.clock import utc_now
from shared.postgres.pool import Pool, connection
from shared.telemetry import metrics

SERVICE = "intake"
# Days that are shown, today's too (UTC). A source or a day that has gone takes its series with it.
DAYS = 3
EVERY_S = 60.0
# Counting takes one part in so many of the time at most, however many submissions there are.
SHARE = 50
DAY_MS = 86_400_000

# The ids of deliveries begin with the time of arrival, so the index on them has each day in one piece.
ACCOUNT = """
select source, coalesce(outcome, 'pending') as outcome, count(*) as submissions
from submission where delivery_id >= $1 and delivery_id < $2 group by 1, 2
"""
# Pending but not in line, or parked but not among the dead letters (an erased complaint's are deleted): must be none.
UNACCOUNTED = """
select source, count(*) as submissions from submission as one
where delivery_id >= $1 and delivery_id < $2 and (
    outcome is null and not exists (select from inbox where inbox.delivery_id = one.delivery_id)
    or outcome = 'dead_letter'
        and not exists (select from dead_letter where reference = one.delivery_id::text || '/' || one.item)
        and not exists (select from complaint_state as row where row.complaint_id = one.complaint_id and erased_at is not null)
) group by 1
"""

log = structlog.get_logger(__name__)


class Balance:
    """Counts anew in a loop of its own; `count` once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._shown: set[tuple[str, ...]] = set()
        self._shown_unaccounted: set[tuple[str, ...]] = set()

    async def run(self) -> None:
        """For ever, once a minute or less often."""
        while True:
            began = time.monotonic()
            try:
                await self.count(utc_now())
            except Exception as error:  # the database is away or slow: the figures stand still
                log.warning("submissions are not counted now", error=type(error).__name__)
            await asyncio.sleep(max(EVERY_S, SHARE * (time.monotonic() - began)))

    async def count(self, now: datetime) -> None:
        """Show the last days' figures as of one moment."""
        today = int(now.timestamp() * 1000) // DAY_MS
        found: dict[tuple[str, ...], int] = {}
        unaccounted: dict[tuple[str, ...], int] = {}
        async with connection(self._pool) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            for number in range(today - DAYS + 1, today + 1):
                span, day = (_first_id(number), _first_id(number + 1)), _date(number)
                for row in await conn.fetch(ACCOUNT, *span):
                    found[SERVICE, row["source"], day, row["outcome"]] = row["submissions"]
                    unaccounted.setdefault((SERVICE, row["source"], day), 0)
                for row in await conn.fetch(UNACCOUNTED, *span):
                    unaccounted[SERVICE, row["source"], day] = row["submissions"]
        self._shown = _show(metrics.SUBMISSIONS_OF_DAY, found, self._shown)
        self._shown_unaccounted = _show(metrics.SUBMISSIONS_UNACCOUNTED, unaccounted, self._shown_unaccounted)


def _show(gauge: Any, found: dict[tuple[str, ...], int], before: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    for labels in before - found.keys():
        gauge.remove(*labels)
    for labels, count in found.items():
        gauge.labels(*labels).set(count)
    return set(found)


def _first_id(day: int) -> UUID:
    """No id of this day (counted from 1970) or later is smaller."""
    return UUID(int=day * DAY_MS << 80)


def _date(day: int) -> str:
    return date.fromordinal(datetime(1970, 1, 1, tzinfo=UTC).toordinal() + day).isoformat()
