"""The outbox: one packed row a save, written with the state and deleted when Kafka has acknowledged its events."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from shared.postgres.inputs import Outgoing
from shared.postgres.pool import Connection

# A lost delete is harmless (the events are sent again and dropped), so it need not wait for the disk. One statement, and so
# one round trip: it is a transaction of its own, for which the setting holds.
DELETE = """
with relaxed as materialized (select set_config('synchronous_commit', 'off', true))
delete from outbox using relaxed where id = any($1::bigint[])
"""
# Whoever sweeps takes rows for half a minute; a sweeper that dies leaves them to the next.
CLAIM = """
with late as materialized (
    select id from outbox where send_after < app_now() order by id limit $1 for update skip locked
)
update outbox set send_after = app_now() + interval '30 seconds'
from late where outbox.id = late.id
returning outbox.id, outbox.events
"""
PENDING = "select count(*), coalesce(extract(epoch from app_now() - min(saved_at)), 0)::float8 from outbox"


def pack(events: Sequence[Outgoing]) -> bytes:
    """The events as one JSON array: [topic, key in hex, {header: value}, data as text]."""
    return orjson.dumps(
        [[e.topic, e.key.hex(), {name: value.decode() for name, value in e.headers}, e.value.decode()] for e in events]
    )


def unpack(packed: bytes) -> list[Outgoing]:
    """The reverse of `pack`: the same bytes."""
    return [
        Outgoing(topic, bytes.fromhex(key), [(name, text.encode()) for name, text in headers.items()], value.encode())
        for topic, key, headers, value in orjson.loads(packed)
    ]


async def delete(conn: Connection, ids: Sequence[int]) -> None:
    """Delete rows whose events Kafka has acknowledged."""
    await conn.execute(DELETE, list(ids))


async def claim(conn: Connection, limit: int) -> list[tuple[int, list[Outgoing]]]:
    """Rows that nobody has sent within their time, oldest first."""
    rows = await conn.fetch(CLAIM, limit)
    return sorted((row[0], unpack(row[1])) for row in rows)
