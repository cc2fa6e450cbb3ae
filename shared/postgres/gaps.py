"""The loss alarm: an event that waits for its predecessor for more than a minute proves that something is missing."""

from __future__ import annotations

import asyncio

import structlog

from shared.postgres.pool import Pool, connection
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

# What waits behind a dead letter is not lost: its predecessor is parked, and will be replayed.
GAPS = """
select held.complaint_id, held.service, min(held.sequence) as waiting, min(held.held_since) as since
from held join complaint_state as row using (complaint_id)
where held.held_since < app_now() - make_interval(secs => $1)
  and not exists (
    select from dead_letter as dead
    where dead.complaint_id = held.complaint_id and dead.service = held.service
      and dead.sequence = coalesce((row.seen ->> held.service)::bigint, 0) + 1
  )
group by held.complaint_id, held.service
order by since
limit 100
"""
WAITING = "select count(*) from held"
HOLE_AFTER_S = 60.0
EVERY_S = 10.0


async def watch(pool: Pool, service: str) -> None:
    """Look every ten seconds; an error line per complaint with a hole, and the number of them as a metric."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            async with connection(pool) as conn:
                rows = await conn.fetch(GAPS, HOLE_AFTER_S)
                metrics.EVENTS_WAITING.labels(service).set(await conn.fetchval(WAITING))
        except Exception as error:
            log.warning("cannot look for gaps", service=service, error=type(error).__name__)
            continue
        metrics.SEQUENCE_GAPS.labels(service).set(len(rows))
        for row in rows:
            log.error(
                "an event is missing", service=service, complaint_id=str(row["complaint_id"]),
                written_by=row["service"], waiting_sequence=row["waiting"], since=row["since"].isoformat(),
            )  # fmt: skip
