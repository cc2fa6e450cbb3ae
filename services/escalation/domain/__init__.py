"""Who deals with a complaint, by when, and where it stands. Pure: state, input and policies in; state and events out.

Each part decides about its own piece of the state and knows nothing of the others: `status`, `tiers`, `clocks` (with
`promises`, what policies want, and `changes`, what happens to clocks). `deciding` lets the policies decide about them
together. Here stands what each input means.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.escalation.domain import changes, check_ins, deciding, status, tiers
from services.escalation.domain.check_ins import Asked
from services.escalation.domain.deciding import ExtendLimit
from services.escalation.domain.promises import Book
from services.escalation.domain.state import EscalationState, Events, Step
from services.escalation.domain.status import Close, Reopen, Resolve, Wait
from services.escalation.domain.tiers import Escalate
from services.escalation.domain.timer import CLOCKS, decision
from shared.calendar.zones import to_seconds
from shared.contracts.complaints import (
    ComplaintMerged,
    ComplaintReceived,
    Contact,
    ContactAdded,
    MergeUndone,
    ReplySent,
    StatusReported,
)
from shared.contracts.decision import Decision, Due, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Escalated, StatusChanged
from shared.contracts.followups import CheckInAnswered, CheckInDue, FactChecked, PromiseBroken
from shared.frozen import replace
from shared.policy.complaint import ComplaintFacts

__all__ = [
    "CLOCKS",
    "RECOMPUTE",
    "Book",
    "Close",
    "Command",
    "Escalate",
    "EscalationState",
    "ExtendLimit",
    "Reopen",
    "Resolve",
    "Wait",
    "on_command",
    "on_event",
    "on_timer",
    "recomputed",
]

RECOMPUTE = "recompute"  # no timer that is set: a sweep comes by
Command = Resolve | Close | Wait | Reopen | Escalate | ExtendLimit

S = EscalationState
_NEW = EscalationState()


def on_event(state: S | None, data: EventData, at: datetime, book: Book) -> Decision[S]:
    """What an event of intake or follow-up, accepted or decided `at`, changes."""
    before = state or _NEW
    known = before.facts.received_at is not None
    match data:
        case ComplaintReceived():
            return decision(before, _received(before, data, at, book))
        case ContactAdded(contact=contact):
            return decision(before, _wrote_again(before, contact, at, book))
        case ReplySent(contact=contact):
            return decision(before, _replied(before, contact, at))
        case StatusReported() if known:
            return decision(before, _reported(before, data, at, book))
        case StatusReported():
            return Decision(replace(before, reports=status.keep(before.reports, data)))
        case ComplaintMerged(into=into) if known:
            closing = status.command(before.facts, Close(reason=f"merged into {into}", by=data.by), at)
            return Decision(before) if isinstance(closing, Refused) else decision(before, _changed(before, closing, at, book))
        case MergeUndone() if known:
            opening = status.command(before.facts, Reopen(reason="the merge was undone", by=data.by), at)
            return Decision(before) if isinstance(opening, Refused) else decision(before, _moved(before, opening, at, book))
        case CheckInDue() if before.facts.status in ("resolved", "closed"):
            return Decision(replace(before, asked=before.asked.after(data)))
        case FactChecked(disproves=str(remedy)) if known:
            return decision(before, _failed(before, data, remedy, at, book))
        case CheckInAnswered() if known:
            return decision(before, _answered(before, data, at, book))
        case PromiseBroken():
            after = replace(before, facts=before.facts.after(data))
            if not known or after.facts.status not in ("open", "waiting"):
                return Decision(after)
            detail = f"{data.promise}, {data.kind}"
            return decision(before, deciding.not_kept(after, "broken_promise", detail, at, book, PromiseBroken.TYPE))
        case _:
            return Decision(before)


def on_command(state: S | None, command: Command, now: datetime, book: Book) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    if state is None or state.facts.received_at is None:
        detail = "Escalation knows no complaint with this id. If it was just sent, try again in a moment."
        return Refused(404, "No such complaint", detail)
    match command:
        case Escalate():
            if state.facts.status not in ("open", "waiting"):
                return Refused(409, "Not open", f"The complaint is {state.facts.status}: reopen it first.")
            raised = tiers.command(state.tiers, command, book.desks, book.top_tier, now)
            if isinstance(raised, Refused):
                return raised
            return decision(state, _asked(state, raised, now, book))
        case ExtendLimit():
            extended = deciding.extended(state, command, now, book)
            return extended if isinstance(extended, Refused) else decision(state, extended)
        case Resolve() | Close() | Wait() | Reopen():
            changed = status.command(state.facts, command, now, offered=bool(state.remedies.offers))
            return changed if isinstance(changed, Refused) else decision(state, _moved(state, changed, now, book))


def on_timer(state: S | None, due: Due, now: datetime, book: Book) -> Decision[S]:
    """Time has passed: warnings, misses, and what rises because of them. `now` is later than `due` after an outage."""
    before = state or _NEW
    if due.name == RECOMPUTE:
        return recomputed(before, now, book)
    at = to_seconds(now)
    after, events, missed = changes.fired(before.clocks, at)
    step = replace(before, clocks=after, facts=_after(before.facts, events)), events
    if missed:
        step = deciding.missed(step[0], missed, now, book, events)
    elif before.tiers.raise_at is not None and before.tiers.raise_at <= at:
        step = deciding.still_missed(step[0], now, book, events)
    return decision(before, step, fired=True)


def recomputed(state: S, now: datetime, book: Book) -> Decision[S]:
    """The policies in force, and with them the calendars, have changed. No events: nothing changes for this complaint."""
    return decision(state, deciding.recomputed(state, now, book))


# --- what happens


def _received(before: S, data: ComplaintReceived, at: datetime, book: Book) -> Step:
    early = before.reports.early
    reports = replace(before.reports, early=None).after_contact(data.contact)
    known = replace(before, facts=before.facts.after_receipt(data), reports=reports)
    after, events = deciding.decide(known, at, book, ComplaintReceived.TYPE, always=True)
    if early is None:
        return after, events
    after, more = _reported(after, early, at, book)
    return after, (*events, *more)


def _wrote_again(before: S, contact: Contact, at: datetime, book: Book) -> Step:
    """A new contact may raise the tier; it ends the waiting, and reopens what was thought to be solved.

    What the customer answers to our question, or adds to the answer, does not reopen by itself: the answer says what follows.
    Only something graver in it does, such as a threat to somebody's safety beside a "yes".
    """
    after = replace(before, facts=before.facts.after_contact(contact), reports=before.reports.after_contact(contact))
    events: Events = ()
    is_answer = after.facts.status in ("resolved", "closed") and before.asked.answered_by(contact)
    if is_answer and (contact.answer != "yes" or not deciding.graver(after, at, book)):
        return after, ()
    if after.facts.status != "open":
        reason = "the customer wrote again"
        reopened = status.change(after.facts, "open", contact.occurred_at, by="customer", reason=reason)
        after, events = _changed(after, reopened, at, book)
        after = replace(after, asked=check_ins.reopened_by(contact, before.tiers.tier or 1, at))
    after, more = deciding.decide(after, at, book, ContactAdded.TYPE)
    return after, (*events, *more)


def _replied(before: S, contact: Contact, at: datetime) -> Step:
    after, events = changes.replied(before.clocks, _seconds(contact.occurred_at, at))
    facts = _after(before.facts.after_reply(contact.occurred_at), events)
    return deciding.at_rest(replace(before, facts=facts, clocks=after)), events


def _answered(before: S, data: CheckInAnswered, at: datetime, book: Book) -> Step:
    """The customer says whether it is solved: yes closes; partly and no reopen, one tier up, with the same clocks.

    What the same reply has reopened because it was read first here is put right: it was the answer.
    """
    facts = before.facts
    reread = facts.status == "open" and before.asked.word_at == data.occurred_at
    if data.answer == "yes":
        if facts.status != "resolved" and not reread:
            return before, ()
        said = "the customer says that it is solved"
        return _changed(before, status.change(facts, "closed", data.occurred_at, by="customer", reason=said), at, book)
    after, events = before, Events()
    if facts.status in ("resolved", "closed"):
        said = "the customer says that it is solved in part" if data.answer == "partly" else "the customer says that it is not solved"
        reopened = status.change(facts, "open", data.occurred_at, by="customer", reason=said)
        after, events = _changed(before, reopened, at, book)
    elif not reread or (before.tiers.tier or 1) > before.asked.word_tier:  # looked at again already, by somebody higher up
        return before, ()
    raised, lifting = tiers.lifted(after.tiers, book.top_tier, "not_solved", f"check-in {data.number}", at, by="customer")
    after = replace(after, tiers=raised, asked=Asked())
    # By what the customer added too, where that was read first.
    after, decided = deciding.decide(after, at, book, CheckInAnswered.TYPE)
    return after, (*events, *lifting, *decided)


def _failed(before: S, data: FactChecked, remedy: str, at: datetime, book: Book) -> Step:
    """What was promised as the remedy was not carried out: nothing is solved, and somebody higher up must know."""
    if check_ins.FAILED not in before.tiers.raise_on:
        return before, ()
    after, events = before, Events()
    if before.facts.status in ("resolved", "closed"):
        said = f"the {remedy.replace('_', ' ')} was not carried out: not {data.fact.replace('_', ' ')}"
        reopened = status.change(before.facts, "open", data.occurred_at, by=data.by, reason=said)
        after, events = _changed(before, reopened, at, book)
    raised, lifting = tiers.lifted(after.tiers, book.top_tier, check_ins.FAILED, data.fact, at)
    after, decided = deciding.decide(replace(after, tiers=raised), at, book, FactChecked.TYPE)
    return after, (*events, *lifting, *decided)


def _asked(before: S, raised: tuple[tiers.Tiers, Events], at: datetime, book: Book) -> Step:
    """A person asked for somebody above: so it goes, and the policies decide by that."""
    tiers_now, events = raised
    after = replace(before, tiers=tiers_now, facts=_after(before.facts, events))
    after, decided = deciding.decide(after, at, book, Escalated.TYPE)
    return after, (*events, *decided)


def _reported(before: S, data: StatusReported, at: datetime, book: Book) -> Step:
    reports, changed = status.report(before.facts, before.reports, data)
    after = replace(before, reports=reports)
    return (after, ()) if changed is None else _moved(after, changed, at, book)


def _moved(before: S, changed: StatusChanged, at: datetime, book: Book) -> Step:
    """A new status; and when it is open again, the policies decide by that."""
    after, events = _changed(before, changed, at, book)
    if after.facts.reopened == before.facts.reopened:
        return after, events
    after, decided = deciding.decide(after, at, book, StatusChanged.TYPE)
    return after, (*events, *decided)


def _changed(before: S, changed: StatusChanged, at: datetime, book: Book) -> Step:
    """A new status, and what it means to the clocks."""
    when, old, new = _seconds(changed.occurred_at, at), changed.previous, changed.status
    running, events = before.clocks, list[EventData]([changed])
    if old == "waiting":
        why = "the customer wrote" if changed.by == "customer" else f"the complaint is {new}"
        running, more = changes.resumed(running, when, why)
        events += more
    if new == "waiting":
        running, more = changes.paused(running, when)
        events += more
    elif new in ("resolved", "closed") and old in ("open", "waiting"):
        running, more = changes.resolved(running, when)
        events += more
    elif new == "open" and old in ("resolved", "closed"):
        running, more = changes.reopened(running, when)
        events += more
    asked = before.asked if new == "closed" else Asked()
    after = replace(before, facts=_after(before.facts.after_status(changed), events), clocks=running, asked=asked)
    if new == "resolved":
        after, more = deciding.after_resolution(after, at, book, when)
        events += more
    return deciding.at_rest(after), tuple(events)


def _after(facts: ComplaintFacts, events: Iterable[EventData]) -> ComplaintFacts:
    for event in events:
        facts = facts.after(event)
    return facts


def _seconds(occurred: datetime, at: datetime) -> int:
    """When it occurred, by the source's clock; that clock may be ahead, and nothing occurs after it was accepted."""
    return to_seconds(min(occurred, at))
