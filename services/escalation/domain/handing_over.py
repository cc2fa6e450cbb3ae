"""Hand-offs as part of a decision: when a team is asked, what goes to it, and what follows from its answer. Pure."""

from __future__ import annotations

from datetime import datetime

from services.escalation.domain import case, clocks, deciding, handoffs, remedies, telling, timer
from services.escalation.domain.draft import Desk, Draft
from services.escalation.domain.handoffs import Asked, HandOff
from services.escalation.domain.promises import Book, page
from services.escalation.domain.state import EscalationState
from shared.calendar import clock as business
from shared.calendar.durations import read
from shared.calendar.plain import calendar_of
from shared.calendar.zones import to_instant, to_seconds
from shared.contracts.decision import Timer
from shared.contracts.envelope import EventData
from shared.contracts.escalations import DecisionMade, Escalated, HandOffRequested
from shared.frozen import replace
from shared.policy.complaint import citation


def move(draft: Draft, now: datetime, book: Book, desk: Desk) -> None:
    """A move to another tier or desk is a hand-off; an end of the complaint ends what waits."""
    state = draft.state
    pending = state.hand_offs.pending
    if state.facts.status in ("resolved", "closed"):
        if pending is not None:
            draft.state = replace(state, hand_offs=replace(state.hand_offs, pending=None))
            draft.cancel.append(handoffs.TIMER)
            draft.withdraw += telling.names_of_hand_off(pending.number)
        return
    risen = next((event for event in reversed(draft.events) if isinstance(event, Escalated)), None)
    tier = state.tiers.tier or 1
    if risen is not None:
        team = _team(state, desk)
        ask(draft, Asked(team, f"{risen.cause}: {risen.detail}", risen.by, risen.cause), now, book, desk)
    elif state.hand_offs.number == 0 and state.hand_offs.team is None:
        team = _team(state, desk)
        if tier > 1 or state.tiers.desks:
            ask(draft, Asked(team, "received", "escalation", "rule"), now, book, desk)
        else:  # the front line has what came in; nobody need be asked
            draft.state = replace(state, hand_offs=replace(state.hand_offs, team=team, since=now))
            draft.events = [
                each.model_copy(update={"team": team}) if isinstance(each, DecisionMade) else each for each in draft.events
            ]
    elif pending is not None and pending.accept_by is None and not case.missing(state.case):
        send(draft, pending, now, book, desk)


def ask(
    draft: Draft, asked: Asked, now: datetime, book: Book, desk: Desk, *, help_now: bool = False, then: Asked | None = None
) -> None:
    """Hand the complaint to a team: told at once if its package is complete (or somebody needs help now), else by the safety
    deadline. `then`: whom help has kept from being asked; they are, as soon as it is there."""
    earlier = draft.state.hand_offs.pending
    if earlier is not None:
        draft.withdraw += telling.names_of_hand_off(earlier.number)
    complete = help_now or not case.missing(draft.state.case)
    hand_offs = handoffs.asked(draft.state.hand_offs, asked, now, complete=complete, help_now=help_now, then=then)
    draft.state = replace(draft.state, hand_offs=hand_offs)
    pending = hand_offs.pending
    if pending is None:
        raise TypeError("a hand-off that was asked for does not wait")
    if complete:
        send(draft, pending, now, book, desk)
    elif pending.wait_until is not None:
        draft.timers.append(Timer(handoffs.TIMER, pending.wait_until))


def send(draft: Draft, pending: HandOff, now: datetime, book: Book, desk: Desk) -> None:
    """The package goes to the team, and its time to answer begins."""
    state = draft.state
    result = book.own.decide(state.facts.as_of(now))
    span = read(result.outcome.get("accept_within", handoffs.ACCEPT_WITHIN))
    team = desk.teams.teams.get(pending.team)
    hours = team.hours if team is not None else None
    calendar = calendar_of(hours or page(book.own).calendar_text)
    due = business.due_at(calendar, to_seconds(now), span, ())
    accept_by = to_instant(due) if due is not None else now + handoffs.SAFETY
    sent = replace(pending, accept_by=accept_by, wait_until=None)
    draft.state = replace(state, hand_offs=replace(state.hand_offs, pending=sent))
    running = tuple([clocks.deadline(state.clocks, each) for each in state.clocks.running if each.met is None])
    event = HandOffRequested(
        number=sent.number, team=sent.team, tier=state.tiers.tier or 1, reason=sent.reason, by=sent.by, accept_by=accept_by,
        package=case.package(state.facts, state.case, remedies.told(state.remedies), running), at=now,
        policy=citation(book.own, result, facts=False),
    )  # fmt: skip
    draft.events.append(event)
    draft.timers.append(Timer(handoffs.TIMER, accept_by))
    telling.of_hand_off(draft, desk, event)


def settle(draft: Draft, state: EscalationState, event: EventData, pending: HandOff) -> None:
    """It was answered, or its time is over."""
    draft.state = replace(state, facts=state.facts.after(event))
    draft.events.append(event)
    draft.cancel.append(handoffs.TIMER)
    draft.withdraw += telling.names_of_hand_off(pending.number)


def move_on(draft: Draft, pending: HandOff, why: str, now: datetime, book: Book, desk: Desk) -> None:
    """Nobody has taken it: up a tier; at the top it is asked again, and the alarm has gone off."""
    before, trigger = draft.state, draft.events[-1].TYPE
    moved = timer.decision(before, deciding.not_kept(before, "lapsed_hand_off", why, now, book, trigger))
    known = before.case
    for event in moved.events:
        known = case.after_event(known, event)
    state = draft.state = replace(moved.state, case=known)
    draft.events += moved.events
    draft.timers += moved.timers
    draft.cancel += moved.cancel
    team = _team(state, desk)
    again = Asked(team, why, "escalation", "lapsed_hand_off", tell_customer=pending.tell_customer)
    ask(draft, again, now, book, desk, help_now=pending.help_now, then=pending.then)


def _team(state: EscalationState, desk: Desk) -> str:
    """Who should have it now: by tier and desk, and by what it is about and the customer's language."""
    return desk.teams.for_work(state.tiers.tier or 1, state.tiers.desks, state.facts.category, state.case.language)
