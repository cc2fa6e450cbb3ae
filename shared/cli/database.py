"""The services' databases as the commands reach them, each failure as one sentence."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from shared.cli import Failed, WrongUse, local

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="postgresql://...; else $AMENDS_DATABASE_URL, else the local stack's."),
]


def address(given: str | None) -> str:
    """Where the database is. Raises WrongUse when nobody says."""
    noted = local.read(local.data_dir())
    url = given or os.environ.get("AMENDS_DATABASE_URL") or (noted["database_url"] if noted else "")
    if not url:
        raise WrongUse("where is the database? Give --database-url, set AMENDS_DATABASE_URL, or run: make run")
    if not url.startswith(("postgresql://", "postgres://")):
        raise WrongUse("the database's address must begin with postgresql://")
    return url


def in_schema(url: str, service: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on a connection to the schema of `service`."""

    async def connected() -> T:
        import asyncpg

        conn = await asyncpg.connect(url, timeout=10, server_settings={"search_path": service})
        try:
            return await work(conn)
        finally:
            await conn.close()

    return answer(connected)


def answer(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, which uses a database, to its end. Raises Failed with a sentence when the database refuses or is away."""
    import asyncpg

    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except (OSError, TimeoutError) as error:
        reason = "not in time" if isinstance(error, TimeoutError) else "no connection"
        raise Failed(f"PostgreSQL does not answer ({reason}). Is it running? The local stack: make run") from None
    except asyncpg.UndefinedTableError:
        raise Failed("the database lacks tables of Amends; make them with: amends migrate") from None
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        raise Failed("PostgreSQL refuses this user and password") from None
    except asyncpg.ClientConfigurationError:
        raise WrongUse("the database's address cannot be read: postgresql://user:password@host:port/database") from None
    except asyncpg.PostgresError as error:
        raise Failed(f"PostgreSQL refuses: {error.args[0] if error.args else type(error).__name__}") from None
