"""Timers fire exactly once: firing deletes the timer and saves what follows, in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from operator import itemgetter
from typing import Any

import structlog

from shared import failpoints
from shared.contracts.decision import Due
from shared.errors import TooManyDeadLetters, classify
from shared.postgres.dead_letters import refuse
from shared.postgres.inputs import Input, Inputs
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics, tracing
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

# In due order; a timer that another replica is firing is skipped, not waited for.
TAKE_DUE = """
with due as materialized (
    select complaint_id, name from timer where due_at <= app_now() order by due_at limit $1 for update skip locked
)
delete from timer using due where timer.complaint_id = due.complaint_id and timer.name = due.name
returning timer.complaint_id, timer.name, timer.due_at, timer.traceparent,
    extract(epoch from app_now() - timer.due_at)::float8 as late_s
"""
TAKE_ONE = "delete from timer where complaint_id = $1 and name = $2 and due_at = $3 returning true"
NEXT_DUE = "select extract(epoch from min(due_at) - app_now())::float8 from timer"
BATCH = 500
LONGEST_SLEEP_S = 1.0
HALT_RETRY_S = 15.0


class Timers:
    """Fires the timers of one service; any number of replicas may do so at the same time.

    So may two lanes of one process: in a backlog, one decides while PostgreSQL writes what the other has decided.
    """

    def __init__(
        self, *, service: str, pool: Pool, saves: Saves[Any], progress: Progress, turn: asyncio.Lock | None = None
    ) -> None:
        self._service = service
        self._pool = pool
        self._saves = saves
        self._progress = progress
        self._most = BATCH
        self._taken: Inputs = ()
        # Held from before a transaction begins until it has taken its timers: the lanes take them in due order.
        self._turn = turn or asyncio.Lock()
        self._my_turn = False

    async def run(self) -> None:
        """Fire what is due, then sleep until the next is (a second at most)."""
        beside = Timers(
            service=self._service, pool=self._pool, saves=self._saves, progress=self._progress, turn=self._turn
        )
        second: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    await self._fire()
                except TooManyDeadLetters as error:
                    log.error("timers stopped", service=self._service, reason=str(error))
                    self._progress.halt("timers", str(error))
                    self._progress.beat("timers")
                    await asyncio.sleep(HALT_RETRY_S)
                    self._progress.resume("timers")
                    continue
                self._progress.beat("timers")
                if second is not None and second.done():
                    second.result()  # a defect in it ends the process: crash-only
                    second = None
                if self._full:
                    second = second or asyncio.create_task(beside._drain())
                else:
                    await asyncio.sleep(await self._pause())
        finally:
            if second is not None:
                second.cancel()
                await asyncio.gather(second, return_exceptions=True)

    @property
    def _full(self) -> bool:
        """Whether there may be more that is due."""
        return len(self._taken) >= self._most

    async def _drain(self) -> None:
        """Fire until nothing more is due. That there are too many dead letters is for the first lane to say."""
        with contextlib.suppress(TooManyDeadLetters):
            await self._fire()
            while self._full:
                await self._fire()

    async def _fire(self) -> None:
        """Fire one batch. One that cannot be saved is halved, until the timer to blame stands alone and is parked."""
        await self._turn.acquire()
        self._my_turn = True
        try:
            await self._saves.act(self._take)
            self._most = min(BATCH, self._most * 2)
        except TooManyDeadLetters:
            raise
        except Exception as defect:
            if classify(defect) != "defect" or not self._taken:
                raise
            error, taken = type(defect).__name__, self._taken
            log.error("due timers cannot be saved", service=self._service, timers=len(taken), error=error)
            if len(taken) == 1:
                await self._park(taken[0], f"saving failed: {error}")
            self._most = max(1, len(taken) // 2)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._my_turn:
            self._my_turn = False
            self._turn.release()

    async def _park(self, blamed: Input, reason: str) -> None:
        async def take(conn: Connection) -> Inputs:
            gone = await conn.fetchval(TAKE_ONE, blamed.subject, blamed.body.name, blamed.body.due_at)
            return [blamed] if gone else []  # otherwise another replica has fired it, or it was moved or cancelled

        await self._saves.act(take, decide=refuse(reason))

    async def _pause(self) -> float:
        try:
            async with connection(self._pool) as conn:
                next_due: float | None = await conn.fetchval(NEXT_DUE)
        except Exception as error:
            log.warning("cannot read the next timer", service=self._service, error=type(error).__name__)
            return LONGEST_SLEEP_S
        return LONGEST_SLEEP_S if next_due is None else min(max(next_due, 0.005), LONGEST_SLEEP_S)

    async def _take(self, conn: Connection) -> Inputs:
        self._taken = ()
        rows = await conn.fetch(TAKE_DUE, self._most)
        self._pass_on()
        if rows:
            await failpoints.reach("timers.after_claim")
        inputs = []
        lag = metrics.TIMER_LAG.labels(self._service)
        for subject, name, due_at, traceparent, late_s in sorted(rows, key=itemgetter(2)):
            lag.observe(max(0.0, late_s))
            text = str(subject)
            inputs.append(
                Input(
                    kind="timer",
                    subject=subject,
                    body=Due(name, due_at),
                    reference=f"timer/{text}/{name}",
                    carrier=tracing.fire(name, tracing.parse(traceparent), text, due_at),
                    causation_id=f"timer:{name}",
                    correlation_id=text,
                )
            )
        self._taken = inputs
        return inputs
