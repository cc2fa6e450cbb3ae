"""API keys as each service keeps them: a hash, a name, scopes. Made and ended by `amends keys`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from shared.http.keys import KeyRecord
from shared.postgres.pool import Connection, Pool, connection

if TYPE_CHECKING:
    Direct = Connection | asyncpg.Connection[asyncpg.Record]

LOAD = "select id, sha256, name, scopes, expires_at, disabled_at is not null as disabled from api_key"
ADD = "insert into api_key (id, sha256, name, scopes, expires_at) values ($1, $2, $3, $4, $5)"
# Of the local stack, which makes its key again when its notes are lost.
REPLACE = """
insert into api_key (id, sha256, name, scopes) values ($1, $2, $3, $4)
on conflict (name) do update set id = $1, sha256 = $2, scopes = $4, expires_at = null, disabled_at = null
"""
DISABLE = """
update api_key set disabled_at = app_now() where name = $1 and disabled_at is null returning id
"""
LIST = """
select id, name, scopes, created_at, expires_at, disabled_at from api_key order by name
"""


async def load(pool: Pool) -> Sequence[KeyRecord]:
    """All keys of this service."""
    async with connection(pool) as conn:
        rows = await conn.fetch(LOAD)
    return [
        KeyRecord(row["id"], row["sha256"], row["name"], frozenset(row["scopes"]), row["expires_at"], row["disabled"])
        for row in rows
    ]


async def add(conn: Direct, record: KeyRecord) -> None:
    """Keep a new key's record; the name must be free."""
    await conn.execute(ADD, record.id, record.sha256, record.name, sorted(record.scopes), record.expires_at)


async def replace(conn: Direct, record: KeyRecord) -> None:
    """Keep a key's record, in place of one of the same name."""
    await conn.execute(REPLACE, record.id, record.sha256, record.name, sorted(record.scopes))


async def disable(conn: Direct, name: str) -> bool:
    """End a key; False where no such key is in use. Services notice within ten seconds."""
    return await conn.fetchval(DISABLE, name) is not None
