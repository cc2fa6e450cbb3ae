"""The ledger's tables: appended in the transaction of the save, read for timelines. SQL as named constants."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from services.records import ledger
from services.records.domain import RecordState
from shared.contracts.envelope import Event
from shared.postgres.pool import Connection

# A sequence would leave gaps on rollback; the row lock makes the indexes contiguous and the order of commits the order of leaves.
# It also keeps the time of recording from running back (0002_tree.sql).
RESERVE = "select first, recorded_at from ledger_reserve($1, $2)"
TIMELINE = """
select leaf.idx, payload.payload, payload.recorded_at from ledger_leaf as leaf
join ledger_payload as payload using (idx)
where leaf.complaint_id = $1 and leaf.idx >= $2 order by leaf.idx limit $3
"""
_STATE = TypeAdapter(RecordState)
STATE = "select state from complaint_state where complaint_id = $1"
COUNTS = "select service, event_type, count(*) as events from ledger_payload group by 1, 2 order by 1, 2"
SIZE = "select size, (select count(*) from ledger_leaf) as leaves from ledger_head"


async def append(conn: Connection, events: Sequence[Event], recorded_at: datetime, actors: dict[str, UUID]) -> None:
    """Append one leaf and one payload per event, in order. `recorded_at` counts unless a later one is recorded already."""
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
        payloads.append(
            (first + offset, event.service, event.type, event.sequence, event.time, recorded_at, salt, payload)
        )
    await conn.copy_records_to_table("ledger_leaf", records=leaves)
    await conn.copy_records_to_table("ledger_payload", records=payloads)


async def timeline(
    conn: Connection, complaint_id: UUID, *, start: int, limit: int
) -> tuple[RecordState | None, list[Any]]:
    """The summary of a complaint and its ledger rows from index `start`, in ledger order."""
    state: str | None = await conn.fetchval(STATE, complaint_id)
    rows = await conn.fetch(TIMELINE, complaint_id, start, limit)
    return None if state is None else _STATE.validate_json(state), list(rows)


async def ledger_counts(conn: Connection) -> dict[str, Any]:
    """The size of the ledger as its head says, its leaves, and its rows by writing service and type; for reconciliation."""
    rows: dict[str, dict[str, int]] = {}
    for row in await conn.fetch(COUNTS):
        rows.setdefault(row["service"], {})[row["event_type"]] = row["events"]
    head = await conn.fetchrow(SIZE)
    return {"ledger": {**dict(head or {}), "rows": rows}}
