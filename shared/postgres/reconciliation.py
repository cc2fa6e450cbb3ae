"""The counts that must add up between services: what was emitted, handled, and what waits. `amends reconcile` compares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from shared.postgres.pool import Connection, Pool, connection

TOTALS = """
select
    (select coalesce(sum(sequence), 0)::bigint from complaint_state) as emitted,
    (select count(*) from complaint_state where erased_at is not null) as erased,
    (select count(*) from outbox) as outbox,
    (select count(*) from timer) as timers,
    (select count(*) from dead_letter) as dead_letters
"""
# `seen` of a complaint is the last number handled of each other service, and the numbers have no gaps.
HANDLED = """
select seen.key as service, sum(seen.value::bigint)::bigint as events
from complaint_state, json_each_text(complaint_state.seen) as seen group by 1 order by 1
"""
HELD = "select service, count(*) as events from held group by 1 order by 1"
PARKED = "select service, count(*) as events from dead_letter where kind = 'event' and service is not null group by 1 order by 1"

Also = Callable[[Connection], Awaitable[dict[str, Any]]]


async def counts(pool: Pool, service: str, also: Also | None = None) -> dict[str, Any]:
    """The counts of one service, all of one moment; `also` adds those of the service's own tables.

    `handled`, `held` and `parked` are by the service that wrote the events; `outbox` counts saves, not events.
    """
    async with connection(pool) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        totals = await conn.fetchrow(TOTALS)
        by_service = {
            name: {row["service"]: row["events"] for row in await conn.fetch(query)}
            for name, query in (("handled", HANDLED), ("held", HELD), ("parked", PARKED))
        }
        more = {} if also is None else await also(conn)
    return {"service": service, **dict(totals or {}), **by_service, **more}
