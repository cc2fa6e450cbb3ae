"""Connections to PostgreSQL: one pool a service, its own schema, and limits so that a frozen process blocks nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg

from shared.errors import classify

ACQUIRE_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0
# A client frozen between BEGIN and COMMIT keeps its row locks: these end its transaction after seconds.
SERVER_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "5s",
    "statement_timeout": "25s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Plans by index whatever the statistics say: tables that are empty at the start grow by thousands a second.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}

if TYPE_CHECKING:  # generic in the stubs, not at run time
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    Pool, Connection, _Base = asyncpg.Pool, asyncpg.pool.PoolConnectionProxy, asyncpg.Connection


class _Connection(_Base):
    """No session state is ever left behind, so a released connection needs no reset (one round trip less a save)."""

    __slots__ = ()

    def get_reset_query(self) -> str:
        return ""


async def make_pool(dsn: str, *, service: str, max_size: int = 10) -> Pool:
    """A pool that connects when first used: a service starts with PostgreSQL down and says so in /readyz."""
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        command_timeout=COMMAND_TIMEOUT_S,
        timeout=ACQUIRE_TIMEOUT_S,
        connection_class=_Connection,
        max_inactive_connection_lifetime=300.0,
        server_settings=SERVER_SETTINGS | {"search_path": service, "application_name": f"amends-{service}"},
    )


@contextlib.asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for one transaction. After any doubt about its state it is thrown away, not returned."""
    conn: Any = await pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
    try:
        yield conn
    except BaseException as error:
        task = asyncio.current_task()
        cancelled = task is not None and task.cancelling() > 0
        if cancelled or not isinstance(error, Exception) or classify(error) == "transient":
            with contextlib.suppress(asyncpg.InterfaceError):  # the pool may have given it up already
                conn.terminate()
        if cancelled and isinstance(error, Exception):
            # On a lost connection the rollback fails, and its error would hide that the task has to end.
            raise asyncio.CancelledError from error
        raise
    finally:
        await pool.release(conn, timeout=ACQUIRE_TIMEOUT_S)
