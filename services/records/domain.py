"""What records knows of a complaint at a glance, and what people do with the record; the story is in the ledger. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from shared.contracts.codec import BadData, read_data
from shared.contracts.complaints import Short
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, EventData
from shared.contracts.escalations import StatusChanged, TierDecided
from shared.contracts.privacy import (
    AccessGiven,
    CaseRead,
    ComplaintErased,
    ErasureRequested,
    HoldLifted,
    HoldSet,
    Matter,
    Why,
)
from shared.frozen import dataclass, field, replace

# What one reader looks at within this time is one event. What leaves the house is an event each time.
SAME_READING = timedelta(minutes=15)
MOST_READERS = 50
# A reason in a command: blanks are none.
Stated = Annotated[Why, StringConstraints(strip_whitespace=True)]


@dataclass(frozen=True, slots=True)
class RecordState:
    """A summary, folded by sequence. It can be rebuilt from the ledger at any time.

    `hold` is why the complaint must not be erased; `readers` when each last looked at it.
    """

    events: int = 0
    status: str = "open"
    tier: int | None = None
    first_event_at: AwareDatetime | None = None
    last_event_at: AwareDatetime | None = None
    hold: str | None = None
    readers: dict[str, AwareDatetime] = field(default_factory=dict)


class Erase(BaseModel):
    """Destroy the complaint's key. `reason` stays in the record: it must not name the person. `regime`: whose rule.

    `closed_only`: not if it was reopened meanwhile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    regime: Short | None = None
    closed_only: bool = False
    by: Short = ""


class RequestErasure(BaseModel):
    """The customer asks for erasure: it comes as soon as the rules of retention let it. `reason` must not name the person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


class SetHold(BaseModel):
    """Keep the complaint from being erased. `matter`: what is going on elsewhere about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    matter: Matter | None = None
    by: Short = ""


class LiftHold(BaseModel):
    """End the hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


class GiveAccess(BaseModel):
    """Give the person what is held about the complaint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


class NoteReading(BaseModel):
    """Somebody looks at the case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Literal["timeline", "export", "access", "search"] = "timeline"
    by: Short = ""


Command = Erase | RequestErasure | SetHold | LiftHold | GiveAccess | NoteReading
S = RecordState


def on_event(state: S | None, event: Event, now: datetime) -> Decision[S]:
    """Every event is recorded, of unknown type or with data that do not fit their type too."""
    before = state or RecordState()
    status, tier = before.status, before.tier
    try:
        if event.type == StatusChanged.TYPE:
            status = read_data(StatusChanged, event.data).status
        elif event.type == TierDecided.TYPE:
            tier = read_data(TierDecided, event.data).tier
    except BadData:
        pass  # recorded all the same; the summary stays as it was
    return Decision(
        replace(
            before, events=before.events + 1, status=status, tier=tier,
            first_event_at=before.first_event_at or event.time, last_event_at=event.time,
        )
    )  # fmt: skip


def on_command(state: S | None, command: Command, now: datetime) -> Decision[S] | Refused:
    """What a person does with the record."""
    if state is None:
        detail = "Nothing is recorded under this id. If it was just sent, try again in a moment."
        return Refused(404, "No such complaint", detail)
    match command:
        case Erase():
            if state.hold is not None:
                return Refused(409, "On hold", f"It must not be erased: {state.hold}. Lift the hold first.")
            if command.closed_only and state.status != "closed":
                return Refused(409, "Not closed", f"Its status is {state.status}: its time is not over.")
            event = ComplaintErased(reason=command.reason, by=command.by, regime=command.regime)
            return Decision(state, (event,), erase=True)
        case SetHold():
            held = HoldSet(reason=command.reason, by=command.by, matter=command.matter)
            return _after(replace(state, hold=command.reason), held, now)
        case RequestErasure():
            return _after(state, ErasureRequested(reason=command.reason, by=command.by), now)
        case LiftHold():
            if state.hold is None:
                return Refused(409, "Not on hold", "There is no hold on this complaint.")
            return _after(replace(state, hold=None), HoldLifted(reason=command.reason, by=command.by), now)
        case GiveAccess():
            return _after(state, AccessGiven(reason=command.reason, by=command.by), now)
        case NoteReading():
            return _read(state, command, now)


def is_new(state: S, reading: NoteReading, now: datetime) -> bool:
    """Whether a reading is to be recorded, or belongs to one that is."""
    last = state.readers.get(reading.by)
    return last is None or reading.how == "export" or now - last >= SAME_READING


def _read(state: S, command: NoteReading, now: datetime) -> Decision[S]:
    if not is_new(state, command, now):
        return Decision(state)
    recent = dict(sorted({**state.readers, command.by: now}.items(), key=lambda reader: reader[1])[-MOST_READERS:])
    return _after(replace(state, readers=recent), CaseRead(by=command.by, how=command.how), now)


def _after(state: S, event: EventData, now: datetime) -> Decision[S]:
    return Decision(
        replace(
            state, events=state.events + 1, first_event_at=state.first_event_at or now, last_event_at=now
        ),
        (event,),
    )  # fmt: skip
