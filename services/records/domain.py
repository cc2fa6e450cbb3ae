"""What records knows of a complaint at a glance; the whole story is in the ledger. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime

from shared.contracts.codec import BadData, read_data
from shared.contracts.decision import Decision
from shared.contracts.envelope import Event
from shared.contracts.escalations import DecisionMade, StatusChanged


@dataclass(frozen=True, slots=True)
class RecordState:
    """A summary, folded by sequence. It can be rebuilt from the ledger at any time."""

    events: int = 0
    status: str = "open"
    tier: int | None = None
    first_event_at: AwareDatetime | None = None
    last_event_at: AwareDatetime | None = None


def on_event(state: RecordState | None, event: Event, now: datetime) -> Decision[RecordState]:
    """Every event is recorded, of unknown type or with data that do not fit their type too."""
    before = state or RecordState()
    status, tier = before.status, before.tier
    try:
        if event.type == StatusChanged.TYPE:
            status = read_data(StatusChanged, event.data).status
        elif event.type == DecisionMade.TYPE:
            tier = read_data(DecisionMade, event.data).tier
    except BadData:
        pass  # recorded all the same; the summary stays as it was
    return Decision(RecordState(before.events + 1, status, tier, before.first_event_at or event.time, event.time))
