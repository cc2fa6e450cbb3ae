"""Migrations: each file once, in order, all or nothing, also when several processes start at the same time."""

from __future__ import annotations

import asyncio
from unittest import mock

import asyncpg
import pytest

from shared.errors import StartRefused
from shared.postgres import migrate as module
from shared.postgres.migrate import Migration, migrate, migrations_of, missing

SERVICE = "followup"


async def test_processes_that_start_together_apply_each_file_once(database: str) -> None:
    applied = await asyncio.gather(*(migrate(database, SERVICE) for _ in range(4)))
    wanted = [migration.name for migration in migrations_of(SERVICE)]
    assert wanted[0] == "shared/0001_delivery.sql"
    assert sorted(applied) == [[], [], [], wanted]
    assert await migrate(database, SERVICE) == []


async def test_what_is_missing_is_named(database: str) -> None:
    conn = await asyncpg.connect(database, server_settings={"search_path": SERVICE})
    try:
        assert await missing(conn, SERVICE) == [migration.name for migration in migrations_of(SERVICE)]  # type: ignore[arg-type]
        await migrate(database, SERVICE)
        assert await missing(conn, SERVICE) == []  # type: ignore[arg-type]
    finally:
        await conn.close()


async def test_services_share_a_database_and_nothing_in_it(database: str) -> None:
    await asyncio.gather(migrate(database, SERVICE), migrate(database, "escalation"))
    conn = await asyncpg.connect(database)
    try:
        schemas = await conn.fetch("select table_schema from information_schema.tables where table_name = 'outbox' order by 1")
    finally:
        await conn.close()
    assert [row[0] for row in schemas] == ["escalation", SERVICE]


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(database: str) -> None:
    await migrate(database, SERVICE)
    changed = [Migration(m.name, m.sql + "\n-- edited") for m in migrations_of(SERVICE)]
    with (
        mock.patch.object(module, "migrations_of", return_value=changed),
        pytest.raises(StartRefused, match=r"shared/0001_delivery\.sql.*add a new one"),
    ):
        await migrate(database, SERVICE)


async def test_a_file_that_fails_leaves_nothing_behind(database: str) -> None:
    broken = [*migrations_of(SERVICE), Migration("followup/9999_broken.sql", "create table half (); select 1 / 0;")]
    with mock.patch.object(module, "migrations_of", return_value=broken), pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database, SERVICE)
    assert await migrate(database, SERVICE) == [migration.name for migration in migrations_of(SERVICE)]
