"""Kafka records <-> events. Reading never raises: what cannot be read is returned as `Undecodable` with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from shared.contracts.envelope import (
    FALLBACKS,
    MAX_SEQUENCE,
    SERVICES,
    SOURCE_PREFIX,
    Event,
    EventData,
    Position,
    Undecodable,
)

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
    event_id: UUID | str,
    event_type: str,
    service: str,
    subject: UUID | str,
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
        ("ce_time", _instant(time)),
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


@lru_cache(maxsize=8)
def _instant(time: datetime) -> bytes:
    # All events of one save have the same time.
    return time.astimezone(UTC).isoformat().encode()


def decode(record: KafkaRecord, topic: str) -> Event | Undecodable:
    """Read one record of the logical `topic`. The data stay bytes: `read_data` validates them where they are used."""
    position = Position(topic, record.partition, record.offset)
    try:
        headers = dict(record.headers)
        service = _SERVICE_OF_SOURCE.get(headers["ce_source"])
        if service is None:
            raise _Reason("ce_source names no service of Amends")
        if headers["ce_specversion"] != b"1.0":
            raise _Reason("ce_specversion is not 1.0")
        if not headers["ce_sequence"].isdigit():
            raise _Reason("ce_sequence is not a number")
        sequence = int(headers["ce_sequence"])
        if not 0 < sequence <= MAX_SEQUENCE:
            raise _Reason("ce_sequence is out of range")
        if record.value is None:
            raise _Reason("the value is null")
        time = datetime.fromisoformat(headers["ce_time"].decode())
        if time.tzinfo is None:
            raise _Reason("ce_time has no zone")
        event_type = headers["ce_type"].decode()
        if not event_type or "\x00" in event_type:
            raise _Reason("ce_type is empty or holds a null character")
        return Event(
            id=UUID(headers["ce_id"].decode()),
            type=event_type,
            service=service,
            subject=UUID(headers["ce_subject"].decode()),
            sequence=sequence,
            time=time.astimezone(UTC),
            causation_id=headers.get("ce_causationid", b"").decode(),
            correlation_id=headers.get("ce_correlationid", b"").decode(),
            traceparent=headers.get("traceparent", b"").decode(),
            tracestate=headers.get("tracestate", b"").decode(),
            data=record.value,
            position=position,
        )
    except KeyError as missing:
        reason = f"header {missing.args[0]} is missing"
    except _Reason as known:
        reason = str(known)
    except UnicodeDecodeError:
        reason = "a header is not UTF-8"
    except (ValueError, OverflowError, AttributeError, TypeError):
        # Never Python's own message: it repeats the offending text, which may be personal data.
        reason = "a header has the wrong form (ce_id, ce_subject, ce_time or ce_sequence)"
    return Undecodable(
        reason=reason,
        position=position,
        key=record.key,
        headers=tuple((str(name), value) for name, value in record.headers),
        value=record.value,
    )


class _Reason(Exception):
    """Why a record is no event of ours: a constant text."""


def read_data(model: type[D], data: bytes) -> D:
    """Validate the data of an event against its model; raises BadData.

    A value that a newer writer added to an enumeration reads as its fallback, where it has one (`FALLBACKS`).
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    wrong = [problem for problem in problems if _fallback(problem) is None]
    if not wrong:
        try:
            return model.model_validate_json(_with_fallbacks(data, problems))
        except (ValidationError, LookupError, TypeError):
            wrong = problems
    raise BadData(f"{model.TYPE}: " + "; ".join(f"{_place(model, e)}: {e['type']}" for e in wrong[:5]))


def _fallback(problem: ErrorDetails) -> str | None:
    """The value that stands for the unknown one, or None where there is none."""
    if problem["type"] != "literal_error" or not isinstance(problem["input"], str):
        return None
    return next((value for value in FALLBACKS if f"'{value}'" in problem["ctx"]["expected"]), None)


def _with_fallbacks(data: bytes, problems: list[ErrorDetails]) -> bytes:
    document: Any = from_json(data)
    for problem in problems:
        *way, last = problem["loc"]
        part = document
        for step in way:
            part = part[step]
        part[last] = _fallback(problem)
    return to_json(document)


def _place(model: type[EventData], problem: ErrorDetails) -> str:
    # The keys of a mapping are content: only the names of our own fields may be told.
    known = _field_names(model)
    return ".".join(str(step) if isinstance(step, int) or step in known else "*" for step in problem["loc"]) or "value"


@cache
def _field_names(model: type[EventData]) -> frozenset[str]:
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {}))


def write_data(data: EventData) -> bytes:
    """The JSON bytes of an event's data; absent optional fields are left out."""
    return data.__pydantic_serializer__.to_json(data, exclude_none=True)
