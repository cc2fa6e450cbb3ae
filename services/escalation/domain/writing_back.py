"""What the contact centre is told of a complaint: a private note, a tag for the tier, urgency from tier 3 on. Pure.

Its own agents look at its own screens: there they see who has the complaint. No names of persons, no words of theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from services.escalation.domain.state import EscalationState
from services.escalation.domain.teams import Teams
from shared.contracts.decision import Message
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Escalated, HandOffAccepted, HandOffRequested, StatusChanged

URGENT_FROM = 3
ITS_OWN = "contact-centre:"  # a status that it has reported itself


def notes(state: EscalationState, events: Sequence[EventData], teams: Teams, writable: Collection[str]) -> tuple[Message, ...]:
    """One message for what a decision means to those who look at the record; none where nobody can be written to."""
    to, record = state.case.source_instance, state.case.source_record
    if to is None or record is None or to not in writable:
        return ()
    found = _said(state, events, teams)
    if found is None:
        return ()
    name, body = found
    return (Message(f"note-{name}", "contact_centre", to, {"record_id": record, **body}),)


def _said(state: EscalationState, events: Sequence[EventData], teams: Teams) -> tuple[str, dict[str, Any]] | None:
    """The message's name and body; of several things that happened at once, the one that says most."""
    tier = state.tiers.tier or 1
    for event in reversed(events):
        match event:
            case HandOffRequested():
                text = f"tier {event.tier}, with {_title(teams, event.team)}, answer by {event.accept_by:%a %d %b %Y %H:%M} UTC"
                return f"hand-off-{event.number}", _body(text, event.tier) | _urgency(event.tier)
            case HandOffAccepted():
                # Its urgency stands since the hand-off, unless an agent thought better of it.
                return f"accepted-{event.number}", _body(f"tier {tier}, accepted by {_title(teams, event.team)}", tier)
            case StatusChanged(status="resolved") if not event.by.startswith(ITS_OWN):
                return f"resolved-{event.occurred_at:%Y%m%d%H%M%S%f}", _body("resolved")
            case _:
                pass
    risen = next((event for event in reversed(events) if isinstance(event, Escalated)), None)
    if risen is None:
        return None
    # Its hand-off waits for the customer's words.
    text = f"tier {risen.tier}, to be handed off"
    return f"escalated-{risen.at:%Y%m%d%H%M%S%f}", _body(text, risen.tier) | _urgency(risen.tier)


def _body(text: str, tier: int | None = None) -> dict[str, Any]:
    tags = {"tags_add": [f"amends-tier-{tier}"]} if tier is not None else {}
    return {"comment": f"Amends: {text}.", **tags}


def _urgency(tier: int) -> dict[str, str]:
    return {"priority": "urgent"} if tier >= URGENT_FROM else {}


def _title(teams: Teams, team: str) -> str:
    known = teams.teams.get(team)
    return known.title if known is not None else team
