"""People take over: what follows from a decision for whoever deals with the complaint, and what they say to it. Pure.

The rest of the domain decides about status, tier and clocks; here each move to another tier becomes a hand-off, teams are
told, and answers, offers and conduct steps are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.escalation.domain import case, clocks, conduct, deciding, handoffs, remedies, writing_back
from services.escalation.domain.handoffs import AcceptHandOff, HandOff, HandOver, RefuseHandOff
from services.escalation.domain.promises import Book, page
from services.escalation.domain.state import EscalationState
from services.escalation.domain.teams import Teams
from shared.calendar import clock as business
from shared.calendar.durations import read
from shared.calendar.plain import calendar_of
from shared.calendar.zones import to_instant, to_seconds
from shared.contracts.complaints import ComplaintReceived, ContactAdded
from shared.contracts.decision import Decision, Due, Message, Refused, Timer
from shared.contracts.envelope import EventData
from shared.contracts.escalations import (
    AlarmRaised,
    ClockMissed,
    ConductReviewDue,
    Escalated,
    HandOffRequested,
    IncidentLogged,
    RemedyOffered,
)
from shared.frozen import dataclass, field, replace

S = EscalationState
Command = HandOver | AcceptHandOff | RefuseHandOff | remedies.Command | conduct.Command
COMMANDS = (
    HandOver, AcceptHandOff, RefuseHandOff, remedies.OfferRemedy, remedies.AuthoriseOffer, remedies.CounterOffer,
    remedies.AcceptOffer, remedies.RefuseOffer, conduct.HelpNow, conduct.WarnAboutConduct, conduct.RestrictContact,
    conduct.AppealConduct, conduct.EndRestriction,
)  # fmt: skip
TIMERS = (handoffs.TIMER, conduct.TIMER)


def _no_link(number: int, until: datetime) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who there is, and the address where a hand-off can be answered (empty: none).

    `writable`: the sources whose records can be written back to.
    """

    teams: Teams = field(default_factory=Teams)
    link: Callable[[int, datetime], str] = _no_link
    writable: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Draft:
    """A decision that is being added to."""

    state: S
    events: list[EventData]
    timers: list[Timer]
    cancel: list[str]
    messages: list[Message]
    withdraw: list[str]

    def done(self) -> Decision[S]:
        return Decision(
            self.state, tuple(self.events), tuple(self.timers), tuple(self.cancel), tuple(self.messages), tuple(self.withdraw)
        )


def _draft(decision: Decision[S]) -> _Draft:
    return _Draft(
        decision.state, list(decision.events), list(decision.timers), list(decision.cancel), list(decision.messages),
        list(decision.withdraw),
    )  # fmt: skip


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
    draft = _draft(decision)
    draft.state = replace(state, case=known)
    _move(draft, before, now, book, desk)
    return _told(draft, desk)


def on_command(state: S, given: Command, now: datetime, book: Book, desk: Desk) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    draft = _draft(Decision(state))
    match given:
        case HandOver():
            if state.facts.status == "closed":
                return Refused(409, "Closed", "The complaint is closed: reopen it first.")
            if desk.teams.teams and given.team not in desk.teams.teams:
                names = ", ".join(sorted(desk.teams.teams))
                return Refused(409, "No such team", f"The directory has no team '{given.team}': {names}.")
            _ask(draft, given.team, given.reason, given.by, now, book, desk)
        case AcceptHandOff():
            pending = handoffs.answerable(state.hand_offs, given, desk.teams)
            if isinstance(pending, Refused):
                return pending
            after, event = handoffs.accepted(state.hand_offs, pending, given.by, now)
            _settle(draft, replace(state, hand_offs=after), event, pending)
        case RefuseHandOff():
            pending = handoffs.answerable(state.hand_offs, given, desk.teams)
            if isinstance(pending, Refused):
                return pending
            gone, refusal = handoffs.refused(state.hand_offs, pending, given.reason, given.by, now)
            _settle(draft, replace(state, hand_offs=gone), refusal, pending)
            _move_on(draft, pending, f"refused by {pending.team}: {given.reason}", now, book, desk)
        case (
            conduct.HelpNow() | conduct.WarnAboutConduct() | conduct.RestrictContact() | conduct.AppealConduct()
            | conduct.EndRestriction()
        ):
            step = conduct.command(state.conduct, given, desk.teams, now)
            if isinstance(step, Refused):
                return step
            _conduct(draft, step, now)
            if isinstance(given, conduct.HelpNow):  # at once: nothing of the package is waited for
                team = desk.teams.for_work(max(conduct.LEAD_TIER, state.tiers.tier or 1), ())
                _ask(draft, team, f"help needed now: {given.kind}", given.by, now, book, desk, at_once=True)
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
    draft = _draft(Decision(before))
    if due.name == conduct.TIMER:
        _conduct(draft, conduct.fired(before.conduct, due.due_at, now), now)
    pending = before.hand_offs.pending
    if due.name == handoffs.TIMER and pending is not None:
        if pending.accept_by is None:
            _send(draft, pending, now, book, desk)
        else:
            after, lapse = handoffs.lapsed(before.hand_offs, pending, pending.accept_by, now)
            _settle(draft, replace(before, hand_offs=after), lapse, pending)
            _move_on(draft, pending, f"{pending.team} did not answer in time", now, book, desk)
    return _told(draft, desk)


