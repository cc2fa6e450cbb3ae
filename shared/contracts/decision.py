"""What a service's domain takes and gives: inputs, decisions with state and events together, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from shared.contracts.envelope import EventData

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Timer:
    """Wake this complaint at `due_at` under `name`; setting a name again moves it."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that has come due. Firing deletes it, in the same transaction as what the domain decides."""

    name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Decision(Generic[S]):
    """The new state and what follows from it, saved together or not at all."""

    state: S
    events: tuple[EventData, ...] = ()
    timers: tuple[Timer, ...] = ()
    cancel: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that cannot be done in this state: the HTTP status and one sentence for the caller."""

    status: int
    title: str
    detail: str
    extra: dict[str, str] = field(default_factory=dict)
