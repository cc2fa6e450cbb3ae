"""The company's own Kafka topics: a source with the option `topic` is read here, by its adapter, like any other delivery.

At least once: a record's offset is committed after the record is stored. Read again, it is the same submission: topic,
partition and offset are its identity where the payload has none. What cannot be read is stored too, as a dead letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.intake.accepting import SERVICE, Accepting
from services.intake.adapters.mapped_item import POSITION
from services.intake.group_commit import NotStored
from services.intake.sources import SourceRecord, Sources
from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.config import KafkaSettings
from shared.contracts import ids
from shared.errors import classify
from shared.telemetry import metrics, tracing
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

GROUP = "amends-intake-sources"
LOOP = "topics"
BATCH = 500
LOOK_S = 5.0  # how often the sources are looked at for topics that come or go
POLL_MS = 500
RETRY_S = 2.0
STOP_S = 5.0
# Events of CloudEvents' binary mode have their attributes in headers; the rest of them is nobody's business.
KEPT = ("ce_",)


class Topics:
    """Reads the topics of all sources that have any; waits while there are none."""

    def __init__(self, settings: KafkaSettings, accepting: Accepting, sources: Sources, progress: Progress) -> None:
        self._settings = settings
        self._accepting = accepting
        self._sources = sources
        self._progress = progress

    async def run(self) -> None:
        """Read until cancelled; a consumer for as long as the topics stay the same. Kafka may be away, also at the start."""
        while True:
            self._progress.beat(LOOP)
            wanted = await self._wanted()
            if not wanted:
                await asyncio.sleep(LOOK_S)
                continue
            consumer = self._consumer(wanted)
            try:
                await asyncio.wait_for(consumer.start(), 30.0)
                await self._read(consumer, wanted)
            except Exception as error:
                if classify(error) == "defect":
                    raise
                log.warning("the sources' topics cannot be read, trying again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(consumer.stop(), STOP_S)

    async def _wanted(self) -> dict[str, SourceRecord]:
        """Topic -> the source that it belongs to: the first by name, where two claim it."""
        await self._sources.refresh()
        found: dict[str, SourceRecord] = {}
        for source in self._sources.all():
            for topic in str(source.options.get("topic", "")).split(","):
                if topic.strip():
                    found.setdefault(topic.strip(), source)
        return found

    def _consumer(self, wanted: dict[str, SourceRecord]) -> AIOKafkaConsumer:
        session = self._settings.session_timeout_ms
        return AIOKafkaConsumer(
            *wanted,
            client_id=f"amends-{SERVICE}-sources",
            group_id=f"{self._settings.topic_prefix}{GROUP}",
            auto_offset_reset="earliest",
            enable_auto_commit=False,  # after the save, by us
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 4,
            max_partition_fetch_bytes=2_097_152,
            **self._settings.client_options(),
        )

    async def _read(self, consumer: AIOKafkaConsumer, wanted: dict[str, SourceRecord]) -> None:
        looked = asyncio.get_running_loop().time()
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
            self._progress.beat(LOOP)
            records = [record for batch in batches.values() for record in batch]
            if records:
                await self._store(records, wanted)
                await self._commit(consumer, batches)
            if asyncio.get_running_loop().time() - looked > LOOK_S:
                looked = asyncio.get_running_loop().time()
                now = await self._wanted()
                if now.keys() != wanted.keys():
                    return
                wanted = now

    async def _store(self, records: Sequence[ConsumerRecord[Any, Any]], wanted: dict[str, SourceRecord]) -> None:
        """Returns when all are durable; until then they are tried again, and nothing is skipped."""
        left = [_delivery(record, wanted[record.topic]) for record in records if record.value is not None]
        empty = len(records) - len(left)
        if empty:
            log.info("records without a value hold nothing to keep", count=empty)
        failures = 0
        while left:
            done = await asyncio.gather(*(self._keep(*each) for each in left))
            left = [each for each, kept in zip(left, done, strict=True) if not kept]
            if left:
                failures += 1
                self._progress.beat(LOOP)
                await asyncio.sleep(min(10.0, 0.2 * 2 ** min(failures, 6)) * random.random())  # noqa: S311 - jitter

    async def _keep(self, delivery: Delivery, adapter: str, carrier: tracing.Carrier) -> bool:
        try:
            answered = await self._accepting.keep(delivery, adapter, carrier)
            if any(each.answer == "conflict" for each in answered) and "~" not in delivery.headers[POSITION]:
                # The topic was made anew, and its offsets began again: another content under the position of an earlier one.
                position = f"{delivery.headers[POSITION]}~{hashlib.sha256(delivery.body).hexdigest()[:16]}"
                again = replace(delivery, id=ids.time_ordered_id(), headers={**delivery.headers, POSITION: position})
                await self._accepting.keep(again, adapter, carrier)
        except NotStored:
            return False
        return True

    async def _commit(self, consumer: AIOKafkaConsumer, batches: dict[TopicPartition, list[Any]]) -> None:
        try:
            await asyncio.wait_for(consumer.commit({tp: batch[-1].offset + 1 for tp, batch in batches.items()}), 5.0)
        except Exception as error:  # such as partitions that are another replica's by now: it reads them again
            log.info("offsets not committed; their records will come again", error=type(error).__name__)
        for tp, batch in batches.items():
            highwater = consumer.highwater(tp)
            if highwater is not None:
                lag = max(0, highwater - batch[-1].offset - 1)
                metrics.CONSUMER_LAG.labels(SERVICE, tp.topic, str(tp.partition)).set(lag)


def _delivery(record: ConsumerRecord[Any, Any], source: SourceRecord) -> tuple[Delivery, str, tracing.Carrier]:
    headers = {name.lower(): value.decode("utf-8", "replace") for name, value in record.headers if value is not None}
    kept = {name.replace("_", "-"): value for name, value in headers.items() if name.startswith(KEPT)}
    kept[POSITION] = f"{record.topic}/{record.partition}/{record.offset}"
    delivery = Delivery(
        id=ids.time_ordered_id(),
        source=source.name,
        received_at=utc_now(),
        content_type=headers.get("content-type", "application/json").partition(";")[0].strip().lower()[:255],
        headers=kept,
        body=record.value,
        options=source.options,
    )
    parent = tracing.parse(headers.get("traceparent"))
    carrier = parent or tracing.creation(None, record.topic, event_type="", event_id="", complaint_id="")
    return delivery, source.adapter, carrier
