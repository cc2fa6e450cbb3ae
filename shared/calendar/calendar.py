"""A business calendar: when it is open, worked out a year at a time and kept.

Instants here are whole seconds since 1970 (int): a clock is a few comparisons and two binary searches. A frame belongs to
the date on which it starts; both its edges are what the clock on the wall shows first (`zones.first_shown`), so clock
changes neither add nor take away business time. What the words mean: docs/how-to/deadlines.md.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from shared.calendar.zones import first_shown, to_instant, to_seconds, zone_info

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
FIRST_YEAR, LAST_YEAR = 2, 9_998
# A calendar that has not opened for so long never will: its open days are all holidays, or it has none.
_GIVE_UP_YEARS = 30

Frames = tuple[tuple[int, int], ...]  # minutes of the day at which it opens and closes; a close may be up to 48 h
Holidays = Callable[[int], Mapping[date, str]]  # of a year: date -> name


class TooFar(ValueError):
    """The answer lies outside of the years that a calendar can be worked out for."""


class Day(NamedTuple):
    """A business day: its date (as an ordinal), its frames with length in order, and when the last of them ends."""

    ordinal: int
    frames: tuple[tuple[int, int], ...]
    closes_at: int


@dataclass(frozen=True, slots=True)
class Year:
    """The open time that lies in one UTC year: disjoint spans in order, and how many open seconds come before each."""

    opens: list[int]
    closes: list[int]
    before: list[int]
    total: int

    def open_until(self, instant: int) -> int:
        """Open seconds of this year before `instant`."""
        at = bisect_right(self.opens, instant) - 1
        if at < 0:
            return 0
        return self.before[at] + min(instant, self.closes[at]) - self.opens[at]

    def instant_of(self, counted: int) -> int:
        """The earliest instant before which `counted` seconds (1 to `total`) of this year were open."""
        at = bisect_left(self.before, counted) - 1
        return self.opens[at] + counted - self.before[at]


class Calendar:
    """Opening hours of a week in a time zone, less holidays. Never changed; its years are worked out when first needed."""

    def __init__(self, zone: str, weekly: Mapping[str, Frames], holidays: Holidays) -> None:
        """`weekly`: mon...sun -> frames; a day that is missing is closed. Raises ValueError for an unknown zone."""
        self.zone = zone
        self.info = zone_info(zone)
        self.holidays = holidays
        self._weekly = tuple(weekly.get(name, ()) for name in WEEKDAYS)
        self._never = not any(self._weekly)
        self._days: dict[int, list[Day]] = {}
        self._years: dict[int, Year] = {}

    # --- open time

    def open_between(self, begin: int, end: int) -> int:
        """Open seconds from `begin` to `end`."""
        if end <= begin or self._never:
            return 0
        first, last = year_of(begin), year_of(end)
        if first == last:
            year = self.year(first)
            return year.open_until(end) - year.open_until(begin)
        whole = sum(self.year(number).total for number in range(first + 1, last))
        return self.year(first).total - self.year(first).open_until(begin) + whole + self.year(last).open_until(end)

    def after(self, begin: int, counted: int) -> int | None:
        """The earliest instant by which `counted` (> 0) open seconds have passed since `begin`; None: never."""
        number, closed_years = year_of(begin), 0
        year = self.year(number)
        missing = year.open_until(begin) + counted
        while missing > year.total:
            missing -= year.total
            closed_years = 0 if year.total else closed_years + 1
            if closed_years > _GIVE_UP_YEARS or self._never:
                return None
            number += 1
            year = self.year(number)
        return year.instant_of(missing)

    def opening(self, instant: int) -> int | None:
        """The first open instant at or after `instant`; None: never."""
        reached = self.after(instant, 1)
        return None if reached is None else reached - 1

    def spans(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """The open spans between two instants, in order, disjoint; frames that touch are one."""
        held: tuple[int, int] | None = None
        for number in range(year_of(begin), year_of(end) + 1):
            year = self.year(number)
            for at in range(max(0, bisect_right(year.opens, begin) - 1), len(year.opens)):
                opens, closes = max(begin, year.opens[at]), min(end, year.closes[at])
                if opens >= end:
                    break
                if opens >= closes:
                    continue
                if held is not None and held[1] == opens:  # only the turn of the year cuts a frame
                    held = (held[0], closes)
                    continue
                if held is not None:
                    yield held
                held = (opens, closes)
        if held is not None:
            yield held

    def year(self, number: int) -> Year:
        """The open time of a UTC year. Raises TooFar."""
        found = self._years.get(number)
        if found is None:
            found = self._years[number] = self._work_out(number)
        return found

    # --- business days

    def opens_on(self, day: date) -> bool:
        """True when the week has frames on that weekday, holidays aside."""
        return bool(self._weekly[day.weekday()])

    def day_zero(self, start: int) -> Day | None:
        """The day whose frame is open at `start`, the earlier if two are; else of the first that opens after it."""
        following = None
        for day in self.days_from(ordinal_of(start, self) - 2):
            if any(opens <= start < closes for opens, closes in day.frames):
                return day
            if following is None and day.frames[-1][0] > start:
                following = day
            if day.frames[0][0] > start:
                return following
        return following

    def days_from(self, ordinal: int) -> Iterator[Day]:
        """The business days from a date on, without end; none when the calendar never opens again. Raises TooFar."""
        number, closed_years = date.fromordinal(max(ordinal, 1)).year, 0
        while closed_years <= _GIVE_UP_YEARS and not self._never:
            days = self._days_of(number)
            for at in range(bisect_left(days, (ordinal,)), len(days)):
                yield days[at]
            closed_years = 0 if days else closed_years + 1
            number += 1

    # --- working it out

    def _days_of(self, number: int) -> list[Day]:
        """The business days whose date lies in year `number`."""
        found = self._days.get(number)
        if found is None:
            if not FIRST_YEAR <= number <= LAST_YEAR:
                raise TooFar(f"business time is worked out for the years {FIRST_YEAR} to {LAST_YEAR} only")
            holidays = self.holidays(number)
            first = date(number, 1, 1).toordinal()
            dates = (date.fromordinal(each) for each in range(first, date(number + 1, 1, 1).toordinal()))
            found = [day for each in dates if each not in holidays and (day := self._day(each)) is not None]
            self._days[number] = found
        return found

    def _day(self, of: date) -> Day | None:
        frames = []
        for opens, closes in self._weekly[of.weekday()]:
            begin, end = self._shown(of, opens), self._shown(of, closes)
            if begin < end:  # a clock change can leave nothing of it
                frames.append((begin, end))
        if not frames:
            return None
        return Day(of.toordinal(), tuple(sorted(frames)), max(end for _, end in frames))

    def _shown(self, of: date, minute: int) -> int:
        days, minute = divmod(minute, DAY_MIN)
        wall = datetime(of.year, of.month, of.day, minute // 60, minute % 60)  # noqa: DTZ001 - the wall's time
        return to_seconds(first_shown(wall + timedelta(days=days), self.info))

    def _work_out(self, number: int) -> Year:
        if not FIRST_YEAR <= number <= LAST_YEAR:
            raise TooFar(f"business time is worked out for the years {FIRST_YEAR} to {LAST_YEAR} only")
        begin, end = _year_begins(number), _year_begins(number + 1)
        near = [day for year in (number - 1, number + 1) if FIRST_YEAR <= year <= LAST_YEAR
                for day in (self._days_of(year)[-4:] if year < number else self._days_of(year)[:4])]  # fmt: skip
        frames = sorted(frame for days in (self._days_of(number), near) for day in days for frame in day.frames)
        opens: list[int] = []
        closes: list[int] = []
        for start, stop in frames:
            start, stop = max(start, begin), min(stop, end)
            if start >= stop:
                continue
            if closes and start <= closes[-1]:
                closes[-1] = max(closes[-1], stop)
            else:
                opens.append(start)
                closes.append(stop)
        before, total = [], 0
        for start, stop in zip(opens, closes, strict=True):
            before.append(total)
            total += stop - start
        return Year(opens, closes, before, total)


def merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same time as disjoint spans in order: empty ones dropped, overlapping and touching ones joined."""
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if end <= begin:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def year_of(instant: int) -> int:
    """The UTC year of an instant. Raises TooFar."""
    if not _BEGINS[0] <= instant < _BEGINS[-1]:
        raise TooFar(f"business time is worked out for the years {FIRST_YEAR} to {LAST_YEAR} only")
    return FIRST_YEAR + bisect_right(_BEGINS, instant) - 1


def ordinal_of(instant: int, calendar: Calendar) -> int:
    """The local date of an instant, as an ordinal."""
    return to_instant(instant).astimezone(calendar.info).toordinal()


def _year_begins(number: int) -> int:
    return (date(number, 1, 1).toordinal() - _EPOCH_DAY) * 86_400


_EPOCH_DAY = date(1970, 1, 1).toordinal()
_BEGINS = [_year_begins(number) for number in range(FIRST_YEAR, LAST_YEAR + 2)]
