"""By when a complaint must be answered: its clocks, and what is due when. Pure.

Each deadline follows from when its clock started, the targets that were promised for it, and the pauses: nothing else,
and in no order. A clock keeps every target that was promised; the earliest binds (ADR 8). Instants are whole seconds
since 1970, as in shared/calendar. What happens to clocks stands in `changes`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from services.escalation.domain.promises import MetBy, Target, Wanted
from shared.calendar import clock as business
from shared.calendar.calendar import Calendar, TooFar, merged
from shared.calendar.clock import FOREVER, Pauses
from shared.calendar.durations import read
from shared.calendar.plain import calendar_of
from shared.calendar.zones import to_instant
from shared.contracts.escalations import Clock, Deadline
from shared.frozen import dataclass, field, replace

# Without a time of its own to warn, a clock warns when a quarter of its time is left.
_WARN_AFTER = (3, 4)


@dataclass(frozen=True, slots=True)
class Running:
    """One clock. `due` None: an open pause holds it, or its calendar never opens. `warn`: when to warn next.

    `binding` is the target that is due first. `met` and `missed`: when that happened; a clock with either is at rest.
    """

    name: str
    started: int
    targets: tuple[Target, ...]
    met_by: MetBy
    regime: str = ""
    legal: bool = False
    pausable: bool = True
    from_resolution: bool = False
    warn_before: tuple[str, ...] = ()
    due: int | None = None
    warn: int | None = None
    warned: int = 0
    binding: int = 0
    met: int | None = None
    missed: int | None = None

    @property
    def live(self) -> bool:
        return self.met is None and self.missed is None

    @property
    def key(self) -> str:
        """How people name it: a legal clock with its regime before it."""
        return f"{self.regime}/{self.name}" if self.regime else self.name


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a complaint, the pauses while it was waiting for the customer, and the calendars that count."""

    running: tuple[Running, ...] = ()
    pauses: tuple[tuple[int, int | None], ...] = ()
    calendars: dict[str, str] = field(default_factory=dict)

    @property
    def paused_since(self) -> int | None:
        """When the open pause began, if there is one."""
        return self.pauses[-1][0] if self.pauses and self.pauses[-1][1] is None else None

    @property
    def wake(self) -> int | None:
        """When something is to be done next, if nothing else happens."""
        # To warn is always before it is due.
        return min(
            [at for each in self.running if each.live and (at := each.due if each.warn is None else each.warn) is not None],
            default=None,
        )


def started(
    before: Clocks, wishes: Iterable[Wanted], calendars: Mapping[str, str], *, received: int, resolved: int | None,
    extended: Collection[str] = (),
) -> tuple[Clocks, tuple[Running, ...]]:
    """With what a decision wants: new clocks, and earlier deadlines for those there are; and which these are.

    A target that would be due later than what was promised changes nothing: the promise stands. Except of a legal regime
    that is `extended`: a person has recorded why its limits are others now.
    """
    known = {(each.regime, each.name): each for each in before.running}
    after = (
        replace(before, calendars={**before.calendars, **calendars})
        if calendars.items() - before.calendars.items()
        else before
    )
    joined = joined_pauses(before)
    set_now = []
    for wish in wishes:
        key = (wish.regime, wish.name)
        start = received if wish.counts_from == "received" else resolved
        clock = known.get(key)
        if clock is None and start is not None:
            clock = _begun(after, wish, start, joined)
        elif clock is not None and clock.live and clock.legal and clock.regime in extended and clock.targets != (wish.target,):
            clock = reckoned(after, replace(clock, targets=(wish.target,), warned=0), joined)
        elif clock is not None and clock.live and _earlier(after, clock, wish.target, joined):
            targets = (*_not_later(clock.targets, wish.target), wish.target)
            clock = reckoned(after, replace(clock, targets=targets), joined)
        else:
            continue
        known[key] = clock
        set_now.append(clock)
    if not set_now:
        return before, ()
    return replace(after, running=tuple(known.values())), tuple(set_now)


def _earlier(clocks: Clocks, clock: Running, target: Target, joined: Pauses) -> bool:
    """True when the target would be due before what was promised; an open pause, for this, ends where it began."""
    if any((target.text, target.calendar) == (each.text, each.calendar) for each in clock.targets):
        return False
    closed = [(begin, end) for begin, end in joined if end != FOREVER] if clock.pausable else []
    new = _due(clocks, clock.started, target, closed)
    held = clock.pausable and len(closed) < len(joined)
    old = _first_due(clocks, clock.started, clock.targets, closed)[0] if held else clock.due
    return new is not None and (old is None or new < old)


def _not_later(targets: tuple[Target, ...], new: Target) -> tuple[Target, ...]:
    """Those that could still be due before the new one: of the same unit and calendar, more is always later."""
    return tuple(
        each for each in targets
        if (each.calendar, each.duration.unit) != (new.calendar, new.duration.unit) or each.duration.amount < new.duration.amount
    )  # fmt: skip


