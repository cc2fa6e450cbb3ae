"""Accepting: what callers send is stored before it is acknowledged. Requests that come together share one commit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple
from uuid import UUID

import structlog

from services.intake import store
from services.intake.store import Accepted
from shared import failpoints
from shared.postgres.pool import Pool, connection
from shared.vault import KeyStore

log = structlog.get_logger(__name__)

Answer = Literal["accepted", "duplicate", "conflict"]
MAX_BATCH = 2_000
WAIT_S = 10.0
BUSY = 4
# From one commit's beginning to the next where several ask at a time: what comes a few milliseconds apart shares one.
EVERY_S = 0.01
PATIENCE = 3.0


class NotStored(Exception):
    """The store did not answer in time. Nothing is acknowledged; sending again is harmless."""


class _Waiting(NamedTuple):
    items: Sequence[Accepted]
    answer: asyncio.Future[list[Answer]]


class GroupCommit:
    """Stores submissions in micro-batches: while one commit runs, what arrives waits for the next.

    `stored` is called with what each commit added, so that normalizing can begin at once; `calm` says that few wait for an answer.
    """

    def __init__(self, pool: Pool, keys: KeyStore, *, stored: Callable[[Sequence[Accepted]], None]) -> None:
        self._pool = pool
        self._keys = keys
        self._stored = stored
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._callers = 0  # who wait for their answer
        self.calm = asyncio.Event()  # fewer than BUSY do
        self.calm.set()

    async def accept(self, items: Sequence[Accepted]) -> list[Answer]:
        """Returns when the items are durable, with an answer for each. Raises NotStored."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Answer]] = loop.create_future()
        self._waiting.append(_Waiting(items, answer))
        self._arrived.set()
        self._callers += 1
        if self._callers >= BUSY:
            self.calm.clear()
        late = loop.call_later(WAIT_S, _give_up, answer)
        try:
            return await answer
        finally:
            late.cancel()
            self._callers -= 1
            if self._callers < BUSY:
                self.calm.set()

    async def first(self, used_s: float) -> None:
        """Callers wait for their answer, what is stored can wait: other work of this process, which took `used_s`, goes on when
        few of them do, or after PATIENCE times as long."""
        if self.calm.is_set():
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE * used_s):
                await self.calm.wait()

    async def run(self) -> None:
        """Commit what waits, as much at a time as there is."""
        while True:
            await self._arrived.wait()
            began = time.monotonic()
            batch: list[_Waiting] = []
            size = 0
            while self._waiting and (size == 0 or size + len(self._waiting[0].items) <= MAX_BATCH):
                batch.append(self._waiting.popleft())
                size += len(batch[-1].items)
            if not self._waiting:
                self._arrived.clear()
            await self._commit([w for w in batch if not w.answer.done()])
            if self._waiting and size < MAX_BATCH:
                await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        items = [item for waiting in batch for item in waiting.items]
        if not items:
            return
        try:
            async with connection(self._pool) as conn, conn.transaction():
                new, earlier = await store.store(conn, self._keys, items)
                await failpoints.reach("accept.before_commit")
            await failpoints.reach("accept.after_commit")
        except Exception as error:
            # Whatever it was, the callers are told that nothing is acknowledged, and they send again.
            log.warning("submissions not stored", items=len(items), error=type(error).__name__)
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(NotStored())
            return
        self._stored([item for item in items if (item.delivery.id, item.item) in new])
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_result([_answer(item, new, earlier) for item in waiting.items])


def _give_up(answer: asyncio.Future[list[Answer]]) -> None:
    if not answer.done():
        answer.set_exception(NotStored())


def _answer(item: Accepted, new: set[tuple[UUID, int]], earlier: dict[tuple[str, str], bytes]) -> Answer:
    if (item.delivery.id, item.item) in new:
        return "accepted"
    return (
        "duplicate"
        if earlier.get((item.delivery.source, item.identity.event_id)) == item.identity.sha256
        else "conflict"
    )
