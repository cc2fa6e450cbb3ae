"""What the policies say of a complaint, and what rises because something was not kept. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from services.escalation.domain import clocks, tiers
from services.escalation.domain.clocks import Running
from services.escalation.domain.promises import (
    Book,
    Said,
    calendars_of,
    cited,
    counts_from_resolution,
    page,
    said,
    wanted,
)
from services.escalation.domain.state import EscalationState, Events, Step
from shared.calendar import clock as business
from shared.calendar.durations import read
from shared.calendar.plain import calendar_of
from shared.calendar.zones import to_instant, to_seconds
from shared.contracts.complaints import Short
from shared.contracts.decision import Refused
from shared.contracts.escalations import Cause, ClockMissed, ClocksSet, DecisionMade, LimitExtended, Stated
from shared.frozen import replace

S = EscalationState


class ExtendLimit(BaseModel):
    """A person records circumstances that extend a legal limit, by the name that its regime's rules know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extension: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    reason: Stated
    by: Short = ""


def decide(
    before: S, as_of: datetime, book: Book, trigger: str, *, always: bool = False, extended: Collection[str] = ()
) -> Step:
    """Apply the policies. No event when they say what they said before, unless `always`. `extended`: see clocks.started."""
    those = said(book.policies, before.facts.as_of(as_of))
    _, result = those[0]
    tiers_now = tiers.decided(before.tiers, result.outcome)
    running, set_now = _started(before, those, as_of, extended)
    after = replace(before, tiers=tiers_now, clocks=running)
    if not always and not set_now and tiers_now == before.tiers:
        return after, ()
    own, *regimes = cited(those)
    decision = DecisionMade(
        tier=tiers_now.tier or 1,
        previous_tier=before.tiers.tier,
        clocks=clocks.as_first_released(running),
        remedy_authority=tiers_now.remedy_authority,
        guidance=result.guidance,
        policy=own,
        regimes=tuple(regimes) or None,
        trigger=trigger,
        as_of=as_of,
        deadlines=tuple([clocks.deadline(running, each) for each in set_now]),
    )
    by = f"{book.own.id}/{book.own.version}"
    return after, (decision, *tiers.risen(before.tiers, tiers_now, result, by, as_of))


def graver(state: S, as_of: datetime, book: Book) -> bool:
    """Whether the policy would put it higher, or on further desks, were it open."""
    facts = replace(state.facts, status="open").as_of(as_of)
    then = tiers.decided(state.tiers, book.own.answer(facts))
    return (then.tier, then.desks) != (state.tiers.tier, state.tiers.desks)


def _started(
    before: S, those: Said, as_of: datetime, extended: Collection[str] = ()
) -> tuple[clocks.Clocks, tuple[Running, ...]]:
    """The clocks by what the service's own policy says, and those of the legal regimes."""
    wishes = [each for policy, result in those for each in wanted(policy, result)]
    received = to_seconds(before.facts.received_at or as_of)
    return clocks.started(before.clocks, wishes, calendars_of(those), received=received, resolved=None, extended=extended)


def recomputed(before: S, now: datetime, book: Book) -> Step:
    """By the policies in force now: further clocks, and deadlines that are earlier than promised; none is ever later."""
    if before.facts.received_at is None or before.facts.status not in ("open", "waiting"):
        return before, ()
    those = said(book.policies, before.facts.as_of(now))
    running, set_now = _started(before, those, now)
    if not set_now:
        return before, ()
    deadlines = tuple([clocks.deadline(running, each) for each in set_now])
    why = f"worked out again by {', '.join(f'{each.id}/{each.version}' for each in book.policies)}"[:255]
    event = ClocksSet(deadlines=deadlines, why=why, at=to_instant(to_seconds(now)), policies=cited(those))
    return replace(before, clocks=running), (event,)


