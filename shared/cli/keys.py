"""Making, showing and ending API keys, for `amends keys` and `amends sources`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from shared.cli import Failed, WrongUse
from shared.cli.client import print_json
from shared.cli.database import in_schema

if TYPE_CHECKING:
    from shared.cli.database import Connection

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch


def check_name(name: str) -> None:
    """Raises WrongUse for what is no name of a key or source."""
    if not _NAME(name):
        raise WrongUse(
            f"'{name}' is no name for a key: 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first"
        )


def add(url: str, name: str, scopes: Mapping[str, Iterable[str]], days: int | None, as_json: bool) -> None:
    """Make one key with `scopes` by service, and show it: the only time that it can be seen."""
    import asyncpg

    from shared.clock import utc_now
    from shared.http.keys import mint
    from shared.postgres import api_keys

    check_name(name)
    expires_at = None if days is None else utc_now() + timedelta(days=days)
    key, record = mint(name, {scope for each in scopes.values() for scope in each}, expires_at)
    for service in scopes:
        if any(row["name"] == name for row in rows(url, service)):
            raise Failed(f"{service} has a key named {name} already; names are never used twice")
    for service in scopes:

        async def keep(conn: Connection) -> None:
            try:
                await api_keys.add(conn, record)
            except asyncpg.UniqueViolationError:
                raise Failed(f"{service} has a key named {name} already") from None  # noqa: B023 - run at once

        in_schema(url, service, keep)
    if as_json:
        print_json({"name": name, "key": key, "services": list(scopes), "scopes": sorted(record.scopes)})
        return
    typer.echo(key)
    typer.echo(
        f"The key of {name}, shown this once: keep it safe. Scopes: {', '.join(sorted(record.scopes))}.", err=True
    )


def show(url: str, services: Iterable[str], as_json: bool, *, quiet: bool = False) -> None:
    """The keys of services, without the keys themselves. `quiet`: nothing is said when there are none."""
    found = [{"service": service, **row} for service in services for row in rows(url, service)]
    if as_json:
        print_json(found)
        return
    for row in found:
        ended = (
            "disabled" if row["disabled_at"] else f"until {row['expires_at'][:10]}" if row["expires_at"] else "in use"
        )
        typer.echo(f"{row['service']:<10} {row['name']:<24} {row['id']}  {ended:<16} {', '.join(row['scopes'])}")
    if not found and not quiet:
        typer.echo("none")


def disable(url: str, services: Iterable[str], name: str) -> None:
    """End the key of a name at every one of `services` that has it."""
    from shared.postgres import api_keys

    ended = [service for service in services if in_schema(url, service, lambda conn: api_keys.disable(conn, name))]
    if not ended:
        raise Failed(f"no key named {name} is in use")
    typer.echo(f"{name} is disabled at {', '.join(ended)}; it stops working within ten seconds")


def rows(url: str, service: str) -> list[dict[str, Any]]:
    """The keys of a service as JSON, without the keys themselves."""
    from shared.postgres import api_keys

    async def read(conn: Connection) -> list[dict[str, Any]]:
        return [
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            for row in await conn.fetch(api_keys.LIST)
        ]

    return in_schema(url, service, read)
