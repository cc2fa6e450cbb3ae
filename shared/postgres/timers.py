"""Timers fire exactly once: firing deletes the timer and saves what follows, in one transaction, decided by the database's clock."""

from __future__ import annotations

import asyncio

import structlog

from shared import failpoints
from shared.contracts.decision import Due
from shared.postgres.inputs import Input, Inputs
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics, tracing
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

# In due order; a timer that another replica is firing is skipped, not waited for.
TAKE_DUE = """
delete from timer where (complaint_id, name) in (
    select complaint_id, name from timer where due_at <= app_now() order by due_at limit $1 for update skip locked
)
returning complaint_id, name, due_at, traceparent, extract(epoch from app_now() - due_at)::float8 as late_s
"""
NEXT_DUE = "select extract(epoch from min(due_at) - app_now())::float8 from timer"
BATCH = 500
LONGEST_SLEEP_S = 1.0


class Timers:
    """Fires the timers of one service; any number of replicas may do so at the same time."""

    def __init__(self, *, service: str, pool: Pool, saves: Saves[object], progress: Progress) -> None:
        self._service = service
        self._pool = pool
        self._saves = saves
        self._progress = progress

    async def run(self) -> None:
        """Fire what is due, then sleep until the next is (a second at most)."""
        while True:
            work = await self._saves.act(self._take)
            self._progress.beat("timers")
            if len(work.handled) + len(work.dead) < BATCH:
                await asyncio.sleep(await self._pause())

    async def _pause(self) -> float:
        try:
            async with connection(self._pool) as conn:
                next_due: float | None = await conn.fetchval(NEXT_DUE)
        except Exception as error:
            log.warning("cannot read the next timer", service=self._service, error=type(error).__name__)
            return LONGEST_SLEEP_S
        return LONGEST_SLEEP_S if next_due is None else min(max(next_due, 0.005), LONGEST_SLEEP_S)

    async def _take(self, conn: Connection) -> Inputs:
        rows = await conn.fetch(TAKE_DUE, BATCH)
        if rows:
            await failpoints.reach("timers.after_claim")
        inputs = []
        for row in sorted(rows, key=lambda row: row["due_at"]):
            metrics.TIMER_LAG.labels(self._service).observe(max(0.0, row["late_s"]))
            subject, name, due_at = row["complaint_id"], row["name"], row["due_at"]
            inputs.append(
                Input(
                    kind="timer",
                    subject=subject,
                    body=Due(name, due_at),
                    reference=f"timer/{subject}/{name}/{due_at.isoformat()}",
                    carrier=tracing.fire(name, tracing.parse(row["traceparent"]), str(subject), due_at),
                    causation_id=f"timer:{name}",
                    correlation_id=str(subject),
                )
            )
        return inputs
