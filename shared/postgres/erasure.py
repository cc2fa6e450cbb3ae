"""Erasing a complaint from a service's schema: every row of every table that has its id, but for those that must stay.

The tables are found in the catalog, not listed: a table that somebody adds later is erased too unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from shared.postgres.pool import Connection

TABLES = """
select quote_ident(table_name) from information_schema.columns
where table_schema = current_schema() and column_name = 'complaint_id' and not table_name = any($1::text[])
order by table_name
"""
DELETE = "delete from {table} where complaint_id = any($1::uuid[])"
MARK = "update complaint_state set state = null, erased_at = app_now() where complaint_id = any($1::uuid[])"
# What waited or was parked will not be handled any more: it counts as seen, so that nobody misses it.
WAITED = """
select complaint_id, service, max(sequence) as sequence from (
    select complaint_id, service, sequence from held
    union all select complaint_id, service, sequence from dead_letter where kind = 'event'
) as waited where complaint_id = any($1::uuid[]) and service is not null group by 1, 2
"""
SEEN = """
update complaint_state
set seen = (seen::jsonb || jsonb_build_object($2::text, greatest((seen ->> $2)::bigint, $3::bigint)))::json
where complaint_id = $1
"""


async def erase(conn: Connection, complaints: Iterable[UUID], kept: Sequence[str]) -> None:
    """In the transaction of the save. `kept` are tables that end late events or prove the rest: nothing personal in them."""
    erased = sorted(complaints)
    for row in await conn.fetch(WAITED, erased):
        await conn.execute(SEEN, row["complaint_id"], row["service"], row["sequence"])
    await conn.execute(MARK, erased)
    for row in await conn.fetch(TABLES, ["complaint_state", *kept]):
        await conn.execute(DELETE.format(table=row[0]), erased)
