"""Reads the recorded decisions from the ledger, in its order, a page at a time: for replays and backtests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson

from shared.policy.replay import Citation, citations

if TYPE_CHECKING:
    import asyncpg

    from shared.postgres.pool import Connection

    Reader = asyncpg.Connection[asyncpg.Record] | Connection

PAGE = 5_000
# Every event that a service writes after a decision may cite a policy; those of people and records never do.
READ = """
select leaf.idx, leaf.complaint_id, payload.event_type, payload.occurred_at, payload.payload
from ledger_payload as payload join ledger_leaf as leaf using (idx)
where payload.idx > $1 and payload.service = any($2::text[]) and payload.occurred_at >= $3 and payload.occurred_at < $4
order by payload.idx limit $5
"""
TOTAL = "select size from ledger_head"


class Decision(NamedTuple):
    """One decision by policy: `data` is the whole event, `citation` the part of it that names the policy."""

    row: int  # of the ledger
    complaint_id: UUID
    event_type: str
    decided_at: datetime
    citation: Citation
    data: dict[str, Any]


async def recorded(
    conn: Reader, services: tuple[str, ...], since: datetime, until: datetime
) -> AsyncIterator[list[Decision]]:
    """The decisions of these services in that time, page by page. Erased payloads are not among them."""
    last = -1
    while True:
        rows = await conn.fetch(READ, last, list(services), since, until, PAGE)
        if not rows:
            return
        last = rows[-1]["idx"]
        yield [decision for row in rows for decision in _decisions(*row)]


def _decisions(
    row: int, complaint_id: UUID, event_type: str, decided_at: datetime, payload: bytes
) -> list[Decision]:
    _, _, body = bytes(payload).partition(b"\n")
    if b'"digest"' not in body:  # most events decide nothing: not worth parsing
        return []
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return [Decision(row, complaint_id, event_type, decided_at, each, data) for each in citations(data)]
