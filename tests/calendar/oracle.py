"""A second way to compute a clock: minute by minute, and slowly. Shares no code with shared/calendar.

It knows the wall's clock only by asking the zone what it shows at each minute; everything is a set of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAYS = 26  # how far the minutes are laid out from the first
MINUTES = DAYS * 1440
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@cache
def wall(zone: str, first: datetime) -> list[datetime]:
    """What the clock shows at each minute from `first` on."""
    info = ZoneInfo(zone)
    return [(first + timedelta(minutes=n)).astimezone(info).replace(tzinfo=None) for n in range(MINUTES)]


@dataclass(frozen=True)
class Week:
    zone: str
    weekly: dict[str, list[tuple[str, str]]]
    holidays: frozenset[date]


class Minutes:
    """A stretch of time, minute by minute: which are open, of which business day."""

    def __init__(self, week: Week, first: datetime) -> None:
        self.first = first
        self._walls = wall(week.zone, first)
        self.days: dict[date, set[int]] = {}
        # The first minute by which the clock has shown each time: changes put back do not count again.
        latest = self._walls[0]
        self._reached: list[datetime] = []
        for shown in self._walls:
            latest = max(latest, shown)
            self._reached.append(latest)
        on = self._walls[0].date()
        while on < self._walls[-1].date():
            frames = week.weekly.get(WEEKDAYS[on.weekday()], []) if on not in week.holidays else []
            minutes = {minute for opens, closes in frames for minute in self._frame(on, opens, closes)}
            if minutes:
                self.days[on] = minutes
            on += timedelta(days=1)
        self.open = set().union(*self.days.values()) if self.days else set()

    def _frame(self, on: date, opens: str, closes: str) -> range:
        begin, end = _at(on, opens), _at(on, closes)
        return range(self.shown(begin), self.shown(end if end > begin else end + timedelta(days=1)))

    def shown(self, time: datetime) -> int:
        """The first minute at which the clock shows `time` or later."""
        return next((n for n, shown in enumerate(self._reached) if shown >= time), MINUTES)

    def local(self, minute: int) -> datetime:
        return self._walls[minute]


def due(
    week: Week, first: datetime, start: int, amount: int, unit: str, pauses: list[tuple[int, int | None]]
) -> int | str | None:
    """The minute at which it is due; None: never as the pauses stand; "beyond": not within these minutes."""
    minutes = Minutes(week, first)
    paused = {n for begin, end in pauses for n in range(max(0, begin), MINUTES if end is None else min(end, MINUTES))}
    held = min((begin for begin, end in pauses if end is None), default=None)
    found = _due(minutes, start, amount, unit, paused)
    if (
        isinstance(found, int)
        and held is not None
        and found > held
        and not (amount == 0 and unit in ("m", "h", "d", "bd"))
    ):
        return None
    return None if found == "beyond" and held is not None else found


def _due(minutes: Minutes, start: int, amount: int, unit: str, paused: set[int]) -> int | str:
    if amount == 0 and unit in ("m", "h", "d", "bd"):
        return start
    if unit == "bd":
        return _business_day(minutes, start, amount, paused)
    if unit == "d":
        budget = minutes.shown(minutes.local(start) + timedelta(days=amount)) - start
    else:
        budget = amount * (60 if unit.endswith("h") else 1)
    counts = [n for n in range(start, MINUTES) if n not in paused and (unit[0] != "b" or n in minutes.open)]
    if budget == 0:
        return counts[0] if counts else "beyond"
    return counts[budget - 1] + 1 if len(counts) >= budget else "beyond"


def _business_day(minutes: Minutes, start: int, amount: int, paused: set[int]) -> int | str:
    days = sorted(minutes.days.items())
    opened = [(on, open_) for on, open_ in days if start in open_]
    later = sorted(
        (min(n for n in starts(open_) if n > start), on) for on, open_ in days if any(n > start for n in starts(open_))
    )
    if not opened and not later:
        return "beyond"
    zero = opened[0][0] if opened else later[0][1]
    for on, open_ in days:
        left = {n for n in open_ if n >= start}
        if on > zero and left and not left <= paused:
            amount -= 1
            if amount == 0:
                return max(open_) + 1
    return "beyond"


def starts(open_: set[int]) -> list[int]:
    """The minutes at which it opens."""
    return [n for n in open_ if n - 1 not in open_]


def _at(on: date, time: str) -> datetime:
    hour, minute = map(int, time.split(":"))
    return datetime(on.year, on.month, on.day) + timedelta(hours=hour, minutes=minute)  # noqa: DTZ001 - the wall's time


def epoch(first: datetime, minute: int) -> int:
    return int((first - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) + minute * 60
