"""People take over: what follows from a decision for whoever deals with the complaint, and what they say to it. Pure.

The rest of the domain decides about status, tier and clocks; here each move to another tier becomes a hand-off
(`handing_over`), teams and the contact centre are told (`telling`, `writing_back`), and answers, offers and conduct steps
are taken.
"""

from __future__ import annotations

from datetime import datetime

from services.escalation.domain import case, conduct, handing_over, handoffs, remedies, telling, writing_back
from services.escalation.domain.draft import Desk, Draft, draft_of
from services.escalation.domain.handoffs import AcceptHandOff, Asked, HandOver, RefuseHandOff
from services.escalation.domain.promises import Book
from services.escalation.domain.state import EscalationState
from shared.contracts.complaints import ComplaintReceived, ContactAdded
from shared.contracts.decision import Decision, Due, Refused, Timer
from shared.contracts.envelope import EventData
from shared.frozen import replace

__all__ = ["COMMANDS", "TIMERS", "Command", "Desk", "follow", "on_command", "on_timer"]

S = EscalationState
Command = HandOver | AcceptHandOff | RefuseHandOff | remedies.Command | conduct.Command
COMMANDS = (
    HandOver, AcceptHandOff, RefuseHandOff, remedies.OfferRemedy, remedies.AuthoriseOffer, remedies.CounterOffer,
    remedies.AcceptOffer, remedies.RefuseOffer, conduct.HelpNow, conduct.WarnAboutConduct, conduct.RestrictContact,
    conduct.AppealConduct, conduct.EndRestriction,
)  # fmt: skip
TIMERS = (handoffs.TIMER, conduct.TIMER)


def follow(before: S | None, decision: Decision[S], data: EventData | None, now: datetime, book: Book, desk: Desk) -> Decision[S]:
    """What follows from a decision of the rest of the domain, which `data` has caused (None: a command or a timer)."""
    state = decision.state
    if state.facts.received_at is None:
        return decision
    known = state.case
    if isinstance(data, ComplaintReceived | ContactAdded):
        known = case.after_contact(known, data.contact)
    for event in (*((data,) if data is not None else ()), *decision.events):
        known = case.after_event(known, event)
    draft = draft_of(decision)
    draft.state = replace(state, case=known)
    handing_over.move(draft, now, book, desk)
    return _told(draft, desk)


def on_command(state: S, given: Command, now: datetime, book: Book, desk: Desk) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    draft = draft_of(Decision(state))
    match given:
        case HandOver():
            if state.facts.status == "closed":
                return Refused(409, "Closed", "The complaint is closed: reopen it first.")
            if desk.teams.teams and given.team not in desk.teams.teams:
                names = ", ".join(sorted(desk.teams.teams))
                return Refused(409, "No such team", f"The directory has no team '{given.team}': {names}.")
            asked = Asked(given.team, given.reason, given.by, "request", given.customer_reason, given.tell_customer)
            handing_over.ask(draft, asked, now, book, desk)
        case AcceptHandOff():
            pending = handoffs.answerable(state.hand_offs, given, desk.teams)
            if isinstance(pending, Refused):
                return pending
            after, event = handoffs.accepted(state.hand_offs, pending, given.by, now, desk.teams)
            handing_over.settle(draft, replace(state, hand_offs=after), event, pending)
            if pending.then is not None:
                handing_over.ask(draft, pending.then, now, book, desk)
        case RefuseHandOff():
            pending = handoffs.answerable(state.hand_offs, given, desk.teams)
            if isinstance(pending, Refused):
                return pending
            gone, refusal = handoffs.refused(state.hand_offs, pending, given.reason, given.by, now)
            handing_over.settle(draft, replace(state, hand_offs=gone), refusal, pending)
            handing_over.move_on(draft, pending, f"refused by {pending.team}: {given.reason}", now, book, desk)
        case (
            conduct.HelpNow() | conduct.WarnAboutConduct() | conduct.RestrictContact() | conduct.AppealConduct()
            | conduct.EndRestriction()
        ):
            step = conduct.command(state.conduct, given, desk.teams, now)
            if isinstance(step, Refused):
                return step
            _conduct(draft, step, now)
            if isinstance(given, conduct.HelpNow):  # at once: nothing of the package is waited for, nor is the customer told
                team = desk.teams.for_work(max(conduct.LEAD_TIER, state.tiers.tier or 1), ())
                help_now = Asked(team, f"help needed now: {given.kind}", given.by, "request", tell_customer=False)
                then = handoffs.interrupted(state.hand_offs)
                handing_over.ask(draft, help_now, now, book, desk, help_now=True, then=then)
        case _:
            catalogue = book.own.document.spec.remedies
            offered = remedies.command(state.remedies, given, catalogue, state.tiers.remedy_authority, desk.teams, now)
            if isinstance(offered, Refused):
                return offered
            draft.state = replace(state, remedies=offered[0])
            draft.events.append(offered[1])
    return _told(draft, desk)


def on_timer(state: S | None, due: Due, now: datetime, book: Book, desk: Desk) -> Decision[S]:
    """A hand-off was not answered, or waited for its package long enough; a restriction is to be reviewed, or over."""
    before = state or S()
    draft = draft_of(Decision(before))
    if due.name == conduct.TIMER:
        _conduct(draft, conduct.fired(before.conduct, due.due_at, now), now)
    pending = before.hand_offs.pending
    if due.name == handoffs.TIMER and pending is not None:
        if pending.accept_by is None:
            handing_over.send(draft, pending, now, book, desk)
        else:
            after, lapse = handoffs.lapsed(before.hand_offs, pending, pending.accept_by, now)
            handing_over.settle(draft, replace(before, hand_offs=after), lapse, pending)
            handing_over.move_on(draft, pending, f"{pending.team} did not answer in time", now, book, desk)
    return _told(draft, desk)


def _conduct(draft: Draft, step: conduct.Step, now: datetime) -> None:
    before = draft.state.conduct.restriction
    after, events = step
    draft.state = replace(draft.state, conduct=after)
    draft.events += events
    at = conduct.wake(after, now)
    if at is not None:
        draft.timers.append(Timer(conduct.TIMER, at))
    elif before is not None:
        draft.cancel.append(conduct.TIMER)


def _told(draft: Draft, desk: Desk) -> Decision[S]:
    """The decision, with what people and the contact centre are told of it."""
    telling.of_events(draft, desk)
    draft.messages += writing_back.notes(draft.state, draft.events, desk.teams, desk.writable)
    return draft.done()
