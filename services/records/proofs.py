"""The proof of one event: that these bytes are what the ledger recorded, as its signed checkpoint says. Pure.

The extra line of the proof holds salt and leaf. Nothing in it is believed: the leaf must be in the signed tree, and the
payload must be what the leaf commits to.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from services.records import ledger
from services.records.tree import note
from services.records.tree.checkpoint import Head
from services.records.tree.proof import Proof
from shared.contracts.codes import EVENT_CODES, UNKNOWN

EXTRA_SIZE = ledger.SALT_SIZE + ledger.LEAF_SIZE


@dataclass(frozen=True, slots=True)
class Proved:
    """What a proof shows: this event is record `index` of the log that `head` signs."""

    index: int
    head: Head
    event_id: UUID
    complaint_id: UUID
    type: str
    occurred_at: datetime
    recorded_at: datetime


def make(index: int, leaf: bytes, salt: bytes, hashes: Sequence[bytes], signed: str) -> Proof:
    """The proof of a record under a signed checkpoint."""
    return Proof(salt + leaf, index, tuple(hashes), signed)


def check(
    text: str, payload: bytes, keys: Sequence[note.Verifier], witnesses: Sequence[note.Verifier] = (), quorum: int | None = None
) -> Proved:
    """Check a proof against the payload. Raises BadNote, with what does not fit."""
    proof = Proof.parse(text)
    if len(proof.extra) != EXTRA_SIZE:
        raise note.BadNote("the proof's extra line does not hold salt and leaf")
    salt, leaf = proof.extra[: ledger.SALT_SIZE], proof.extra[ledger.SALT_SIZE :]
    head = proof.check(leaf, keys, witnesses, quorum)
    try:
        fields = ledger.read(leaf)
    except ValueError as error:
        raise note.BadNote(str(error)) from None
    if not hmac.compare_digest(ledger.commit(salt, payload), fields.commitment):
        raise note.BadNote("the payload is not the one that was recorded (or the salt was changed)")
    try:
        envelope = orjson.loads(payload.partition(b"\n")[0])
        said = (UUID(envelope["id"]), UUID(envelope["subject"]), ledger.micros(datetime.fromisoformat(envelope["time"])))
        event_type = str(envelope["type"])
    except (ValueError, KeyError, TypeError):
        raise note.BadNote("the payload does not begin with the envelope of an event") from None
    if said != (fields.event_id, fields.complaint_id, fields.occurred_at):
        raise note.BadNote("the payload is about another event than the record")
    if fields.type_code not in (UNKNOWN, EVENT_CODES.get(event_type, UNKNOWN)):
        raise note.BadNote("the payload is of another type than the record")
    return Proved(
        proof.index, head, fields.event_id, fields.complaint_id, event_type, _time(fields.occurred_at), _time(fields.recorded_at)
    )  # fmt: skip


def _time(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
