"""What is searched of a complaint, folded from its events in ledger order. Pure: the same events give the same row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from pydantic import AwareDatetime, BaseModel

from shared.contracts.codec import BadData, read_data
from shared.contracts.complaints import ComplaintReceived, ContactAdded
from shared.contracts.envelope import Event, EventData
from shared.contracts.escalations import (
    ClockMissed,
    ClocksMet,
    ClocksPaused,
    ClocksResumed,
    ClocksSet,
    Deadline,
    DecisionMade,
    Escalated,
    HandOffAccepted,
    HandOffRequested,
    RemedyAccepted,
    StatusChanged,
)
from shared.contracts.followups import (
    CheckInDue,
    CheckInScheduled,
    OutcomeRecorded,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    UpdateDue,
    UpdateScheduled,
)
from shared.contracts.privacy import ErasureRequested, HoldLifted, HoldSet
from shared.frozen import dataclass, field, replace
from shared.policy.remedies import remedy_kind


class _Source(BaseModel):
    instance: str


class _Reading(BaseModel):
    heat: str | None = None


class _Customer(BaseModel):
    country: str | None = None
    support_needs: tuple[str, ...] = ()


class _Contact(BaseModel):
    """What is searched of a contact; the rest is not read."""

    received_at: AwareDatetime
    source: _Source
    channel: str = "unknown"
    category: str = "other"
    severity: int = 2
    tags: tuple[str, ...] = ()
    customer: _Customer = _Customer()
    subject: str | None = None
    text: str = ""
    language: str | None = None
    reading: _Reading | None = None


class _Received(EventData):
    TYPE: ClassVar[str] = ComplaintReceived.TYPE
    contact: _Contact


class _Added(EventData):
    TYPE: ClassVar[str] = ContactAdded.TYPE
    contact: _Contact


class _Due(BaseModel):
    clock: str
    regime: str | None = None
    due_at: AwareDatetime | None = None


class _Named(BaseModel):
    id: str


class _Decided(EventData):
    TYPE: ClassVar[str] = DecisionMade.TYPE
    tier: int
    deadlines: tuple[_Due, ...] = ()
    regimes: tuple[_Named, ...] | None = None
    team: str | None = None


class _HandedOff(EventData):
    TYPE: ClassVar[str] = HandOffRequested.TYPE
    team: str
    accept_by: AwareDatetime


READ: dict[str, type[EventData]] = {
    model.TYPE: model
    for model in (
        _Received, _Added, _Decided, StatusChanged, ClocksSet, ClocksMet, ClocksPaused, ClocksResumed,
        ClockMissed, Escalated, _HandedOff, HandOffAccepted, RemedyAccepted, OutcomeRecorded, UpdateScheduled, UpdateDue,
        CheckInScheduled, CheckInDue, PromiseMade, PromiseKept, PromiseBroken, HoldSet, HoldLifted, ErasureRequested,
    )
}  # fmt: skip


# The kinds of remedy that are a payment.
MONEY = ("refund", "credit", "goodwill_payment")


@dataclass(frozen=True, slots=True)
class Case:
    """`due`: what comes next, by name. `missed`: clocks that were missed and not met since. `said`: bytes of words so far.
    From `last_event_at` on: what the rules of retention ask. `paid`: money was given."""

    received_at: AwareDatetime | None = None
    status: str = "open"
    tier: int | None = None
    team: str | None = None
    owner: str | None = None
    cause: str = "other"
    channel: str = "unknown"
    source: str = ""
    severity: int = 1
    heat: str | None = None
    language: str = "und"
    due: dict[str, AwareDatetime] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    remedy: str | None = None
    resolution: str | None = None
    outcome: str | None = None
    said: int = 0
    last_event_at: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None
    tags: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    vulnerable: bool = False
    child: bool = False
    country: str | None = None
    paid: bool = False
    matters: tuple[str, ...] = ()
    erasure_requested: bool = False


def fold(before: Case, event: Event) -> tuple[Case, str]:
    """The case after an event, and the words of it that are searched. What cannot be read changes nothing."""
    model: Any = READ.get(event.type)
    if model is not None:
        with contextlib.suppress(BadData):
            after, words = _after(before, read_data(model, event.data))
            return replace(after, last_event_at=event.time), words
    return before, ""


def _after(before: Case, data: Any) -> tuple[Case, str]:
    match data:
        case _Received() | _Added():
            return _contact(before, data.contact), f"{data.contact.subject or ''}\n{data.contact.text}"
        case _Decided():
            regimes = tuple(dict.fromkeys((*before.regimes, *(each.id for each in data.regimes or ()))))
            due, team = _with_clocks(before, data.deadlines), data.team or before.team
            return replace(before, due=due, tier=data.tier, regimes=regimes, team=team), ""
        case ClocksSet() | ClocksResumed():
            return replace(before, due=_with_clocks(before, data.deadlines)), ""
        case ClocksPaused():
            return _without(before, *data.clocks), ""
        case ClocksMet():
            names = [_key(clock.deadline) for clock in data.clocks]
            after = _without(before, *names)
            return replace(after, missed=tuple([name for name in after.missed if name not in names])), ""
        case ClockMissed():
            name = _key(data.deadline)
            return replace(_without(before, name), missed=tuple(dict.fromkeys((*before.missed, name)))), ""
        case Escalated():
            return replace(before, tier=data.tier), ""
        case _HandedOff():
            return replace(before, due={**before.due, "hand-off": data.accept_by}, team=data.team, owner=None), ""
        case HandOffAccepted():
            return replace(_without(before, "hand-off"), team=data.team, owner=data.by), ""
        case StatusChanged():
            after = replace(before, status=data.status)
            if data.status in ("resolved", "closed"):
                kept = {name: at for name, at in before.due.items() if name.startswith("check-in")}
                after = replace(after, due=kept)
            after = replace(after, closed_at=data.occurred_at if data.status == "closed" else None)
            if data.status == "resolved":
                remedy = data.remedy or before.remedy
                paid = before.paid or (remedy is not None and remedy_kind(remedy) in MONEY)
                after = replace(after, resolution=data.resolution, remedy=remedy, resolved_at=data.occurred_at, paid=paid)
            elif data.status == "open":
                after = replace(after, resolved_at=None)
            return after, data.resolution or ""
        case RemedyAccepted():
            return replace(before, paid=before.paid or data.option.amount is not None), ""
        case UpdateScheduled():
            return _with(before, "update", data.due_at), ""
        case UpdateDue():
            return _without(before, "update"), ""
        case CheckInScheduled():
            return _with(before, "check-in", data.due_at), ""
        case CheckInDue():
            return _without(before, "check-in"), ""
        case PromiseMade():
            return _with(before, f"promise {data.promise}", data.due_at), ""
        case HoldSet():
            return replace(before, matters=(data.matter,) if data.matter else ()), ""
        case HoldLifted():
            return replace(before, matters=()), ""
        case ErasureRequested():
            return replace(before, erasure_requested=True), ""
        case PromiseKept() | PromiseBroken():
            return _without(before, f"promise {data.promise}"), ""
        case _:
            return replace(before, outcome=data.outcome, team=before.team or data.team), ""


def _contact(before: Case, contact: _Contact) -> Case:
    return replace(
        before,
        received_at=before.received_at or contact.received_at,
        cause=before.cause if contact.category == "other" else contact.category,
        channel=before.channel if before.received_at else contact.channel,
        source=before.source or contact.source.instance,
        severity=max(before.severity, contact.severity),
        tags=tuple(dict.fromkeys((*before.tags, *contact.tags))),
        vulnerable=before.vulnerable or bool(contact.customer.support_needs),
        child=before.child or "child" in contact.customer.support_needs,
        country=contact.customer.country or before.country,
        heat=(contact.reading.heat if contact.reading is not None else None) or before.heat,
        # That of the first contact, for good: otherwise words would stand there by the language of their batch.
        language=before.language if before.received_at else contact.language or "und",
    )


def _key(deadline: Deadline | _Due) -> str:
    return f"{deadline.regime}/{deadline.clock}" if deadline.regime else deadline.clock


def _with_clocks(before: Case, deadlines: Iterable[Deadline | _Due]) -> dict[str, datetime]:
    due = dict(before.due)
    for deadline in deadlines:
        if deadline.due_at is not None:
            due[_key(deadline)] = deadline.due_at
    return due


def _with(before: Case, name: str, at: AwareDatetime) -> Case:
    return replace(before, due={**before.due, name: at})


def _without(before: Case, *names: str) -> Case:
    return replace(before, due={name: at for name, at in before.due.items() if name not in names})
