"""The policy topics: read whole and followed without a consumer group, written by one writer at a time.

A write is a compare-and-set: whoever begins one fences, by the transactional id of the service, all who began before;
then reads both topics to their end, checks, and commits. So a version is published once, activations are numbered
without gaps, and two people who activate at the same moment do not both succeed unseen (docs/adr/0024).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.config import KafkaSettings
from shared.contracts.policies import Activation, VersionPublished
from shared.contracts.topics import POLICY_ACTIVATIONS, POLICY_VERSIONS
from shared.errors import AmendsError
from shared.policy.distribution.records import Records

log = structlog.get_logger(__name__)

POLL_MS, ONCE_POLL_MS = 500, 20
READ_TIMEOUT_S = 20.0
TRANSACTION_MS = 10_000
SEND_TIMEOUT_S = 5.0
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)

Written = Sequence[VersionPublished | Activation]
Decide = Callable[[Records], Written]


class TopicsNotRead(AmendsError):
    """The policy topics could not be read or written. The message says what to do."""


class Busy(AmendsError):
    """Others kept writing at the same moment."""


class Reader:
    """Reads policy topics from their beginning, and goes on. `ended_at` is when the end of all was last seen (monotonic)."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str], poll_ms: int = POLL_MS) -> None:
        self._kafka = kafka
        self._poll_ms = poll_ms
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=poll_ms,
            request_timeout_ms=5_000,
            metadata_max_age_ms=10_000,  # a topic that is created later is found soon
            **kafka.client_options(),
        )
        self._partitions = [TopicPartition(kafka.topic_prefix + topic, 0) for topic in topics]
        self._answered_ms: dict[TopicPartition, tuple[int, int]] = {}
        self.ended_at: float | None = None

    async def __aenter__(self) -> Reader:
        try:
            await self._consumer.start()
        except BaseException:
            await stop(self._consumer)
            raise
        began_ms = int(time.time() * 1000)
        self._answered_ms = dict.fromkeys(self._partitions, (began_ms, began_ms))
        self._consumer.assign(self._partitions)
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._consumer)

    async def poll(self) -> list[tuple[str, str, bytes | None]]:
        """What has come: (logical topic, key, value), in the order of each topic; empty after a while of nothing."""
        prefix = len(self._kafka.topic_prefix)
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]
        found = await self._consumer.getmany(timeout_ms=self._poll_ms, max_records=500)
        records = [
            (record.topic[prefix:], (record.key or b"").decode(errors="replace"), record.value)
            for partition in self._partitions
            for record in found.get(partition, ())
        ]
        seen = [await self._end_seen(partition) for partition in self._partitions]
        if all(at is not None for at in seen):
            self.ended_at = min(at for at in seen if at is not None)
        return records

    async def settled(self) -> bool:
        """Whether no write is under way: one that its writer knows to be committed may take a moment to be seen by readers."""
        for partition in self._partitions:
            end = self._consumer.highwater(partition)
            if end is None or await self._consumer.position(partition) < end:
                return False
        return True

    async def _end_seen(self, partition: TopicPartition) -> float | None:
        """When (monotonic) that end was the end which we have reached, at the latest; None while there is more to read.

        An answer that waits in a busy process is older than it looks. It was asked for after the answer before was taken
        in, so that moment is what counts.
        """
        end, polled_ms = self._consumer.last_stable_offset(partition), self._consumer.last_poll_timestamp(partition)
        if end is None or end < 0 or polled_ms is None:
            return None
        asked_ms, last_ms = self._answered_ms[partition]
        if polled_ms != last_ms:
            self._answered_ms[partition] = asked_ms, _ = last_ms, polled_ms
        if await self._consumer.position(partition) < end:
            return None
        age_s: float = max(0.0, time.time() - asked_ms / 1000)
        return time.monotonic() - age_s


async def read_all(kafka: KafkaSettings, topics: Sequence[str] = (POLICY_VERSIONS, POLICY_ACTIVATIONS)) -> Records:
    """Everything that the topics hold now. Raises TopicsNotRead."""
    records = Records()
    began = time.monotonic()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S), Reader(kafka, topics, ONCE_POLL_MS) as reader:
            while reader.ended_at is None or reader.ended_at < began or not await reader.settled():
                for record in await reader.poll():
                    records.add(*record)
    except TimeoutError:
        raise TopicsNotRead(
            f"the policy topics at {kafka.bootstrap} cannot be read; are they there? amends topics create"
        ) from None
    return records


async def write(kafka: KafkaSettings, service: str, decide: Decide) -> Written:
    """Append what `decide` makes of everything that is there. No other write of this service comes in between.

    `decide` may be asked again, when somebody else wrote first; what it raises ends the write, and nothing is written.
    """
    tried: Written = ()
    for pause_s in PAUSES_S:
        async with _producer(kafka, service) as producer:
            # Begins only when the broker has given us the id: who had it before can write no more, and what they and we
            # have written is settled, either there for good or gone.
            async with asyncio.timeout(READ_TIMEOUT_S):
                await producer.begin_transaction()
            held = await read_all(kafka)
            if tried and all(_is_there(held, record) for record in tried):
                return tried
            tried = decide(held)
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await _send(producer, kafka, tried)
                return tried
            except (KafkaError, TimeoutError) as error:
                # Fenced, or no answer: it may be there or not. The next try settles it before it looks.
                log.info("policy write is tried again", service=service, error=type(error).__name__)
        await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311 - jitter, not a secret
    raise Busy(
        "others publish or activate at this moment, or Kafka does not answer; see what is there: amends policy list"
    )


async def _send(producer: AIOKafkaProducer, kafka: KafkaSettings, records: Written) -> None:
    for record in records:
        topic = POLICY_VERSIONS if isinstance(record, VersionPublished) else POLICY_ACTIVATIONS
        value = record.model_dump_json(exclude_none=True).encode()
        await producer.send_and_wait(kafka.topic_prefix + topic, value, key=record.key.encode())
    await producer.commit_transaction()


def _is_there(held: Records, record: VersionPublished | Activation) -> bool:
    if isinstance(record, VersionPublished):
        return held.versions.get(record.key) == record
    return held.activations.get(record.service, {}).get(record.seq) == record


@contextlib.asynccontextmanager
async def _producer(kafka: KafkaSettings, service: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        transactional_id=f"{kafka.topic_prefix}amends-policy-{service}",
        transaction_timeout_ms=TRANSACTION_MS,
        max_request_size=2_097_152,
        request_timeout_ms=10_000,
        **kafka.client_options(),
    )
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            await producer.start()
        yield producer
    finally:
        await stop(producer)


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop it, within limits: it hangs when no broker answers (aiokafka #659)."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(3.0):
            await client.stop()
