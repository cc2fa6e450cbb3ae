"""What happens to clocks: a reply, a resolution, a reopening, waiting for the customer, time itself. Pure.

Each gives the clocks after it and the events that tell of it.
"""

from __future__ import annotations

from services.escalation.domain.clocks import Clocks, Running, deadline, joined_pauses, reckoned
from services.escalation.domain.promises import ACKNOWLEDGE, NEXT_UPDATE
from shared.calendar.zones import to_instant
from shared.contracts.envelope import EventData
from shared.contracts.escalations import (
    ClockMissed,
    ClocksMet,
    ClocksPaused,
    ClocksResumed,
    ClocksSet,
    ClockWarned,
    MetClock,
)
from shared.frozen import replace

Change = tuple[Clocks, tuple[EventData, ...]]


def paused(before: Clocks, at: int) -> Change:
    """It is for the customer to answer: the service's own clocks stand still, legal ones run on."""
    if before.paused_since is not None:
        return before, ()
    after = _reckoned(replace(before, pauses=(*before.pauses, (at, None))))
    held = tuple([each.key for each in after.running if each.live and each.pausable])
    return after, (ClocksPaused(clocks=held, since=to_instant(at)),) if held else ()


def resumed(before: Clocks, at: int, why: str) -> Change:
    """They run again. A pause that the customer's words had ended before it was known leaves no trace."""
    since = before.paused_since
    if since is None:
        return before, ()
    ended = ((since, at),) if at > since else ()
    after = _reckoned(replace(before, pauses=(*before.pauses[:-1], *ended)))
    going = tuple([deadline(after, each) for each in after.running if each.live and each.pausable])
    until = to_instant(max(at, since))
    return after, (ClocksResumed(deadlines=going, since=to_instant(since), until=until, why=why),) if going else ()


def replied(before: Clocks, at: int) -> Change:
    """The customer heard from us: what waits for a reply is met, and the next update counts from here."""
    met: list[MetClock] = []
    running, again = [], None
    for clock in before.running:
        # News of a reply may come late; of one before the clock began it says nothing, but that somebody answered.
        counts = clock.met_by == "reply" and (at >= clock.started or clock.name == ACKNOWLEDGE)
        if counts and clock.met is None:
            clock, told = _met(before, clock, max(at, clock.started))
            met.append(told)
        if counts and clock.name == NEXT_UPDATE and at > clock.started:
            clock = again = _restarted(before, clock, at)
        running.append(clock)
    if not met and again is None:
        return before, ()
    after = replace(before, running=tuple(running))
    events: list[EventData] = [ClocksMet(clocks=tuple(met), met_at=to_instant(at))] if met else []
    if again is not None:
        events.append(ClocksSet(deadlines=(deadline(after, again),), why="the customer heard from us", at=to_instant(at)))
    return after, tuple(events)


def resolved(before: Clocks, at: int) -> Change:
    """Nothing is left to answer: every clock that counts to the resolution, or to a reply before it, is met."""
    met: list[MetClock] = []
    running = []
    for clock in before.running:
        if clock.met is None and not clock.from_resolution:
            clock, told = _met(before, clock, max(at, clock.started))
            met.append(told)
        running.append(clock)
    if not met:
        return before, ()
    return replace(before, running=tuple(running)), (ClocksMet(clocks=tuple(met), met_at=to_instant(at)),)


def reopened(before: Clocks, at: int) -> Change:
    """Open again with the same clocks: those that were met in time run on, unless their time has passed meanwhile."""
    running, going = [], []
    joined = joined_pauses(before)
    for clock in before.running:
        if clock.from_resolution:
            continue  # it counts from the next resolution
        if clock.name == NEXT_UPDATE:
            clock = _restarted(before, clock, max(at, clock.started))
            going.append(clock)
        elif clock.met_by == "resolution" and clock.met is not None and clock.missed is None:
            again = reckoned(before, replace(clock, met=None), joined)
            if again.due is None or again.due > at:
                clock = again
                going.append(clock)
        running.append(clock)
    after = replace(before, running=tuple(running))
    if not going:
        return after, ()
    deadlines = tuple([deadline(after, each) for each in going])
    return after, (ClocksSet(deadlines=deadlines, why="the complaint is open again", at=to_instant(at)),)


def fired(before: Clocks, now: int) -> tuple[Clocks, tuple[EventData, ...], tuple[Running, ...]]:
    """What has come due by `now`: misses, and warnings of what is not yet due. Third: the clocks that were missed."""
    events: list[EventData] = []
    running, missed = [], []
    for clock in before.running:
        if clock.live and clock.due is not None and clock.due <= now:
            clock = replace(clock, missed=clock.due, warn=None)
            missed.append(clock)
            events.append(ClockMissed(deadline=deadline(before, clock), fired_at=to_instant(now)))
        elif clock.live and clock.warn is not None and clock.warn <= now:
            events.append(ClockWarned(deadline=deadline(before, clock), fired_at=to_instant(now)))
            while clock.warn is not None and clock.warn <= now:  # after an outage several are over: one is enough
                clock = reckoned(before, replace(clock, warned=clock.warned + 1), joined_pauses(before))
        running.append(clock)
    return (replace(before, running=tuple(running)), tuple(events), tuple(missed)) if events else (before, (), ())


def _met(clocks: Clocks, clock: Running, at: int) -> tuple[Running, MetClock]:
    """A miss that was recorded although it was met in time is withdrawn."""
    late = clock.due is not None and at >= clock.due
    told = MetClock(deadline=deadline(clocks, clock), late=late, after_miss=clock.missed is not None)
    return replace(clock, met=at, missed=clock.missed if late else None, warn=None), told


def _restarted(clocks: Clocks, clock: Running, at: int) -> Running:
    fresh = replace(clock, started=at, met=None, missed=None, warned=0)
    return reckoned(clocks, fresh, joined_pauses(clocks))


def _reckoned(clocks: Clocks) -> Clocks:
    """All clocks worked out again, but those that were missed: nothing changes that."""
    joined = joined_pauses(clocks)
    running = [reckoned(clocks, each, joined) if each.missed is None else each for each in clocks.running]
    return replace(clocks, running=tuple(running))
