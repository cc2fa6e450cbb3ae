"""Why a clock is due when it is: the time from its start to its due time in pieces, and why each counts or does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from shared.calendar import clock
from shared.calendar.calendar import Calendar, Day, merged
from shared.calendar.clock import FOREVER, Pauses
from shared.calendar.durations import Duration
from shared.calendar.zones import to_instant

_SHOWN_DAYS = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece. `end` None: a pause that is still open. `counted_s`: seconds of it that have counted by now; of
    business days, the business time in it. `to_count_s`: what is still to come."""

    begin: int
    end: int | None
    counted_s: int
    why: str
    to_count_s: int = 0


def segments(calendar: Calendar, start: int, target: Duration, pauses: Pauses, now: int) -> list[Segment]:
    """The pieces from the start to due, in order, without a gap; cut at `now`, where what counts turns into what will.

    While due is not known they end in the open pause, or at `now` where there is none. Raises TooFar.
    """
    joined = merged(pauses)
    due = clock.due_at(calendar, start, target, joined)
    held_from = joined[-1][0] if due is None and joined and joined[-1][1] == FOREVER else None
    end = due if due is not None else max(start, now if held_from is None else held_from)
    by = _by_day if target.unit == "bd" else _by_time
    pieces = by(calendar, start, end, target, joined)
    found = [cut for piece in pieces for cut in _cut(piece, now)]
    if held_from is not None:
        found.append(Segment(max(start, held_from), None, 0, "paused: waiting for the customer, with no end yet"))
    return found


def _cut(piece: Segment, now: int) -> Iterator[Segment]:
    """Counted before now, to be counted after it."""
    assert piece.end is not None
    if not piece.counted_s or piece.end <= now:
        yield piece
    elif piece.begin >= now:
        yield Segment(piece.begin, piece.end, 0, piece.why, piece.counted_s)
    else:
        yield Segment(piece.begin, now, now - piece.begin, piece.why)
        yield Segment(now, piece.end, 0, piece.why, piece.end - now)


def _by_time(calendar: Calendar, start: int, end: int, target: Duration, joined: Pauses) -> Iterator[Segment]:
    for begin, stop, paused in _with_pauses(start, end, joined):
        if paused:
            yield Segment(begin, stop, 0, "paused: waiting for the customer")
        elif not target.business:
            yield Segment(begin, stop, stop - begin, _ELAPSED[target.unit])
        else:
            yield from _open_and_closed(calendar, begin, stop)


_ELAPSED = {
    "m": "elapsed time",
    "h": "elapsed time",
    "d": "calendar days: every hour counts, to the same local time",
}


def _with_pauses(start: int, end: int, joined: Pauses) -> Iterator[tuple[int, int, bool]]:
    at = start
    for stop, go in joined:
        stop, go = max(stop, start), min(go, end)
        if stop >= go:
            continue
        if at < stop:
            yield at, stop, False
        yield stop, go, True
        at = go
    if at < end:
        yield at, end, False


def _open_and_closed(calendar: Calendar, start: int, end: int) -> Iterator[Segment]:
    at = start
    for opens, closes in calendar.spans(start, end):
        if at < opens:
            yield Segment(at, opens, 0, _closed(calendar, at, opens))
        yield Segment(opens, closes, closes - opens, f"business hours of {_named(_local(calendar, opens).date())}")
        at = closes
    if at < end:
        yield Segment(at, end, 0, _closed(calendar, at, end))


def _by_day(calendar: Calendar, start: int, end: int, target: Duration, joined: Pauses) -> Iterator[Segment]:
    """Business days: which date is day 0, 1, 2 ... and which does not count."""
    at, number = start, 0
    zero = calendar.day_zero(start)
    days = calendar.days_from(zero.ordinal) if zero is not None and target.amount else iter(())
    for day in days:
        if at >= end or (day.frames[0][0] >= end and day.closes_at > end):
            break
        why, number = _number(day, zero, number, target.amount, start, joined)
        counts = not why.endswith("does not count")
        for opens, closes in calendar.spans(max(at, day.frames[0][0]), min(day.closes_at, end)):
            if at < opens:
                yield Segment(at, opens, 0, _closed(calendar, at, opens))
            yield Segment(opens, closes, closes - opens if counts else 0, why)
            at = closes
    if at < end:
        yield Segment(at, end, 0, _closed(calendar, at, end))


def _number(day: Day, zero: Day | None, number: int, amount: int, start: int, joined: Pauses) -> tuple[str, int]:
    named = _named(date.fromordinal(day.ordinal))
    if zero is not None and day.ordinal == zero.ordinal:
        return f"{named}: day 0, the day of the start, does not count", 0
    if joined and clock.paused_away(day, start, joined):
        return f"{named}: paused throughout, does not count", number
    return f"{named}: business day {number + 1} of {amount}", number + 1


def _closed(calendar: Calendar, begin: int, end: int) -> str:
    """Why nothing counts between two instants: the holidays and closed days there, else the hours."""
    first, last = _local(calendar, begin).date().toordinal(), _local(calendar, end - 1).date().toordinal()
    shown = []
    for ordinal in range(first, min(last, first + 366) + 1):
        day = date.fromordinal(ordinal)
        name = calendar.holidays(day.year).get(day)
        if name is not None:
            shown.append(f"{_named(day)} ({name})")
        elif not calendar.opens_on(day):
            shown.append(_named(day))
    if not shown:
        return "closed: outside of business hours"
    more = f" and {len(shown) - _SHOWN_DAYS} more days" if len(shown) > _SHOWN_DAYS else ""
    return f"closed: {', '.join(shown[:_SHOWN_DAYS])}{more}"


def _local(calendar: Calendar, instant: int) -> datetime:
    return to_instant(instant).astimezone(calendar.info)


def _named(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"
