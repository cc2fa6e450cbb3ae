"""The service's role can insert into the ledger and read it; every other verb is refused by the database itself."""

from __future__ import annotations

import asyncpg
import pytest

from services.records import store
from shared.postgres.migrate import missing
from tests.ledger.database import ACTORS, AT, TABLES, Ledger, event

VERBS = (
    "update {table} set {column} = default",
    "delete from {table}",
    "truncate {table}",
    "drop table {table}",
    "alter table {table} add column more integer",
    "alter table {table} rename to other",
    "alter table {table} disable trigger all",
    "alter table {table} owner to current_user",
    "create trigger mine before insert on {table} for each statement execute function ledger_is_append_only()",
    "create index on {table} ({column})",
    "create rule mine as on insert to {table} do instead nothing",
    "lock table {table} in exclusive mode",
    "merge into {table} using (select 1 as one) as other on true when matched then delete",
)
COLUMNS = {"ledger_head": "size", "ledger_leaf": "idx", "ledger_payload": "idx", "ledger_tile": "number",
           "ledger_checkpoint": "number", "ledger_key": "vkey"}  # fmt: skip
OTHERS = (
    "insert into ledger_head (single, size) values (true, 0)",
    "create or replace function ledger_reserve(count bigint, at timestamptz, out first bigint, out recorded_at timestamptz) "
    "language sql as 'select 0::bigint, now()'",
    "create or replace function ledger_is_append_only() returns trigger language plpgsql as 'begin return null; end'",
    "drop function ledger_is_append_only() cascade",
    "drop schema records cascade",
    "create table records.more (one integer)",
    "set session_replication_role = replica",
    "update schema_migration set sha256 = ''",
    "drop trigger append_only on ledger_leaf",
    "set role {owner}",
    "set session authorization default; alter role amends_records superuser",
    "alter role amends_records createdb",
    "grant pg_write_all_data to amends_records",
)


async def test_every_other_verb_is_refused(ledger: Ledger) -> None:
    await ledger.append(300)
    await ledger.publish()
    conn = await ledger.login("amends_records")
    statements = [verb.format(table=table, column=column) for table, column in COLUMNS.items() for verb in VERBS]
    owner = await ledger.conn.fetchval("select current_user")
    done = []
    try:
        for statement in (*statements, *(other.replace("{owner}", owner) for other in OTHERS)):
            try:
                async with conn.transaction():
                    await conn.execute(statement)
                    done.append(statement)
            except asyncpg.InsufficientPrivilegeError:
                pass
            except (asyncpg.InvalidParameterValueError, asyncpg.PostgresSyntaxError) as error:
                raise AssertionError(f"this statement tests nothing: {statement}") from error
        assert not done
        await conn.execute("grant update, delete on ledger_leaf to public")  # a warning, and nothing is granted
        granted = await conn.fetch(
            "select table_name, privilege_type from information_schema.table_privileges "
            "where grantee in ('amends_records', 'PUBLIC') and table_name like 'ledger%'"
        )
    finally:
        conn.terminate()
    assert {tuple(row) for row in granted} == {
        *((table, verb) for table in TABLES for verb in ("SELECT", "INSERT")), ("ledger_head", "SELECT")
    }  # fmt: skip
    assert (await ledger.verify()).valid


async def test_the_triggers_hold_back_even_the_owner(ledger: Ledger) -> None:
    """A slip of an administrator, not an attack: whoever owns the tables can remove the triggers."""
    await ledger.append(256)
    await ledger.publish()
    for table in TABLES:
        verbs = [f"update {table} set {COLUMNS[table]} = default", f"truncate {table}"]
        if table != "ledger_payload":  # erasure may delete
            verbs.append(f"delete from {table}")
        for verb in verbs:
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await ledger.conn.execute(verb)


async def test_the_role_suffices_for_the_service(ledger: Ledger) -> None:
    conn = await ledger.login("amends_records")
    try:
        async with conn.transaction():
            await store.append(conn, [event(0), event(1)], AT, ACTORS, {})
        assert not await missing(conn, "records")
        for statement in (
            "insert into complaint_state values (gen_random_uuid(), 1, 1, '{}', null)", "update complaint_state set revision = 2",
            "delete from complaint_state", "insert into outbox (events) values ('x')", "delete from outbox",
            "select count(*) from ledger_leaf", "insert into ledger_checkpoint (size, root, note) values (0, sha256('x'), '')",
        ):  # fmt: skip
            await conn.execute(statement)
    finally:
        conn.terminate()
    await ledger.conn.execute("create table later (one integer)")  # what a later migration makes
    assert await ledger.conn.fetchval("select has_table_privilege('amends_records', 'records.later', 'insert, update, delete')")


async def test_time_never_runs_back_in_the_ledger(ledger: Ledger) -> None:
    """Whoever began first may append second; the clock of a machine may jump."""
    from datetime import timedelta

    for shift in (0, -10, 5, -3):
        async with ledger.conn.transaction():
            await store.append(ledger.conn, [event(100 + shift)], AT + timedelta(seconds=shift), ACTORS, {})
    times = [row[0] for row in await ledger.conn.fetch("select recorded_at from ledger_payload order by idx")]
    assert times == [AT, AT, AT + timedelta(seconds=5), AT + timedelta(seconds=5)]
