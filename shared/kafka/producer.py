"""The keyed, idempotent producer behind the relay: crash-only, so thrown away and made anew on any doubt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import lru_cache

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from shared import failpoints
from shared.config import KafkaSettings
from shared.postgres.inputs import Outgoing
from shared.telemetry import metrics

START_TIMEOUT_S = 10.0
# aiokafka's idempotent batches never expire by themselves: this bounds how long an acknowledgement may take.
ACK_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 3.0


class Producer:
    """Sends events in order and waits for all their acknowledgements. Not safe for two tasks at a time."""

    def __init__(self, settings: KafkaSettings, *, service: str) -> None:
        self._settings = settings
        self._service = service
        self._producer: AIOKafkaProducer | None = None

    async def send(self, events: Sequence[Outgoing]) -> None:
        """Return when Kafka has acknowledged every event (acks=all). Raises, and forgets the producer, on any doubt."""
        try:
            await asyncio.wait_for(self._send(events), ACK_TIMEOUT_S)
        except BaseException:
            await self.discard()
            raise

    async def _send(self, events: Sequence[Outgoing]) -> None:
        producer = self._producer or await self._start()
        # Packed here, a batch a partition: `send` of each event would cost twice as much. One task, then wait:
        # concurrent calls wake each other quadratically (aiokafka #528).
        acknowledgements = [
            await producer.send_batch(batch, topic, partition=partition)
            for topic, partition, batch in await self._batches(producer, events)
        ]
        await failpoints.reach("relay.mid_send")
        await asyncio.gather(*acknowledgements)

    async def _batches(self, producer: AIOKafkaProducer, events: Sequence[Outgoing]) -> list[tuple[str, int, BatchBuilder]]:
        """The events in batches for (topic, partition), those of one partition in their order."""
        made: list[tuple[str, int, BatchBuilder]] = []
        filling: dict[tuple[str, int], BatchBuilder] = {}
        topics = {name: self._settings.topic_prefix + name for name in {event.topic for event in events}}
        partitions = {name: len(await producer.partitions_for(topic)) for name, topic in topics.items()}
        for event in events:
            place = topics[event.topic], _partition(event.key, partitions[event.topic])
            batch = filling.get(place)
            if batch is None or not _added(batch, event):
                batch = filling[place] = producer.create_batch()
                made.append((*place, batch))
                _added(batch, event)  # an empty one takes an event of any size
        return made

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            client_id=f"amends-{self._service}-relay",
            enable_idempotence=True,
            linger_ms=self._settings.linger_ms,
            max_batch_size=262_144,
            max_request_size=2_097_152,
            request_timeout_ms=10_000,
            **self._settings.client_options(),
        )
        try:
            await asyncio.wait_for(producer.start(), START_TIMEOUT_S)
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer
        return producer

    async def discard(self) -> None:
        """Throw the producer away; what it had not sent stays in the outbox."""
        producer, self._producer = self._producer, None
        if producer is not None:
            metrics.PRODUCER_RESTARTS.labels(self._service).inc()
            await _stop(producer)


@lru_cache(maxsize=10_000)  # Kafka's hash is plain Python here, and a complaint has several events
def _partition(key: bytes, partitions: int) -> int:
    """Where events of this key belong: as every client of Kafka has it by default."""
    found: int = DefaultPartitioner()(key, range(partitions), ())
    return found


def _added(batch: BatchBuilder, event: Outgoing) -> bool:
    """False: it is full."""
    return batch.append(timestamp=None, key=event.key, value=event.value, headers=event.headers) is not None


async def _stop(producer: AIOKafkaProducer) -> None:
    # stop() flushes, and hangs when no broker answers (aiokafka #659).
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), STOP_TIMEOUT_S)
