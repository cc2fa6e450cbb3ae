"""The bytes of the ledger: leaves as RFC 6962 hashes them, and what each commits to. Pure.

A leaf holds no personal data: ids are keyed hashes, and the payload is in it only as an HMAC under a random salt. Once salt
and payload are erased, nothing can be shown or guessed from the leaf, and every proof still verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from shared.contracts.codes import EVENT_CODES, UNKNOWN
from shared.contracts.envelope import Event

MAGIC = b"CCR1"
# magic 4 | event id 16 | complaint id 16 | type u16 | occurred_at i64 us | recorded_at i64 us | actor 16 | commitment 32
_LEAF = struct.Struct(">4s16s16sHqq16s32s")
LEAF_SIZE = _LEAF.size
SALT_SIZE = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def leaf(event: Event, recorded_at: datetime, actor: UUID, commitment: bytes) -> bytes:
    """The leaf of one event. `actor` is the keyed id of the service that wrote it."""
    code = EVENT_CODES.get(event.type, UNKNOWN)
    return _LEAF.pack(
        MAGIC, event.id.bytes, event.subject.bytes, code, micros(event.time), micros(recorded_at), actor.bytes, commitment
    )  # fmt: skip


class Fields(NamedTuple):
    """What a leaf says. Times in microseconds since 1970."""

    event_id: UUID
    complaint_id: UUID
    type_code: int
    occurred_at: int
    recorded_at: int
    actor: UUID
    commitment: bytes


def read(leaf_bytes: bytes) -> Fields:
    """The fields of a leaf. Raises ValueError for what is none."""
    if len(leaf_bytes) != LEAF_SIZE or not leaf_bytes.startswith(MAGIC):
        raise ValueError("these bytes are no leaf of the ledger")
    _, event_id, complaint_id, code, occurred_at, recorded_at, actor, commitment = _LEAF.unpack(leaf_bytes)
    return Fields(
        UUID(bytes=event_id), UUID(bytes=complaint_id), code, occurred_at, recorded_at, UUID(bytes=actor), commitment
    )  # fmt: skip


def leaf_hash(leaf_bytes: bytes) -> bytes:
    """RFC 6962: SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf_bytes).digest()


def recorded_at_of(leaf_bytes: bytes) -> bytes | None:
    """When a leaf says that it was recorded, in bytes that compare as the times do; None for what is no leaf of ours."""
    return leaf_bytes[46:54] if len(leaf_bytes) == LEAF_SIZE and leaf_bytes.startswith(MAGIC) else None


def commit(salt: bytes, payload_bytes: bytes) -> bytes:
    """HMAC-SHA256(salt, payload): hides the payload, and binds the leaf to it."""
    return hmac.digest(salt, payload_bytes, "sha256")


def payload(event: Event) -> bytes:
    """The envelope as one line of JSON, then the data exactly as they came."""
    envelope = {
        "id": str(event.id), "type": event.type, "service": event.service, "subject": str(event.subject),
        "sequence": event.sequence, "time": event.time.isoformat(), "causation_id": event.causation_id,
        "correlation_id": event.correlation_id, "traceparent": event.traceparent,
    }  # fmt: skip
    return orjson.dumps(envelope) + b"\n" + event.data


def micros(time: datetime) -> int:
    """Microseconds since 1970, exactly (no float in between)."""
    delta = time - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
