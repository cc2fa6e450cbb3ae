"""The promise ledger: what was promised to the customer, by whom, until when; kept with evidence, or broken. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from services.followup.domain.outgoing import notice
from services.followup.domain.state import MOST, FollowUpState, Promise
from shared.calendar import wall
from shared.calendar.durations import zone_info
from shared.contracts.complaints import Short
from shared.contracts.decision import Decision, Refused, Timer
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Stated
from shared.contracts.followups import (
    PromiseBroken,
    PromiseDueSoon,
    PromiseKept,
    PromiseKind,
    PromiseMade,
    PromiseProposed,
    PromiseSource,
    PromiseWithdrawn,
)
from shared.frozen import replace
from shared.text.promises import Found

S = FollowUpState
TIMER = "promise:"
# A reminder comes when a quarter of the time is left, at most a day and at least ten minutes before.
_EARLIEST, _LATEST = timedelta(days=1), timedelta(minutes=10)
# Says of an instant why nobody works then; empty: somebody does.
NobodyWorks = Callable[[datetime], str]


class Command(BaseModel):
    """A person's (or a system's) command; `by` is set from the API key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Short = ""


class MakePromise(Command):
    """Promise something to the customer. `due_at`: with a zone, or local where the customer is (or in `zone`)."""

    what: Stated
    due_at: datetime
    kind: PromiseKind = "other"
    owner: Short = ""
    zone: Short | None = None
    made_through: PromiseSource = "api"


class ConfirmPromise(Command):
    """A proposed promise was meant. What it lacks, or has wrongly, is given here."""

    promise: Short
    what: Stated | None = None
    due_at: datetime | None = None
    owner: Short = ""


class KeepPromise(Command):
    """The promise was kept, as the evidence shows."""

    promise: Short
    evidence: Stated


class WithdrawPromise(Command):
    """The promise binds nobody: it was none, or another takes its place in agreement with the customer."""

    promise: Short
    reason: Stated


PromiseCommand = MakePromise | ConfirmPromise | KeepPromise | WithdrawPromise


def on_command(
    state: S, command: PromiseCommand, now: datetime, calendar_zone: str, nobody_works: NobodyWorks
) -> Decision[S] | Refused:
    """What a command changes in the ledger, or why it cannot be done."""
    if isinstance(command, MakePromise):
        due_at = _due(command.due_at, command.zone or state.person.zone or calendar_zone, now)
        if isinstance(due_at, Refused):
            return due_at
        if len(state.promises) >= MOST:
            return Refused(409, "Too many promises", f"A complaint holds at most {MOST} promises.")
        made = Promise(
            f"p{state.promised + 1}", command.kind, command.what, command.zone or state.person.zone or calendar_zone,
            "open", due_at, command.owner or command.by,
        )  # fmt: skip
        return _made(replace(state, promised=state.promised + 1), made, command.made_through, command.by, now, nobody_works)
    promise = state.promise(command.promise)
    if promise is None:
        known = ", ".join(each.id for each in state.promises) or "none"
        return Refused(404, "No such promise", f"This complaint has no promise '{command.promise}'; it has {known}.")
    match command:
        case ConfirmPromise():
            return _confirmed(state, promise, command, now, nobody_works)
        case KeepPromise():
            return _kept(state, promise, command, now)
        case WithdrawPromise():
            return _withdrawn(state, promise, command)


def proposed(state: S, found: tuple[Found, ...], zone: str, origin: str) -> Decision[S]:
    """What an agent's outgoing text seems to promise waits for a person to confirm it."""
    events: list[EventData] = []
    for each in found[: MOST - len(state.promises)]:
        new = Promise(f"p{state.promised + 1}", each.kind, each.what, zone, "proposed", each.due_at)
        state = replace(state.with_promise(new), promised=state.promised + 1)
        event = PromiseProposed(
            promise=new.id, kind=new.kind, what=new.what, quote=each.quote, due_at=each.due_at, zone=zone,
            proposed_from=origin,
        )  # fmt: skip
        events.append(event)
    return Decision(state, tuple(events))


def on_timer(state: S, promise_id: str, now: datetime) -> Decision[S]:
    """The reminder's time has come, or the promise's own."""
    promise = state.promise(promise_id)
    if promise is None or promise.status != "open" or promise.due_at is None:
        return Decision(state)
    if now < promise.due_at:
        event = PromiseDueSoon(promise=promise.id, what=promise.what, owner=promise.owner, due_at=promise.due_at)
        told = notice(f"promise-soon:{promise.id}", _told("promise_due_soon", state, promise))
        after = state.with_promise(replace(promise, reminded=True))
        return Decision(after, (event,), (Timer(TIMER + promise.id, promise.due_at),), messages=(told,))
    broken = PromiseBroken(
        promise=promise.id, kind=promise.kind, what=promise.what, owner=promise.owner, due_at=promise.due_at, broken_at=now
    )  # fmt: skip
    told = notice(f"promise-broken:{promise.id}", _told("promise_broken", state, promise))
    after = replace(state.with_promise(replace(promise, status="broken")), facts=state.facts.after(broken))
    return Decision(after, (broken,), messages=(told,))


