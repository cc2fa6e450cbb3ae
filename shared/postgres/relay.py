"""The relay: committed events -> Kafka. What was just committed is in memory; the sweep sends what crashes left.

Sending twice is harmless (readers drop by sequence); not sending is not. So a row is deleted only after every one of
its events is acknowledged, and any doubt leaves it for the sweep of any replica.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog

from shared import failpoints
from shared.errors import classify
from shared.postgres import outbox
from shared.postgres.inputs import Outgoing
from shared.postgres.pool import Pool, connection
from shared.telemetry import metrics, tracing
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

# Beyond this many events in memory the rest stays in the outbox, for the sweep: Kafka is away, or slower than we are.
MAX_QUEUED_EVENTS = 10_000
MAX_SEND_EVENTS = 1_000
SWEEP_ROWS = 10
SWEEP_EVERY_S = 1.0


class Sender(Protocol):
    async def send(self, events: Sequence[Outgoing]) -> None: ...
    async def discard(self) -> None: ...


class Relay:
    """Sends a service's outgoing events; `run` and `sweep` are its two loops."""

    def __init__(self, *, service: str, pool: Pool, sender: Sender, progress: Progress) -> None:
        self._service = service
        self._pool = pool
        self._sender = sender
        self._progress = progress
        self._queue: deque[tuple[int, Sequence[Outgoing]]] = deque()
        self._queued = 0
        self._work = asyncio.Event()
        self._sending = asyncio.Lock()

    def offer(self, row_id: int, events: Sequence[Outgoing]) -> None:
        """Take a row that has just been committed. Never waits: what does not fit is left to the sweep."""
        if self._queued + len(events) > MAX_QUEUED_EVENTS:
            return
        self._queue.append((row_id, events))
        self._queued += len(events)
        self._work.set()

    async def run(self) -> None:
        """Send what was offered, as much at a time as there is."""
        while True:
            self._work.clear()
            if not self._queue:
                await self._work.wait()
            rows: list[tuple[int, Sequence[Outgoing]]] = []
            size = 0
            while self._queue and size < MAX_SEND_EVENTS:
                row = self._queue.popleft()
                rows.append(row)
                size += len(row[1])
            self._queued -= size
            try:
                await self._send_and_delete(rows)
            except Exception as error:
                self._doubt(error, size)
                await asyncio.sleep(0.2 + random.random() * 0.3)  # noqa: S311 - jitter

    async def sweep(self) -> None:
        """Every second, send rows that nobody has sent within their time."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S * (0.75 + random.random() * 0.5))  # noqa: S311 - jitter
            try:
                await self._sweep_once()
                self._progress.beat("relay")
            except Exception as error:
                self._doubt(error, 0)

    async def drain(self) -> None:
        """Wait until everything offered is sent (used at shutdown, under its deadline)."""
        while self._queue or self._sending.locked():  # noqa: ASYNC110 - two conditions, once in a process's life
            await asyncio.sleep(0.01)

    async def _sweep_once(self) -> None:
        while True:
            async with connection(self._pool) as conn:
                rows = await outbox.claim(conn, SWEEP_ROWS)
                pending, age = tuple(await conn.fetchrow(outbox.PENDING) or (0, 0.0))
            metrics.OUTBOX_PENDING.labels(self._service).set(pending)
            metrics.OUTBOX_OLDEST_AGE.labels(self._service).set(age)
            if not rows:
                return
            await failpoints.reach("sweep.after_claim")
            await self._send_and_delete(rows)

    async def _send_and_delete(self, rows: Sequence[tuple[int, Sequence[Outgoing]]]) -> None:
        await failpoints.reach("relay.before_send")
        events = [event for _, row in rows for event in row]
        async with self._sending:
            with tracing.send(events[0].topic, *_links(events)):
                await self._sender.send(events)
        metrics.RELAY_SENT.labels(self._service).inc(len(events))
        await failpoints.reach("relay.before_delete")
        async with connection(self._pool) as conn:
            await outbox.delete(conn, [row_id for row_id, _ in rows])
        await failpoints.reach("relay.after_delete")

    def _doubt(self, error: Exception, events: int) -> None:
        metrics.RELAY_FAILED.labels(self._service).inc()
        log.warning(
            "events not acknowledged; they stay in the outbox and are swept", service=self._service, events=events,
            error=type(error).__name__, kind=classify(error),
        )  # fmt: skip


def _links(events: Sequence[Outgoing]) -> tuple[list[tracing.Carrier], list[str]]:
    """The creation contexts of `events` and their complaints; nothing where no span would be made of them."""
    if not tracing.active():
        return [], []
    headers = [dict(event.headers) for event in events]
    carriers = [tracing.Carrier(h["traceparent"].decode(), h.get("tracestate", b"").decode()) for h in headers]
    return carriers, [h["ce_subject"].decode() for h in headers]
