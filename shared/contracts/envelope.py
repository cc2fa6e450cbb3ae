"""The envelope of every event: CloudEvents 1.0 in Kafka binary mode, with a sequence and the trace that made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict

SERVICES = ("intake", "escalation", "followup", "records")
SOURCE_PREFIX = "/amends/"
MAX_SEQUENCE = 2**63 - 1
# A field whose values include one of these may get new values: readers take a value that they do not know as this one.
FALLBACKS = ("unknown", "other")


class EventData(BaseModel):
    """The data of one event type: frozen, additive inside a version, unknown fields ignored by readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    TYPE: ClassVar[str]


class Position(NamedTuple):
    """Where a record stands in Kafka. `topic` is the logical name, without the deployment's prefix."""

    topic: str
    partition: int
    offset: int


class Event(NamedTuple):
    """One event as it was read: the envelope parsed, the data still the bytes that came.

    `service` wrote it as number `sequence` about `subject` (1, 2, 3... without gaps per service and subject).
    `time` is when it was accepted or decided. `traceparent` is the immutable creation context ("" if absent).
    """

    id: UUID
    type: str
    service: str
    subject: UUID
    sequence: int
    time: datetime
    causation_id: str
    correlation_id: str
    traceparent: str
    tracestate: str
    data: bytes
    position: Position


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that is no event of ours. The bytes go to the dead letters; `reason` says why, without the content."""

    reason: str
    position: Position
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
