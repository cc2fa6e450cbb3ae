"""What the policies say of a complaint, and what rises because something was not kept. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.escalation.domain import clocks, tiers
from services.escalation.domain.clocks import Running
from services.escalation.domain.promises import Book, counts_from_resolution, page, wanted
from services.escalation.domain.state import EscalationState, Events, Step
from shared.calendar import clock as business
from shared.calendar.durations import read
from shared.calendar.plain import calendar_of
from shared.calendar.zones import to_instant, to_seconds
from shared.contracts.escalations import Cause, ClockMissed, ClocksSet, DecisionMade
from shared.policy.complaint import citation
from shared.policy.evaluate import PolicyResult

S = EscalationState


def decide(before: S, as_of: datetime, book: Book, trigger: str, *, always: bool = False) -> Step:
    """Apply the policies. No event when they say what they said before, unless `always`."""
    facts = before.facts.as_of(as_of)
    result = book.own.decide(facts)
    tiers_now = tiers.decided(before.tiers, result)
    running, set_now = _started(before, facts, result, as_of, book)
    after = replace(before, tiers=tiers_now, clocks=running)
    if not always and not set_now and tiers_now == before.tiers:
        return after, ()
    decision = DecisionMade(
        tier=tiers_now.tier or 1,
        previous_tier=before.tiers.tier,
        clocks=clocks.as_first_released(running),
        remedy_authority=tiers_now.remedy_authority,
        guidance=result.guidance,
        policy=citation(book.own, result),
        trigger=trigger,
        as_of=as_of,
        deadlines=tuple([clocks.deadline(running, each) for each in set_now]),
    )
    by = f"{book.own.id}/{book.own.version}"
    return after, (decision, *tiers.risen(before.tiers, tiers_now, result, by, as_of))


def _started(
    before: S, facts: dict[str, Any], result: PolicyResult, as_of: datetime, book: Book
) -> tuple[clocks.Clocks, tuple[Running, ...]]:
    """The clocks by what the service's own policy says (`result`), and those of the legal regimes."""
    wishes = list(wanted(book.own, result))
    calendars = {page(book.own).calendar: page(book.own).calendar_text}
    for regime in book.regimes:
        wishes += wanted(regime, regime.decide(facts), regime.id)
        calendars[page(regime).calendar] = page(regime).calendar_text
    received = to_seconds(before.facts.received_at or as_of)
    return clocks.started(before.clocks, wishes, calendars, received=received, resolved=None)


def recomputed(before: S, now: datetime, book: Book) -> Step:
    """By the policies in force now: further clocks, and deadlines that are earlier than promised; none is ever later."""
    if before.facts.received_at is None or before.facts.status not in ("open", "waiting"):
        return before, ()
    facts = before.facts.as_of(now)
    running, set_now = _started(before, facts, book.own.decide(facts), now, book)
    if not set_now:
        return before, ()
    deadlines = tuple([clocks.deadline(running, each) for each in set_now])
    why = f"worked out again by {', '.join(f'{each.id}/{each.version}' for each in (book.own, *book.regimes))}"[:255]
    return replace(before, clocks=running), (ClocksSet(deadlines=deadlines, why=why, at=to_instant(to_seconds(now))),)


def after_resolution(before: S, at: datetime, book: Book, resolved: int) -> Step:
    """Clocks that count from the resolution, such as the one for its summary in writing."""
    sources = [(policy, "" if policy is book.own else policy.id) for policy in (book.own, *book.regimes)]
    sources = [(policy, regime) for policy, regime in sources if counts_from_resolution(policy)]
    if not sources:
        return before, ()
    facts = before.facts.as_of(at)
    wishes = [each for policy, regime in sources for each in wanted(policy, policy.decide(facts), regime)
              if each.counts_from == "resolved"]  # fmt: skip
    calendars = {page(policy).calendar: page(policy).calendar_text for policy, _ in sources}
    received = to_seconds(before.facts.received_at or at)
    running, set_now = clocks.started(before.clocks, wishes, calendars, received=received, resolved=resolved)
    if not set_now:
        return before, ()
    deadlines = tuple([clocks.deadline(running, each) for each in set_now])
    return replace(before, clocks=running), (ClocksSet(deadlines=deadlines, why="the complaint is resolved", at=to_instant(resolved)),)


def missed(before: S, missed: tuple[Running, ...], now: datetime, book: Book, events: Events) -> Step:
    """The policy decides again, by how things stand now; and a missed clock lifts the complaint by a tier at least."""
    after, decided = decide(before, now, book, ClockMissed.TYPE)
    events = (*events, *decided)
    if (after.tiers.tier or 1) == (before.tiers.tier or 1) and "missed_clock" in after.tiers.raise_on:
        detail = ", ".join(each.key for each in missed)
        raised, more = tiers.lifted(after.tiers, book.top_tier, "missed_clock", detail, now)
        after, events = replace(after, tiers=raised), (*events, *more)
    return _raise_again(after, now, book), events


def still_missed(before: S, now: datetime, book: Book, events: Events) -> Step:
    """Nobody has met it since: up again, to the top, then the alarm."""
    detail = ", ".join(each.key for each in before.clocks.running if each.missed is not None and each.met is None)
    raised, more = tiers.lifted(before.tiers, book.top_tier, "missed_clock", f"still not met: {detail}", now)
    return _raise_again(replace(before, tiers=raised), now, book), (*events, *more)


def _raise_again(before: S, now: datetime, book: Book) -> S:
    """Plans the next rise by the policy's `raise_every`; at the top the alarm has been raised and nothing is planned."""
    every = book.own.decide(before.facts.as_of(now)).outcome.get("raise_every")
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


def lifted(before: S, book: Book, cause: Cause, detail: str, at: datetime) -> Step:
    """Something was not kept that somebody had promised or taken on."""
    if cause not in before.tiers.raise_on or before.facts.status not in ("open", "waiting"):
        return before, ()
    raised, events = tiers.lifted(before.tiers, book.top_tier, cause, detail, at)
    return replace(before, tiers=raised), events
