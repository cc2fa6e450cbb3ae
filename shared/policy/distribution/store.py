"""The last policy records that a service has read, in its PostgreSQL. SQL as named constants."""

from __future__ import annotations

from collections.abc import Iterable

from shared.postgres.pool import Pool, connection

LOAD = "select topic, key, value from policy_record"
SAVE = """
insert into policy_record (topic, key, value) select * from unnest($1::text[], $2::text[], $3::text[])
on conflict (topic, key) do update set value = excluded.value where policy_record.value <> excluded.value
"""


async def load(pool: Pool) -> list[tuple[str, str, bytes]]:
    """(topic, key, value) of every record that was kept."""
    async with connection(pool) as conn:
        return [(row["topic"], row["key"], row["value"].encode()) for row in await conn.fetch(LOAD)]


async def save(pool: Pool, records: Iterable[tuple[str, str, bytes]]) -> None:
    """Keep records, each in place of the one before it under the same key."""
    latest = {(topic, key): value.decode() for topic, key, value in records}
    if latest:
        ordered = sorted(latest)
        columns = [topic for topic, _ in ordered], [key for _, key in ordered], [latest[each] for each in ordered]
        async with connection(pool) as conn:
            await conn.execute(SAVE, *columns)
