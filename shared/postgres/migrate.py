"""Applies numbered SQL files to a service's schema: each once, in order, in one transaction, under a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from shared.errors import StartRefused
from shared.postgres.pool import Connection

_CREATE_SCHEMA = "create schema if not exists {schema}"
_CREATE_TABLE = """
create table if not exists schema_migration (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""
_APPLIED = "select name, sha256 from schema_migration"
_RECORD = "insert into schema_migration (name, sha256) values ($1, $2)"
_LOCK = "select pg_advisory_xact_lock(hashtext('amends-migrate'), hashtext($1))"


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_of(service: str) -> list[Migration]:
    """The shared files first, then the service's own, each by its number."""
    found: list[Migration] = []
    for package, prefix in (("shared.postgres", "shared"), (f"services.{service}", service)):
        folder = files(package) / "migrations"
        names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
        found += [Migration(f"{prefix}/{name}", (folder / name).read_text()) for name in names]
    return found


async def migrate(dsn: str, service: str) -> list[str]:
    """Bring the schema of `service` up to date; returns the names of the files that were applied now."""
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        async with conn.transaction():
            await conn.execute(_LOCK, service)
            await conn.execute(_CREATE_SCHEMA.format(schema=service))
            await conn.execute(f"set local search_path to {service}")
            await conn.execute(_CREATE_TABLE)
            applied = {row["name"]: row["sha256"] for row in await conn.fetch(_APPLIED)}
            wanted = migrations_of(service)
            _refuse_changed(service, wanted, applied)
            new = [migration for migration in wanted if migration.name not in applied]
            for migration in new:
                await conn.execute(migration.sql)
                await conn.execute(_RECORD, migration.name, migration.sha256)
            return [migration.name for migration in new]
    finally:
        await conn.close()


async def missing(conn: Connection, service: str) -> list[str]:
    """The files that `conn`'s schema still lacks: a service with any is not ready."""
    try:
        applied = {row["name"] for row in await conn.fetch(_APPLIED)}
    except asyncpg.UndefinedTableError:
        applied = set()
    return [migration.name for migration in migrations_of(service) if migration.name not in applied]


def _refuse_changed(service: str, wanted: Iterable[Migration], applied: dict[str, str]) -> None:
    changed = [m.name for m in wanted if applied.get(m.name, m.sha256) != m.sha256]
    if changed:
        raise StartRefused(
            f"{service}: {', '.join(changed)} was applied with another content than it has now. "
            "Applied files are never edited: add a new one with the next number."
        )
