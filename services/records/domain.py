"""What records knows of a complaint at a glance; the whole story is in the ledger. Pure."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.contracts.codec import BadData, read_data
from shared.contracts.decision import Decision
from shared.contracts.envelope import Event
from shared.contracts.escalations import DecisionMade, StatusChanged


class RecordState(BaseModel):
    """A summary, folded by sequence. It can be rebuilt from the ledger at any time."""

    model_config = ConfigDict(frozen=True)

    events: int = 0
    status: str = "open"
    tier: int | None = None
    first_event_at: AwareDatetime | None = None
    last_event_at: AwareDatetime | None = None


def on_event(state: RecordState | None, event: Event, now: datetime) -> Decision[RecordState]:
    """Every event is recorded, of unknown type or with data that do not fit their type too."""
    before = state or RecordState()
    update = {
        "events": before.events + 1,
        "first_event_at": before.first_event_at or event.time,
        "last_event_at": event.time,
    }
    try:
        if event.type == StatusChanged.TYPE:
            update["status"] = read_data(StatusChanged, event.data).status
        elif event.type == DecisionMade.TYPE:
            update["tier"] = read_data(DecisionMade, event.data).tier
    except BadData:
        return Decision(before.model_copy(update=update))
    return Decision(before.model_copy(update=update))
