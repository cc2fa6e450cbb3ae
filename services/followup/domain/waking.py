"""When a customer may be disturbed: waking hours in their own zone, less the hours in which they want to be left alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from shared.calendar import wall
from shared.calendar.durations import zone_info
from shared.frozen import dataclass

LOOK_AHEAD_DAYS = 8
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` until before `end`, local time, every day. An end that is not after the start is the next day's."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def next_waking(at: datetime, zone: str, waking: Hours, quiet: Sequence[Hours] = ()) -> datetime | None:
    """The first instant from `at` on (UTC) at which a message may come; None where the hours leave no room at all."""
    at = at.astimezone(UTC)
    today = at.astimezone(zone_info(zone)).date()
    awake = _spans(waking, today, zone, LOOK_AHEAD_DAYS)
    asleep = [span for hours in quiet for span in _spans(hours, today, zone, LOOK_AHEAD_DAYS + 2)]
    while True:
        within = next(((start, end) for start, end in awake if end > at), None)
        if within is None:
            return None
        at = max(at, within[0])
        ends = [end for start, end in asleep if start <= at < end]
        if not ends:
            return at
        at = max(ends)


@lru_cache(maxsize=1024)  # the customers of a day and a zone share them
def _spans(hours: Hours, today: date, zone: str, days: int) -> tuple[tuple[datetime, datetime], ...]:
    """The hours as pairs of instants, in order, from yesterday on. Where the clock changes they are longer or shorter."""
    spans = []
    for number in range(-1, days):
        day = today + number * _DAY
        last = day if hours.end > hours.start else day + _DAY
        start, _ = wall.instant(datetime.combine(day, hours.start), zone)
        end, _ = wall.instant(datetime.combine(last, hours.end), zone)
        spans.append((start, end))
    return tuple(spans)