# --- hand-offs


def _move(draft: _Draft, before: S | None, now: datetime, book: Book, desk: Desk) -> None:
    """A move to another tier or desk is a hand-off; an end of the complaint ends what waits."""
    state = draft.state
    pending = state.hand_offs.pending
    if state.facts.status in ("resolved", "closed"):
        if pending is not None:
            draft.state = replace(state, hand_offs=replace(state.hand_offs, pending=None))
            draft.cancel.append(handoffs.TIMER)
            draft.withdraw += _names(pending.number)
        return
    risen = next((event for event in reversed(draft.events) if isinstance(event, Escalated)), None)
    tier = state.tiers.tier or 1
    if risen is not None:
        _ask(draft, desk.teams.for_work(tier, state.tiers.desks), f"{risen.cause}: {risen.detail}", risen.by, now, book, desk)
    elif state.hand_offs.number == 0 and state.hand_offs.team is None:
        team = desk.teams.for_work(tier, state.tiers.desks)
        if tier > 1 or state.tiers.desks:
            _ask(draft, team, "received", "escalation", now, book, desk)
        else:  # the front line has what came in; nobody need be asked
            draft.state = replace(state, hand_offs=replace(state.hand_offs, team=team, since=now))
    elif pending is not None and pending.accept_by is None and not case.missing(state.case):
        _send(draft, pending, now, book, desk)


def _ask(
    draft: _Draft, team: str, reason: str, by: str, now: datetime, book: Book, desk: Desk, *, at_once: bool = False
) -> None:
    """Hand the complaint to a team: told at once if its package is complete, else by the safety deadline."""
    earlier = draft.state.hand_offs.pending
    if earlier is not None:
        draft.withdraw += _names(earlier.number)
    complete = at_once or not case.missing(draft.state.case)
    asked = handoffs.asked(draft.state.hand_offs, team, reason[:2000], by, now, complete=complete)
    draft.state = replace(draft.state, hand_offs=asked)
    pending = asked.pending
    if pending is None:
        raise TypeError("a hand-off that was asked for does not wait")
    if complete:
        _send(draft, pending, now, book, desk)
    elif pending.wait_until is not None:
        draft.timers.append(Timer(handoffs.TIMER, pending.wait_until))


def _send(draft: _Draft, pending: HandOff, now: datetime, book: Book, desk: Desk) -> None:
    """The package goes to the team, and its time to answer begins."""
    state = draft.state
    span = read(book.own.decide(state.facts.as_of(now)).outcome.get("accept_within", handoffs.ACCEPT_WITHIN))
    calendar = calendar_of(page(book.own).calendar_text)
    due = business.due_at(calendar, to_seconds(now), span, ())
    accept_by = to_instant(due) if due is not None else now + handoffs.SAFETY
    sent = replace(pending, accept_by=accept_by, wait_until=None)
    draft.state = replace(state, hand_offs=replace(state.hand_offs, pending=sent))
    running = tuple([clocks.deadline(state.clocks, each) for each in state.clocks.running if each.met is None])
    event = HandOffRequested(
        number=sent.number, team=sent.team, tier=state.tiers.tier or 1, reason=sent.reason, by=sent.by, accept_by=accept_by,
        package=case.package(state.facts, state.case, remedies.told(state.remedies), running), at=now,
    )  # fmt: skip
    draft.events.append(event)
    draft.timers.append(Timer(handoffs.TIMER, accept_by))
    link = desk.link(sent.number, accept_by)
    text = (
        f"A complaint is handed to you: {state.facts.category}, severity {state.facts.severity}, tier {event.tier}.\n"
        f"Reason: {sent.reason}\nAccept or refuse by {accept_by:%a %d %b %H:%M} UTC, or it moves on.\n{link}"
    )
    data = event.model_dump(mode="json", exclude={"package"}) | {"link": link}
    draft.messages += _to_team(desk, sent.team, f"hand-off-{sent.number}", "Hand-off: answer needed", text, event.TYPE, data)


