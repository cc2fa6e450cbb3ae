"""What the save takes and what it works out: inputs, rows, outgoing events. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from shared.contracts.decision import Decision, Message, Refused, Timer
from shared.contracts.envelope import Event
from shared.frozen import dataclass, field
from shared.telemetry.tracing import Carrier

S = TypeVar("S")
Kind = Literal["event", "timer", "submission", "command", "message"]


class Input(NamedTuple):
    """One thing to handle about one complaint (`subject`).

    `body` is what the domain sees. `event` is set when the input comes from another service: it alone has a sequence,
    and is dropped, handled or held by it. `reference` names the input uniquely (a position, a timer, a submission).
    `erased`: the complaint was erased; only a submission is decided then, for it must end somewhere.
    """

    kind: Kind
    subject: UUID
    body: Any
    reference: str
    carrier: Carrier | None
    causation_id: str
    correlation_id: str
    event: Event | None = None
    erased: bool = False


@dataclass(slots=True)
class Row(Generic[S]):
    """A complaint as loaded (`revision` 0: not there yet), then as it will be saved. `erased`: only the numbers are left."""

    revision: int
    sequence: int
    seen: dict[str, int]
    state: S | None
    erased: bool = False


class Outgoing(NamedTuple):
    """One event on its way to Kafka: exactly the bytes that the outbox row holds."""

    topic: str
    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An input that cannot be handled, and why (no content in the reason)."""

    kind: Kind
    reference: str
    subject: UUID | None
    service: str | None
    sequence: int | None
    reason: str
    input: dict[str, Any]
    key: bytes | None
    data: bytes | None


@dataclass(slots=True)
class Work(Generic[S]):
    """Everything that one transaction writes, worked out before it writes anything."""

    now: datetime
    rows: dict[UUID, Row[S]] = field(default_factory=dict)
    handled: list[tuple[Input, Decision[S]]] = field(default_factory=list)
    refused: list[tuple[Input, Refused]] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    timers: dict[tuple[UUID, str], tuple[Timer, str] | None] = field(default_factory=dict)
    # By id; None: withdrawn.
    messages: dict[UUID, tuple[UUID, Message, str] | None] = field(default_factory=dict)
    hold: dict[tuple[UUID, str, int], Event] = field(default_factory=dict)
    release: list[tuple[UUID, str, int]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    erased: set[UUID] = field(default_factory=set)
    duplicates: int = 0

    @property
    def empty(self) -> bool:
        """True when there is nothing to write (all inputs were duplicates)."""
        return not (self.rows or self.hold or self.dead or self.release)


Held = dict[tuple[UUID, str, int], Event]
Inputs = Sequence[Input]
