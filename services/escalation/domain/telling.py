"""What teams are told of a decision: hand-offs to answer, and what somebody must look at. Pure."""

from __future__ import annotations

from typing import Any

from services.escalation.domain import conduct, remedies
from services.escalation.domain.draft import Desk, Draft
from services.escalation.domain.state import EscalationState
from services.escalation.domain.teams import Teams
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
    team = desk.teams.teams.get(event.team)
    if team is None or not team.reachable:
        return
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
    for event in tuple(draft.events):
        found = _matter(event, draft.state, desk.teams)
        if found is not None:
            team, name, subject, text = found
            draft.messages += _to_team(desk, team, name, subject, text, event.TYPE, {"team": team, "about": text})


def _matter(event: EventData, state: EscalationState, teams: Teams) -> tuple[str, str, str, str] | None:
    """Which team is told of an event, under which name, with which subject and words."""
    match event:
        case AlarmRaised():
            top = teams.for_work(teams.top, ())
            return top, f"alarm-{event.at:%Y%m%d%H%M%S}", "Alarm: no higher tier", f"{event.cause}: {event.detail}"
        case ClockMissed():
            mine = state.hand_offs.team or teams.for_work(state.tiers.tier or 1, ())
            name = f"missed-{event.deadline.clock}-{event.deadline.regime or 'own'}-{event.fired_at:%Y%m%d%H%M%S}"
            return mine, name, "A deadline was missed", f"{event.deadline.clock} is overdue"
        case IncidentLogged():
            lead = teams.for_work(conduct.LEAD_TIER, ())
            return lead, f"incident-{event.incident}", "Help needed now", f"{event.kind}, reported by {event.by}"
        case ConductReviewDue():
            lead = teams.for_work(conduct.LEAD_TIER, ())
            return lead, f"review-{event.review_at:%Y%m%d%H%M%S}", "Review a restriction", "It is time to look at it again"
        case ConductAppealed():
            lead, said = teams.for_work(conduct.LEAD_TIER, ()), "The customer does not agree: decide it anew"
            return lead, f"appeal-{event.at:%Y%m%d%H%M%S}", "An appeal against a restriction", said
        case RemedyOffered() if event.needs_tier is not None:
            team, said = _who_authorises(event, event.needs_tier, state, teams), f"offer {event.offer} by {event.by}"
            return team, f"authorise-{event.offer}", "An offer needs your authority", said
        case _:
            return None


def _who_authorises(event: RemedyOffered, tier: int, state: EscalationState, teams: Teams) -> str:
    """A team of the tier that may grant what the offer asks for."""
    for option in event.options:
        whole = remedies.beyond(state.remedies, option, state.tiers.remedy_authority, event.offer)
        for name in teams.who_may(option.remedy, whole) if whole is not None else ():
            if teams.teams[name].tier == tier:
                return name
    return teams.for_work(tier, ())


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
