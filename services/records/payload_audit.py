"""The payloads of the ledger in its audit: each opens with its complaint's key, and is what its leaf commits to."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from services.records.payloads import CannotOpen, CaseKeys, Ciphers, Opened, opened
from services.records.tree.audit import Finding, exact
from services.records.tree_store import Conn
from shared.contracts.codes import EVENT_CODES, UNKNOWN
from shared.contracts.privacy import ComplaintErased

# Times as PostgreSQL keeps them: two times 8 bytes, microseconds since 2000. NULL for a row without a payload.
ROWS = """
select leaf.idx, leaf.leaf, leaf.leaf_hash, uuid_send(leaf.event_id) || uuid_send(leaf.complaint_id) as ids,
    timestamptz_send(payload.occurred_at) || timestamptz_send(payload.recorded_at) as times,
    leaf.event_id, leaf.complaint_id, payload.salt, payload.payload, payload.event_type, payload.service, payload.sequence
from ledger_leaf as leaf left join ledger_payload as payload using (idx)
where leaf.idx >= $1 and leaf.idx < $2 order by leaf.idx
"""
# A complaint whose key is gone, though nothing says that it was erased.
ERASED = """
select leaf.complaint_id from ledger_leaf as leaf join ledger_payload as payload using (idx)
where leaf.complaint_id = any($1::uuid[]) and payload.event_type = $2
"""
_TYPE, _TIMES, _COMMITMENT = slice(36, 38), slice(38, 54), slice(70, None)  # places in a leaf
_TO_1970 = 946_684_800_000_000
_TWO = struct.Struct(">qq")


class Payloads:
    """The payloads of the rows that are looked at, as far as there are keys to open them."""

    def __init__(self, case_keys: CaseKeys | None) -> None:
        self._case_keys = case_keys
        self._ciphers: Ciphers = {}
        self._sealed = 0
        self._without: dict[UUID, int] = {}

    async def open(self, conn: Conn, rows: Sequence[Any]) -> None:
        """Get the keys of `rows`."""
        wanted = {row["complaint_id"] for row in rows if row["payload"] and not row["salt"]}
        if self._case_keys is not None and wanted:
            self._ciphers = await self._case_keys.for_reading(conn, wanted)

    def problem(self, row: Any) -> str:
        """What is wrong with the payload of a row; empty when nothing is."""
        index, leaf, _, _, times, event_id, complaint_id, salt, payload, event_type, service, sequence = row
        if payload is None:
            return "its payload is missing"
        if _TWO.unpack(times) != tuple(each - _TO_1970 for each in _TWO.unpack(leaf[_TIMES])):
            return "its columns do not repeat the times that its leaf has"
        if int.from_bytes(leaf[_TYPE], "big") not in (UNKNOWN, EVENT_CODES.get(event_type)):
            return "the leaf names another type of event than the row"
        try:
            plain = self._plain(index, event_id, complaint_id, salt, payload)
        except CannotOpen:
            return "its payload was changed: it does not open with the key of its complaint"
        if plain is None:
            return ""
        if hmac.digest(plain.salt, plain.payload, "sha256") != leaf[_COMMITMENT]:
            return "the payload or its salt was changed: they do not give the leaf's commitment"
        if not _repeats(plain.payload, event_type, service, sequence):
            return "its columns do not repeat what its payload says (type, service, sequence)"
        return ""

    def _plain(self, index: int, event_id: UUID, complaint_id: UUID, salt: bytes, payload: bytes) -> Opened | None:
        """Salt and payload; None when nobody here can read them. Raises CannotOpen."""
        cipher = None if salt else self._ciphers.get(complaint_id)
        if not salt and (not payload or cipher is None):
            self._sealed += 1
            if not payload or self._case_keys is not None:
                self._without.setdefault(complaint_id, index)
        return opened(cipher, event_id, salt, payload)

    async def unexplained(self, conn: Conn) -> list[Finding]:
        """The first record whose key is gone, though no erasure of its complaint is recorded."""
        rows = await conn.fetch(ERASED, list(self._without), ComplaintErased.TYPE) if self._without else []
        told = {row["complaint_id"] for row in rows}
        lost = sorted(idx for complaint, idx in self._without.items() if complaint not in told)
        return [exact(idx, f"row {idx}: what it said is gone, but no erasure of its complaint is recorded") for idx in lost[:1]]

    def notes(self) -> list[str]:
        """What a person should know besides."""
        if not self._sealed:
            return []
        if self._case_keys is None:
            return [f"{self._sealed} payloads are sealed and were not looked into: AMENDS_MASTER_KEY_FILE is not set"]
        return [f"{self._sealed} payloads are erased; their leaves are whole"]


def _repeats(payload: bytes, event_type: str, service: str, sequence: int) -> bool:
    """Whether the columns are the payload's: at its own place first, for that is quick, else read as JSON."""
    expected = f'","type":"{event_type}","service":"{service}","subject":"'.encode()
    after = 43 + len(expected) + 36
    if payload.startswith(expected, 43) and payload.startswith(b'","sequence":%d,' % sequence, after):
        return True
    envelope = orjson.loads(payload.partition(b"\n")[0])
    return [envelope[name] for name in ("type", "service", "sequence")] == [event_type, service, sequence]
