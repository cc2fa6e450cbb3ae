"""Identifiers: keyed hashes, so that the same thing gets the same id and nobody can guess it back.

A plain hash of a mail address would still be personal data; HMAC-SHA256 under the deployment's id key, cut to 16 bytes,
is not. The id key never rotates: all ids would change with it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from uuid import UUID


def keyed_id(id_key: bytes, *parts: str) -> UUID:
    """HMAC-SHA256(id_key, parts), first 16 bytes, as a UUID.

    Each part has its length in bytes before it (4 bytes, big-endian), so that ("ab", "c") and ("a", "bc") differ.
    """
    message = b""
    for part in parts:
        encoded = part.encode()
        message += len(encoded).to_bytes(4, "big") + encoded
    return UUID(bytes=hmac.digest(id_key, message, "sha256")[:16])


def complaint_id(id_key: bytes, source: str, record_id: str) -> UUID:
    """The complaint that `record_id` of `source` is about: every contact of that record belongs to it."""
    return keyed_id(id_key, "complaint", source, record_id)


def submission_id(id_key: bytes, source: str, event_id: str) -> UUID:
    """The subject of an event about a submission that became no complaint (set aside, rejected)."""
    return keyed_id(id_key, "submission", source, event_id)


def event_id(id_key: bytes, service: str, subject: UUID, sequence: int) -> UUID:
    """The id of the event that `service` emits as number `sequence` about `subject`: the same in every retry."""
    return UUID(event_id_text(id_key, service, subject, sequence))


def event_id_text(id_key: bytes, service: str, subject: UUID, sequence: int) -> str:
    """`event_id` as text, without making a UUID in between."""
    of = b"event\x1f%s\x1f%s\x1f%d" % (service.encode(), subject.bytes, sequence)
    made = hmac.digest(id_key, of, "sha256").hex()
    return f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:32]}"


def message_id(id_key: bytes, service: str, subject: UUID, name: str) -> UUID:
    """The id of the message `name` that `service` sends outside about `subject`: the same in every try."""
    return keyed_id(id_key, "message", service, str(subject), name)


_latest = 0


def time_ordered_id() -> UUID:
    """A UUID version 7 (RFC 9562): milliseconds, then random bits. For rows that are read in the order of arrival.

    Each is greater than the one before it in this process, also within a millisecond.
    """
    global _latest
    milliseconds = time.time_ns() // 1_000_000
    # The first of the last 62 bits is zero: there is room to count on from any of them.
    made = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(61)
    _latest = max(made, _latest + 1)
    return UUID(int=_latest)
