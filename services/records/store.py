"""The ledger's tables: appended in the transaction of the save, read for timelines. SQL as named constants."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from services.records import ledger
from services.records.domain import RecordState
from services.records.payloads import Ciphers, stored
from shared.contracts.envelope import Event
from shared.postgres.pool import Connection

# A sequence would leave gaps on rollback; the row lock makes the indexes contiguous and the order of commits the order of leaves.
# It also keeps the time of recording from running back (0002_tree.sql).
RESERVE = "select first, recorded_at from ledger_reserve($1, $2)"
TIMELINE = """
select leaf.idx, leaf.event_id, payload.service, payload.event_type, payload.sequence, payload.occurred_at, payload.recorded_at,
    payload.salt, payload.payload
from ledger_leaf as leaf
join ledger_payload as payload using (idx)
where leaf.complaint_id = $1 and leaf.idx >= $2 order by leaf.idx limit $3
"""
_STATE = TypeAdapter(RecordState)
STATE = "select state, erased_at from complaint_state where complaint_id = $1"
# Who has confirmed an erasure: their events are in the ledger.
CONFIRMATIONS = """
select payload.service, payload.recorded_at from ledger_leaf as leaf join ledger_payload as payload using (idx)
where leaf.complaint_id = $1 and payload.event_type = any($2::text[]) order by leaf.idx
"""
OLDER = """
select complaint_id, (state ->> 'last_event_at')::timestamptz as last_event_at, state ->> 'hold' as hold from complaint_state
where state ->> 'status' = 'closed' and (state ->> 'last_event_at')::timestamptz < $1
    and complaint_id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000') order by complaint_id limit $3
"""
COUNTS = "select service, event_type, count(*) as events from ledger_payload group by 1, 2 order by 1, 2"
SIZE = """
select size, (select count(*) from ledger_leaf) as leaves, (select count(*) from ledger_checkpoint) as checkpoints from ledger_head
"""


async def append(
    conn: Connection, events: Sequence[Event], recorded_at: datetime, actors: dict[str, UUID], ciphers: Ciphers
) -> None:
    """Append one leaf and one payload per event, in order. `recorded_at` counts unless a later one is recorded already.
    A complaint without a cipher is erased."""
    reserved = await conn.fetchrow(RESERVE, len(events), recorded_at)
    if reserved is None:
        raise RuntimeError("ledger_reserve returned no row")
    first, recorded_at = reserved
    salts = secrets.token_bytes(ledger.SALT_SIZE * len(events))
    leaves: list[tuple[Any, ...]] = []
    payloads: list[tuple[Any, ...]] = []
    for offset, event in enumerate(events):
        salt = salts[offset * ledger.SALT_SIZE : (offset + 1) * ledger.SALT_SIZE]
        payload = ledger.payload(event)
        leaf = ledger.leaf(event, recorded_at, actors[event.service], ledger.commit(salt, payload))
        leaves.append((first + offset, leaf, ledger.leaf_hash(leaf), event.id, event.subject))
        kept = stored(ciphers.get(event.subject), event.id, event.type, salt, payload)
        payloads.append((first + offset, event.service, event.type, event.sequence, event.time, recorded_at, *kept))
    await conn.copy_records_to_table("ledger_leaf", records=leaves)
    await conn.copy_records_to_table("ledger_payload", records=payloads)


class Found(NamedTuple):
    """A complaint as records has it: no summary when it is erased."""

    state: RecordState | None
    erased_at: datetime | None


async def find(conn: Connection, complaint_id: UUID) -> Found | None:
    """The summary of a complaint; None when nothing is recorded under this id."""
    row = await conn.fetchrow(STATE, complaint_id)
    if row is None or (row["state"] is None and row["erased_at"] is None):
        return None
    return Found(None if row["state"] is None else _STATE.validate_json(row["state"]), row["erased_at"])


async def timeline(conn: Connection, complaint_id: UUID, *, start: int, limit: int) -> list[Any]:
    """Its ledger rows from index `start`, in ledger order."""
    return list(await conn.fetch(TIMELINE, complaint_id, start, limit))


async def ledger_counts(conn: Connection) -> dict[str, Any]:
    """The size of the ledger as its head says, its leaves, and its rows by writing service and type; for reconciliation."""
    rows: dict[str, dict[str, int]] = {}
    for row in await conn.fetch(COUNTS):
        rows.setdefault(row["service"], {})[row["event_type"]] = row["events"]
    head = await conn.fetchrow(SIZE)
    return {"ledger": {**dict(head or {}), "rows": rows}}
