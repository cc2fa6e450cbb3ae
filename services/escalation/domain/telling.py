"""What teams are told of a decision: hand-offs to answer, and what somebody must look at. Pure."""

from __future__ import annotations

from typing import Any

from services.escalation.domain import conduct, remedies
from services.escalation.domain.draft import Desk, Draft
from shared.contracts.decision import Message
from shared.contracts.envelope import EventData
from shared.contracts.escalations import (
    AlarmRaised,
    ClockMissed,
    ConductAppealed,
    ConductReviewDue,
    HandOffRequested,
    IncidentLogged,
    RemedyOffered,
)

ROUTES = ("email", "chat", "webhook")


def of_hand_off(draft: Draft, desk: Desk, event: HandOffRequested) -> None:
    """The team is asked to take the complaint."""
    facts, link = draft.state.facts, desk.link(event.number, event.accept_by)
    text = (
        f"A complaint is handed to you: {facts.category}, severity {facts.severity}, tier {event.tier}.\n"
        f"Reason: {event.reason}\nAccept or refuse by {event.accept_by:%a %d %b %H:%M} UTC, or it moves on.\n{link}"
    )
    data = event.model_dump(mode="json", exclude={"package"}) | {"link": link}
    name = f"hand-off-{event.number}"
    draft.messages += _to_team(desk, event.team, name, "Hand-off: answer needed", text, event.TYPE, data)


def names_of_hand_off(number: int) -> list[str]:
    """The names of the messages that `of_hand_off` makes."""
    return [f"hand-off-{number}-{route}" for route in ROUTES]


def of_events(draft: Draft, desk: Desk) -> None:
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
            case ConductAppealed():
                lead = desk.teams.for_work(conduct.LEAD_TIER, ())
                name = f"appeal-{event.at:%Y%m%d%H%M%S}"
                _tell(draft, desk, lead, name, "An appeal against a restriction", "The customer does not agree: decide it anew", event)
            case RemedyOffered() if event.needs_tier is not None:
                team = _who_authorises(draft, desk, event, event.needs_tier)
                text = f"offer {event.offer} by {event.by}"
                _tell(draft, desk, team, f"authorise-{event.offer}", "An offer needs your authority", text, event)
            case _:
                pass


def _who_authorises(draft: Draft, desk: Desk, event: RemedyOffered, tier: int) -> str:
    """A team of the tier that may grant what the offer asks for."""
    state = draft.state
    for option in event.options:
        whole = remedies.beyond(state.remedies, option, state.tiers.remedy_authority, event.offer)
        for name in desk.teams.who_may(option.remedy, whole) if whole is not None else ():
            if desk.teams.teams[name].tier == tier:
                return name
    return desk.teams.for_work(tier, ())


def _tell(draft: Draft, desk: Desk, team: str, name: str, subject: str, text: str, event: EventData) -> None:
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
