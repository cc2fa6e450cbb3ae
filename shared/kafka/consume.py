"""Consuming: at least once, in batches, offsets committed after the save. What comes twice is dropped by its sequence.

Nothing is ever skipped: a transient failure is tried again in place, a record that cannot be handled goes to the dead
letters in the same transaction as the rest of its batch, and too many of those stop the consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from shared import failpoints
from shared.config import KafkaSettings
from shared.contracts.codec import decode
from shared.contracts.envelope import Event, Undecodable
from shared.contracts.topics import selected_by
from shared.errors import TooManyDeadLetters
from shared.kafka.broker import make_broker, make_subscriber
from shared.kafka.pace import Pace
from shared.telemetry import metrics
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

COMMIT_EVERY_S = 1.0
# A revoked partition's new owner waits for this: long enough for the batch in flight, far below the rebalance timeout.
DRAIN_S = 8.0
HALT_RETRY_S = 15.0
# A smaller batch is not worth a second transaction.
LANES_FROM = 200
START_RETRY_S = 2.0
BatchHandler = Callable[[Sequence[Event | Undecodable]], Awaitable[None]]


def lanes(events: Sequence[Event | Undecodable]) -> list[list[Event | Undecodable]]:
    """A batch in two halves by complaint: while PostgreSQL writes one, Python decides the other.

    All events of a complaint are in the same half, in their order, so the halves never touch the same row.
    """
    if len(events) < LANES_FROM:
        return [list(events)]
    split: list[list[Event | Undecodable]] = [[], []]
    for event in events:
        split[event.subject.bytes[-1] & 1 if isinstance(event, Event) else 0].append(event)
    return [lane for lane in split if lane]


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads all topics of one service and hands batches to `handle`, which returns when they are saved."""

    def __init__(self, settings: KafkaSettings, *, service: str, handle: BatchHandler, progress: Progress) -> None:
        selected = selected_by(service).items()
        self._selected = {settings.topic_prefix + topic: {each.encode() for each in types} for topic, types in selected}
        self._settings = settings
        self._service = service
        self._handle = handle
        self._progress = progress
        self._broker = make_broker(settings, service=service)
        self._subscriber = make_subscriber(self._broker, settings, service=service, listener=self)
        self._subscriber(self._consume)
        self._handled: dict[TopicPartition, int] = {}
        self._handled_at_ms: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed: BaseException | None = None
        self._pace = Pace()
        self.assigned = False

    async def run(self) -> None:
        """Connect (again and again while Kafka is away), then commit and watch until cancelled."""
        while True:
            try:
                await self._broker.start()
                break
            except Exception as error:
                log.warning("cannot reach Kafka, trying again", service=self._service, error=type(error).__name__)
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._broker.stop(), 5)
                await asyncio.sleep(START_RETRY_S)
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            if self._failed is not None:
                raise self._failed
            self._watch()
            await self.commit()

    async def stop(self) -> None:
        """Finish the batch in flight, commit, leave the group."""
        self._subscriber.running = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_S)
        await self.commit()
        await self._broker.stop()

    async def _consume(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        began = time.monotonic()
        await self._save(records)
        rest = self._pace.rest(len(records), self._waiting(), began, time.monotonic())
        if rest and self._subscriber.running:
            await asyncio.sleep(rest)

    def _waiting(self) -> int:
        """How many more records Kafka had when it was last asked."""
        consumer = self._subscriber.consumer
        if consumer is None:
            return 0
        assigned = consumer.assignment()
        return sum(max(0, (consumer.highwater(tp) or 0) - end) for tp, end in self._handled.items() if tp in assigned)

    async def _save(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        self._idle.clear()
        try:
            prefix = len(self._settings.topic_prefix)
            events = [decode(record, record.topic[prefix:]) for record in records if self._wanted(record)]
            await failpoints.reach("consume.before_save")
            if events:
                await asyncio.gather(*(self._until_saved(lane) for lane in lanes(events)))
            self._progress.resume("consumer")  # not by a lane: the other one may be the one that is halted
            for record in records:
                tp = TopicPartition(record.topic, record.partition)
                self._handled[tp], self._handled_at_ms[tp] = record.offset + 1, record.timestamp
        except Exception as error:
            # FastStream would log it and go on behind the batch: stop reading, and let `run` end the process.
            self._failed = error
            self._subscriber.running = False
        finally:
            self._idle.set()

    def _wanted(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        types = self._selected.get(record.topic)
        return types is None or any(name == "ce_type" and value in types for name, value in record.headers)

    async def _until_saved(self, events: Sequence[Event | Undecodable]) -> None:
        while True:
            try:
                await self._handle(events)
            except TooManyDeadLetters as error:
                log.error("consuming stopped", service=self._service, reason=str(error))
                self._progress.halt("consumer", str(error))
                await asyncio.sleep(HALT_RETRY_S)
            else:
                return

    async def commit(self) -> None:
        """Commit the offsets of what is saved. Failing is harmless: those records come again and are dropped."""
        consumer = self._subscriber.consumer
        if consumer is None:
            return
        assigned = consumer.assignment()
        offsets = {tp: o for tp, o in self._handled.items() if tp in assigned and self._committed.get(tp) != o}
        if not offsets:
            return
        await failpoints.reach("consume.before_offset_commit")
        try:
            await asyncio.wait_for(consumer.commit(offsets), 5.0)
            self._committed |= offsets
        except Exception as error:
            log.info(
                "offsets not committed; their records will come again",
                service=self._service,
                error=type(error).__name__,
            )
        await failpoints.reach("consume.after_offset_commit")

    def _watch(self) -> None:
        """Progress = every assigned partition was fetched lately (an empty answer counts), and lag for the dashboards."""
        consumer = self._subscriber.consumer
        if consumer is None:
            return
        now_ms = time.time() * 1000
        assigned = consumer.assignment()
        for tp in assigned:
            highwater, position = consumer.highwater(tp), self._handled.get(tp)
            if highwater is not None and position is not None:
                lag = max(0, highwater - position)
                labels = (self._service, tp.topic, str(tp.partition))
                metrics.CONSUMER_LAG.labels(*labels).set(lag)
                # Kafka's clock says when the last handled record came; what waits came after it.
                behind_ms = now_ms - self._handled_at_ms[tp] if lag else 0
                metrics.CONSUMER_LAG_SECONDS.labels(*labels).set(max(0.0, behind_ms / 1000))
        polled = [consumer.last_poll_timestamp(tp) for tp in assigned]
        # A batch that takes long is progress of its own kind only as long as the window of /livez lasts.
        if self.assigned and all(stamp is not None and now_ms - stamp < 10_000 for stamp in polled):
            self._progress.beat("consumer")

    async def on_partitions_revoked(self, revoked: Any) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_S)
        await self.commit()
        for tp in revoked:
            self._handled.pop(tp, None)
            self._committed.pop(tp, None)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.assigned = True
        log.info("partitions assigned", service=self._service, count=len(assigned))