def owned(state: S) -> S:
    """After a message that owns up to every broken promise."""
    for promise in state.to_own:
        state = state.with_promise(replace(promise, owned=True))
    return state


def _confirmed(
    state: S, promise: Promise, command: ConfirmPromise, now: datetime, nobody_works: NobodyWorks
) -> Decision[S] | Refused:
    if promise.status != "proposed":
        return Refused(409, "Nothing to confirm", f"Promise {promise.id} is {promise.status}, not proposed.")
    given = command.due_at or promise.due_at
    if given is None:
        return Refused(422, "No date", f"Promise {promise.id} names no date: give `due_at`.")
    due_at = _due(given, promise.zone, now)
    if isinstance(due_at, Refused):
        return due_at
    made = replace(
        promise, status="open", what=command.what or promise.what, due_at=due_at, owner=command.owner or command.by
    )
    return _made(state, made, "text", command.by, now, nobody_works)


def _made(
    state: S, promise: Promise, source: PromiseSource, by: str, now: datetime, nobody_works: NobodyWorks
) -> Decision[S]:
    assert promise.due_at is not None
    event = PromiseMade(
        promise=promise.id, kind=promise.kind, what=promise.what, due_at=promise.due_at, zone=promise.zone,
        owner=promise.owner, made_through=source, by=by, nobody_works=nobody_works(promise.due_at)[:255] or None,
    )  # fmt: skip
    ahead = min(max((promise.due_at - now) / 4, _LATEST), _EARLIEST)
    remind_at = promise.due_at - ahead
    timer = Timer(TIMER + promise.id, remind_at if remind_at > now else promise.due_at)
    return Decision(state.with_promise(promise), (event,), (timer,))


def _kept(state: S, promise: Promise, command: KeepPromise, now: datetime) -> Decision[S] | Refused:
    """A broken promise can still be kept, late: it stays broken, and to be owned."""
    if promise.status not in ("open", "broken"):
        return Refused(409, "Nothing to keep", f"Promise {promise.id} is {promise.status}.")
    if promise.kept_late:
        return Refused(409, "Nothing to keep", f"Promise {promise.id} was broken, and kept late: that is recorded.")
    late = promise.status == "broken"
    event = PromiseKept(promise=promise.id, evidence=command.evidence, late=late, by=command.by, kept_at=now)
    after = state.with_promise(replace(promise, kept_late=True) if late else replace(promise, status="kept"))
    return Decision(after, (event,), cancel=() if late else (TIMER + promise.id,))


def _withdrawn(state: S, promise: Promise, command: WithdrawPromise) -> Decision[S] | Refused:
    if promise.status not in ("open", "proposed"):
        return Refused(409, "Nothing to withdraw", f"Promise {promise.id} is {promise.status}.")
    event = PromiseWithdrawn(promise=promise.id, reason=command.reason, by=command.by)
    return Decision(state.with_promise(replace(promise, status="withdrawn")), (event,), cancel=(TIMER + promise.id,))


def _due(given: datetime, zone: str, now: datetime) -> datetime | Refused:
    """The instant that is meant; a local time that does not exist, or has passed, is refused with the reason."""
    try:
        tz = zone_info(zone)
        due_at, change = (given.astimezone(UTC), "none") if given.tzinfo else wall.instant(given, zone)
    except (ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, ValueError) else "the time is beyond the calendar"
        return Refused(422, "Not a time", f"due_at: {reason}.")
    if change == "skipped":
        first = due_at.astimezone(tz)
        return Refused(
            422, "That time does not exist",
            f"due_at: {given:%H:%M} is skipped in {zone} that day, when the clock is put forward to {first:%H:%M}.",
        )  # fmt: skip
    if due_at <= now:
        shown = due_at.astimezone(tz)
        return Refused(422, "In the past", f"due_at: {shown:%Y-%m-%d %H:%M} in {zone} has passed already.")
    return due_at


def _told(what: str, state: S, promise: Promise) -> dict[str, str | None]:
    return {
        "notice": what, "promise": promise.id, "what": promise.what, "owner": promise.owner, "record": state.person.record,
        "due_at": promise.due_at.isoformat() if promise.due_at else None,
    }  # fmt: skip
