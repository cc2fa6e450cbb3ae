"""Kafka records <-> events. Reading never raises: what cannot be read is returned as `Undecodable` with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar
from uuid import UUID

from pydantic import ValidationError

from shared.contracts.envelope import SERVICES, SOURCE_PREFIX, Event, EventData, Position, Undecodable

Headers = list[tuple[str, bytes]]
D = TypeVar("D", bound=EventData)

_SERVICE_OF_SOURCE = {f"{SOURCE_PREFIX}{service}".encode(): service for service in SERVICES}
_JSON = b"application/json"


class KafkaRecord(Protocol):
    """The part of aiokafka's ConsumerRecord that is read here."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class BadData(ValueError):
    """The data of an event does not fit its type. The message names fields and kinds, never contents."""


def encode_headers(
    *,
    event_id: UUID,
    event_type: str,
    service: str,
    subject: UUID,
    sequence: int,
    time: datetime,
    causation_id: str,
    correlation_id: str,
    traceparent: str,
    tracestate: str = "",
) -> Headers:
    """The headers of one event, in the order in which they are written."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id).encode()),
        ("ce_type", event_type.encode()),
        ("ce_source", f"{SOURCE_PREFIX}{service}".encode()),
        ("ce_time", time.astimezone(UTC).isoformat().encode()),
        ("ce_subject", str(subject).encode()),
        ("ce_sequence", b"%d" % sequence),
        ("ce_causationid", causation_id.encode()),
        ("ce_correlationid", correlation_id.encode()),
        ("content-type", _JSON),
        ("traceparent", traceparent.encode()),
    ]
    if tracestate:
        headers.append(("tracestate", tracestate.encode()))
    return headers


def decode(record: KafkaRecord, topic: str) -> Event | Undecodable:
    """Read one record of the logical `topic`. The data stay bytes: `read_data` validates them where they are used."""
    position = Position(topic, record.partition, record.offset)
    try:
        headers = dict(record.headers)
        service = _SERVICE_OF_SOURCE.get(headers["ce_source"])
        if service is None:
            raise ValueError("ce_source names no service of Amends")
        if headers["ce_specversion"] != b"1.0":
            raise ValueError("ce_specversion is not 1.0")
        sequence = int(headers["ce_sequence"])
        if sequence < 1:
            raise ValueError("ce_sequence is below 1")
        if record.value is None:
            raise ValueError("the value is null")
        time = datetime.fromisoformat(headers["ce_time"].decode())
        if time.tzinfo is None:
            raise ValueError("ce_time has no zone")
        return Event(
            id=UUID(headers["ce_id"].decode()),
            type=headers["ce_type"].decode(),
            service=service,
            subject=UUID(headers["ce_subject"].decode()),
            sequence=sequence,
            time=time,
            causation_id=headers.get("ce_causationid", b"").decode(),
            correlation_id=headers.get("ce_correlationid", b"").decode(),
            traceparent=headers.get("traceparent", b"").decode(),
            tracestate=headers.get("tracestate", b"").decode(),
            data=record.value,
            position=position,
        )
    except KeyError as missing:
        reason = f"header {missing.args[0]} is missing"
    except UnicodeDecodeError:
        reason = "a header is not UTF-8"
    except (ValueError, AttributeError, TypeError) as error:
        reason = _plain_reason(error)
    return Undecodable(
        reason=reason,
        position=position,
        key=record.key,
        headers=tuple((str(name), value) for name, value in record.headers),
        value=record.value,
    )


_OWN_REASONS = {
    "ce_source names no service of Amends",
    "ce_specversion is not 1.0",
    "ce_sequence is below 1",
    "the value is null",
    "ce_time has no zone",
}


def _plain_reason(error: Exception) -> str:
    # Python's own messages repeat the offending text, which may be personal data.
    text = str(error)
    return text if text in _OWN_REASONS else "a header has the wrong form (ce_id, ce_subject, ce_time or ce_sequence)"


def read_data(model: type[D], data: bytes) -> D:
    """Validate the data of an event against its model; raises BadData."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['type']}" for e in error.errors(include_input=False)]
        raise BadData(f"{model.TYPE}: " + "; ".join(problems[:5])) from None


def write_data(data: EventData) -> bytes:
    """The JSON bytes of an event's data; absent optional fields are left out."""
    return data.__pydantic_serializer__.to_json(data, exclude_none=True)
