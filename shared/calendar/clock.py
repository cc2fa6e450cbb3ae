"""When a clock is due, and where it stands: a pure function of its start, target, calendar and pauses.

Instants are whole seconds since 1970. A pause holds its begin and not its end; an open one ends at FOREVER.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from shared.calendar.calendar import Calendar, Day, merged, ordinal_of
from shared.calendar.durations import Duration
from shared.calendar.zones import first_shown, to_instant, to_seconds
from shared.frozen import dataclass

State = Literal["running", "paused", "missed"]
Pauses = Sequence[tuple[int, int]]
FOREVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Reading:
    """A clock as it stands at an instant. `due_at` None: an open pause holds it, or its calendar never opens again.

    `counted_s`: seconds counted from the start to now or to due, whichever is first; None for business days.
    """

    due_at: int | None
    state: State
    counted_s: int | None


def read(calendar: Calendar, start: int, target: Duration, pauses: Pauses, now: int) -> Reading:
    """The clock at `now`. `pauses` in any order; give none for a clock that does not pause. Raises TooFar."""
    joined = merged(pauses) if pauses else []
    due = due_at(calendar, start, target, joined)
    counted = None
    if target.unit != "bd":
        counted = counted_between(calendar, target, start, now if due is None else min(now, due), joined)
    if due is not None and now >= due:
        return Reading(due, "missed", counted)
    paused = now >= start and pause_at(joined, now) is not None
    return Reading(due, "paused" if paused else "running", counted)


def due_at(calendar: Calendar, start: int, target: Duration, joined: Pauses) -> int | None:
    """When the target is reached; None: not while the pauses stand as they are. `joined` is what `merged` gives."""
    if target.unit == "bd":
        return _end_of_day(calendar, start, target.amount, joined)
    if not target.business:
        return _reached(start, budget_s(calendar, start, target), joined)
    if target.amount == 0:
        return _first_open(calendar, start, joined)
    return _open_reached(calendar, start, target.length_s, joined)


def budget_s(calendar: Calendar, start: int, target: Duration) -> int:
    """The seconds that must be counted (not for `bd`). Of `d`: the elapsed seconds to the same local time."""
    if target.unit != "d":
        return target.length_s
    if target.amount == 0:
        return 0
    wall = to_instant(start).astimezone(calendar.info).replace(tzinfo=None) + timedelta(days=target.amount)
    return max(0, to_seconds(first_shown(wall, calendar.info)) - start)


def counted_between(calendar: Calendar, target: Duration, begin: int, end: int, joined: Pauses) -> int:
    """Seconds from `begin` to `end` that count: elapsed or open, and not paused."""
    if end <= begin:
        return 0
    measure = calendar.open_between if target.business else _elapsed
    counted = measure(begin, end)
    for stop, go in joined:
        if stop >= end:
            break
        if go > begin:
            counted -= measure(max(stop, begin), min(go, end))
    return counted


def pause_at(joined: Pauses, instant: int) -> tuple[int, int] | None:
    """The pause that holds `instant`, if one does."""
    at = bisect_right(joined, (instant, FOREVER)) - 1
    return joined[at] if at >= 0 and instant < joined[at][1] else None


def paused_away(day: Day, start: int, joined: Pauses) -> bool:
    """True when the pauses together cover all business time of the day that lies after `start`."""
    for opens, closes in day.frames:
        if closes > start:
            pause = pause_at(joined, max(opens, start))
            if pause is None or pause[1] < closes:
                return False
    return True


def part_of(
    calendar: Calendar, start: int, target: Duration, due: int, joined: Pauses, part: int, whole: int
) -> int | None:
    """The instant at which `part`/`whole` of what counts until `due` has counted: when to warn."""
    if target.business:
        counted = counted_between(calendar, target, start, due, joined) * part // whole
        return _open_reached(calendar, start, counted, joined) if counted else None
    return _reached(start, budget_s(calendar, start, target) * part // whole, joined)


def _elapsed(begin: int, end: int) -> int:
    return end - begin


def _reached(start: int, budget: int, joined: Pauses) -> int | None:
    """The instant by which `budget` seconds have passed outside of pauses: at once if there is nothing to count."""
    due = start + budget
    for stop, go in joined:
        if stop >= due or budget == 0:
            break
        if go == FOREVER:
            return None
        if go > start:
            due += go - max(stop, start)
    return due


def _open_reached(calendar: Calendar, start: int, budget: int, joined: Pauses) -> int | None:
    """The earliest instant by which `budget` (> 0) open seconds have passed outside of pauses."""
    at = start
    for stop, go in joined:
        if go <= start:
            continue
        counted = calendar.open_between(at, stop)
        if counted >= budget:
            break
        budget -= counted
        if go == FOREVER:
            return None
        at = go
    return calendar.after(at, budget)


def _first_open(calendar: Calendar, start: int, joined: Pauses) -> int | None:
    """The first open instant at or after `start` that is not paused."""
    at: int | None = start
    while at is not None and (at := calendar.opening(at)) is not None:
        pause = pause_at(joined, at)
        if pause is None:
            return at
        at = None if pause[1] == FOREVER else pause[1]
    return None


def _end_of_day(calendar: Calendar, start: int, amount: int, joined: Pauses) -> int | None:
    """The end of the last frame of the n-th business day after day 0 that is not paused away."""
    if amount == 0:
        return start
    zero = calendar.day_zero(start)
    if zero is None:
        return None
    held_from = joined[-1][0] if joined and joined[-1][1] == FOREVER else FOREVER
    days = calendar.days_from(zero.ordinal + 1)
    while (day := next(days, None)) is not None:
        if day.closes_at <= start:
            continue
        if joined and paused_away(day, start, joined):
            pause = pause_at(joined, day.closes_at - 1)
            if pause is None or pause[1] == FOREVER:
                return None  # no later day can count
            # Whatever opens later and closes within this pause is paused away, too: a frame ends within two days.
            days = calendar.days_from(max(day.ordinal + 1, ordinal_of(pause[1], calendar) - 3))
            continue
        amount -= 1
        if amount == 0:
            return day.closes_at if day.closes_at <= held_from else None
    return None