def reckoned(clocks: Clocks, clock: Running, joined: Pauses) -> Running:
    """The clock with its due time, and the next warning before it."""
    pauses: Pauses = joined if clock.pausable else ()
    due, binding = _first_due(clocks, clock.started, clock.targets, pauses)
    warn = None
    if due is not None and clock.live:
        target = clock.targets[binding]
        warn = _next_warning(clocks, clock.started, target, clock.warn_before, clock.warned, due, pauses)
    return replace(clock, due=due, binding=binding, warn=warn)


def _begun(clocks: Clocks, wish: Wanted, start: int, joined: Pauses) -> Running:
    """A new clock, with its due time and first warning."""
    pauses = tuple(joined) if wish.pausable else ()
    return _reckoned_anew(wish, start, clocks.calendars[wish.target.calendar], pauses)


@lru_cache(maxsize=1024)  # complaints that come in the same second and want the same have the same clocks
def _reckoned_anew(wish: Wanted, start: int, text: str, pauses: tuple[tuple[int, int], ...]) -> Running:
    clocks, targets = Clocks(calendars={wish.target.calendar: text}), (wish.target,)
    due, _ = _first_due(clocks, start, targets, pauses)
    warn = None if due is None else _next_warning(clocks, start, wish.target, wish.warn_before, 0, due, pauses)
    return Running(
        name=wish.name, started=start, targets=targets, met_by=wish.met_by, regime=wish.regime, legal=wish.legal,
        pausable=wish.pausable, from_resolution=wish.counts_from == "resolved", warn_before=wish.warn_before, due=due, warn=warn,
    )  # fmt: skip


def _first_due(clocks: Clocks, start: int, targets: tuple[Target, ...], pauses: Pauses) -> tuple[int | None, int]:
    """When the first of the targets is due, and which that is."""
    if len(targets) == 1:
        return _due(clocks, start, targets[0], pauses), 0
    dues = [_due(clocks, start, target, pauses) for target in targets]
    due = min((each for each in dues if each is not None), default=None)
    return due, 0 if due is None else dues.index(due)


def _next_warning(
    clocks: Clocks, start: int, target: Target, warn_before: tuple[str, ...], warned: int, due: int, pauses: Pauses
) -> int | None:
    """The times to warn lie before due, in order; `warned` says how many of them have been used."""
    times = sorted(at for text in warn_before if (at := due - read(text).length_s) > start)
    if not times:
        counts = calendar(clocks, target)
        quarter_left = business.part_of(counts, start, target.duration, due, pauses, *_WARN_AFTER)
        times = [quarter_left] if quarter_left is not None and start < quarter_left < due else []
    return times[warned] if warned < len(times) else None


def _due(clocks: Clocks, start: int, target: Target, joined: Pauses) -> int | None:
    try:
        return business.due_at(calendar(clocks, target), start, target.duration, joined)
    except (TooFar, OverflowError):  # beyond the year 9998: never, for all that people can know
        return None


def calendar(clocks: Clocks, target: Target) -> Calendar:
    """The calendar that counts for a target."""
    return calendar_of(clocks.calendars[target.calendar])


def joined_pauses(clocks: Clocks) -> list[tuple[int, int]]:
    """The pauses as shared/calendar takes them."""
    return merged([(begin, FOREVER if end is None else end) for begin, end in clocks.pauses]) if clocks.pauses else []


def deadline(clocks: Clocks, clock: Running) -> Deadline:
    """The clock as events tell it."""
    return _told(clock, calendar(clocks, clock.targets[clock.binding]).zone)


@lru_cache(maxsize=1024)  # told more than once, and of complaints of one second the same
def _told(clock: Running, zone: str) -> Deadline:
    target = clock.targets[clock.binding]
    return Deadline(
        clock=clock.name,
        regime=clock.regime or None,
        legal=clock.legal,
        pausable=clock.pausable,
        target=target.text,
        started_at=to_instant(clock.started),
        due_at=None if clock.due is None else to_instant(clock.due),
        zone=zone,
        calendar=target.calendar,
        policy=target.policy,
        version=target.version,
        rules=target.rules,
    )


def as_first_released(clocks: Clocks) -> tuple[Clock, ...]:
    """The service's own clocks as `DecisionMade.clocks` tells them; one that an open pause holds is left out."""
    return tuple([
        Clock(name=each.name, target=told.target, started_at=told.started_at, due_at=told.due_at, zone=told.zone)
        for each in clocks.running
        if not each.regime and (each.name == "acknowledge" or each.name == "final_response")
        and (told := deadline(clocks, each)).due_at is not None
    ])  # fmt: skip