def _settle(draft: _Draft, state: S, event: EventData, pending: HandOff) -> None:
    draft.state = state
    draft.events.append(event)
    draft.cancel.append(handoffs.TIMER)
    draft.withdraw += _names(pending.number)


def _move_on(draft: _Draft, pending: HandOff, why: str, now: datetime, book: Book, desk: Desk) -> None:
    """Nobody has taken it: up a tier; at the top it is asked again, and the alarm has gone off."""
    state, events = deciding.lifted(draft.state, book, "lapsed_hand_off", why, now)
    draft.state = state
    draft.events += events
    tier = state.tiers.tier or 1
    _ask(draft, desk.teams.for_work(tier, state.tiers.desks), why, "escalation", now, book, desk)


def _conduct(draft: _Draft, step: conduct.Step, now: datetime) -> None:
    before = draft.state.conduct.restriction
    after, events = step
    draft.state = replace(draft.state, conduct=after)
    draft.events += events
    at = conduct.wake(after, now)
    if at is not None:
        draft.timers.append(Timer(conduct.TIMER, at))
    elif before is not None:
        draft.cancel.append(conduct.TIMER)


# --- telling


def _told(draft: _Draft, desk: Desk) -> Decision[S]:
    """The decision, with what people and the contact centre are told of it."""
    _tell_leads(draft, desk)
    draft.messages += writing_back.notes(draft.state, draft.events, desk.teams, desk.writable)
    return draft.done()


def _tell_leads(draft: _Draft, desk: Desk) -> None:
    """What somebody must look at, hand-offs aside."""
    state = draft.state
    mine = state.hand_offs.team or desk.teams.for_work(state.tiers.tier or 1, ())
    top = desk.teams.for_work(desk.teams.top, ())
    for event in list(draft.events):
        match event:
            case AlarmRaised():
                name = f"alarm-{event.at:%Y%m%d%H%M%S}"
                _tell(draft, desk, top, name, "Alarm: no higher tier", f"{event.cause}: {event.detail}", event)
            case ClockMissed():
                name = f"missed-{event.deadline.clock}-{event.deadline.regime or 'own'}-{event.fired_at:%Y%m%d%H%M%S}"
                _tell(draft, desk, mine, name, "A deadline was missed", f"{event.deadline.clock} is overdue", event)
            case IncidentLogged():
                lead = desk.teams.for_work(conduct.LEAD_TIER, ())
                _tell(draft, desk, lead, f"incident-{event.incident}", "Help needed now", f"{event.kind}, reported by {event.by}", event)
            case ConductReviewDue():
                lead = desk.teams.for_work(conduct.LEAD_TIER, ())
                name = f"review-{event.review_at:%Y%m%d%H%M%S}"
                _tell(draft, desk, lead, name, "Review a restriction", "It is time to look at it again", event)
            case RemedyOffered() if event.needs_tier is not None:
                team = desk.teams.for_work(event.needs_tier, ())
                text = f"offer {event.offer} by {event.by}"
                _tell(draft, desk, team, f"authorise-{event.offer}", "An offer needs your authority", text, event)
            case _:
                pass


def _tell(draft: _Draft, desk: Desk, team: str, name: str, subject: str, text: str, event: EventData) -> None:
    draft.messages += _to_team(desk, team, name, subject, text, event.TYPE, {"team": team, "about": text})


def _to_team(desk: Desk, team: str, name: str, subject: str, text: str, event_type: str, data: dict[str, Any]) -> list[Message]:
    """One message for each of the team's addresses. Without a directory there is nobody to tell."""
    known = desk.teams.teams.get(team)
    if known is None:
        return []
    found = []
    if known.email:
        found.append(Message(f"{name}-email", "email", known.email, {"subject": subject, "text": text}, person=team))
    if known.chat:
        found.append(Message(f"{name}-chat", "chat", known.chat, {"subject": subject, "text": f"{subject}: {text}"}, person=team))
    if known.webhook:
        found.append(Message(f"{name}-webhook", "webhook", known.webhook, {"type": event_type, "data": data}))
    return found


def _names(number: int) -> list[str]:
    return [f"hand-off-{number}-{route}" for route in ("email", "chat", "webhook")]