def after_resolution(before: S, at: datetime, book: Book, resolved: int) -> Step:
    """Clocks that count from the resolution, such as the one for its summary in writing."""
    asked = [policy for policy in book.policies if counts_from_resolution(policy)]
    if not asked:
        return before, ()
    those = said(asked, before.facts.as_of(at))
    wishes = [each for policy, result in those for each in wanted(policy, result) if each.counts_from == "resolved"]
    received = to_seconds(before.facts.received_at or at)
    running, set_now = clocks.started(before.clocks, wishes, calendars_of(those), received=received, resolved=resolved)
    if not set_now:
        return before, ()
    deadlines = tuple([clocks.deadline(running, each) for each in set_now])
    event = ClocksSet(deadlines=deadlines, why="the complaint is resolved", at=to_instant(resolved), policies=cited(those))
    return replace(before, clocks=running), (event,)


def extended(before: S, given: ExtendLimit, now: datetime, book: Book) -> Step | Refused:
    """The regimes that know the extension set their deadlines anew, later ones too; or why nothing is extended."""
    name = given.extension
    if before.facts.status not in ("open", "waiting"):
        return Refused(409, "Not open", f"The complaint is {before.facts.status}: reopen it first.")
    if name in before.facts.extensions:
        return Refused(409, "Recorded already", f"The extension '{name}' is recorded already.")
    event = LimitExtended(extension=name, reason=given.reason, by=given.by, at=now)
    facts = before.facts.after(event)
    old, new = before.facts.as_of(now), facts.as_of(now)
    regimes = [each.id for each in book.regimes if each.answer(old) != each.answer(new)]
    if not regimes:
        detail = f"No legal regime that is in force for this complaint knows an extension '{name}'; its rules name them."
        return Refused(409, "No such extension", detail)
    after, events = decide(replace(before, facts=facts), now, book, LimitExtended.TYPE, always=True, extended=regimes)
    return after, (event, *events)


def not_kept(before: S, cause: Cause, detail: str, at: datetime, book: Book, trigger: str) -> Step:
    """The policies decide again, by how things stand now; and what was not kept lifts the complaint by a tier at least."""
    after, events = decide(before, at, book, trigger)
    if (after.tiers.tier or 1) > (before.tiers.tier or 1) or cause not in after.tiers.raise_on:
        return after, events
    raised, more = tiers.lifted(after.tiers, book.top_tier, cause, detail, at)
    return replace(after, tiers=raised), (*events, *more)


def missed(before: S, missed: tuple[Running, ...], now: datetime, book: Book, events: Events) -> Step:
    """Clocks were missed, and it rises; again and again, if the policy says so, as long as nobody meets them."""
    detail = ", ".join(each.key for each in missed)
    after, decided = not_kept(before, "missed_clock", detail, now, book, ClockMissed.TYPE)
    return _raise_again(after, now, book), (*events, *decided)


def still_missed(before: S, now: datetime, book: Book, events: Events) -> Step:
    """Nobody has met it since: up again, to the top, then the alarm."""
    detail = ", ".join(each.key for each in before.clocks.running if each.missed is not None and each.met is None)
    raised, more = tiers.lifted(before.tiers, book.top_tier, "missed_clock", f"still not met: {detail}", now)
    return _raise_again(replace(before, tiers=raised), now, book), (*events, *more)


def _raise_again(before: S, now: datetime, book: Book) -> S:
    """Plans the next rise by the policy's `raise_every`; at the top the alarm has been raised and nothing is planned."""
    every = book.own.answer(before.facts.as_of(now)).get("raise_every")
    raise_at = None
    if every is not None and "missed_clock" in before.tiers.raise_on and not before.tiers.alarmed:
        calendar = calendar_of(page(book.own).calendar_text)
        raise_at = business.due_at(calendar, to_seconds(now), read(every), ())
    return replace(before, tiers=replace(before.tiers, raise_at=raise_at))


def at_rest(state: S) -> S:
    """When no missed clock is left to be met, nothing rises any more."""
    if state.tiers.raise_at is None or any(each.missed is not None and each.met is None for each in state.clocks.running):
        return state
    return replace(state, tiers=replace(state.tiers, raise_at=None))
