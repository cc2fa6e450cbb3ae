"""What a process tells of its policies: a record in `policy.status`, at every change and every ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer

from shared.config import KafkaSettings
from shared.contracts.policies import ReplicaStatus
from shared.contracts.topics import POLICY_STATUS
from shared.policy.distribution import topics

log = structlog.get_logger(__name__)

EVERY_S = 10.0
SEND_S = 5.0


class Reports:
    """Sends `status()`. Losing one does no harm: the next comes soon."""

    def __init__(self, kafka: KafkaSettings, status: Callable[[], ReplicaStatus | None]) -> None:
        self._kafka = kafka
        self._status = status
        self._changed = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None

    def changed(self) -> None:
        """There is something new to tell."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled; then the replica's record is removed, so that nobody waits for it."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):  # wait_for may lose a cancellation (CPython #86296)
                        await self._changed.wait()
                self._changed.clear()
                status = self._status()
                if status is not None:
                    await self._send(status.key, status.model_dump_json(exclude_none=True).encode())
        finally:
            status = self._status()
            if self._producer is not None and status is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(2.0):
                        await self._send(status.key, None)
            await self._discard()

    async def _send(self, key: str, value: bytes | None) -> None:
        try:
            if self._producer is None:
                producer = AIOKafkaProducer(request_timeout_ms=5_000, **self._kafka.client_options())
                try:
                    async with asyncio.timeout(SEND_S):
                        await producer.start()
                except BaseException:
                    await topics.stop(producer)
                    raise
                self._producer = producer
            topic = self._kafka.topic_prefix + POLICY_STATUS
            async with asyncio.timeout(SEND_S):
                await self._producer.send_and_wait(topic, value, key=key.encode())
        except Exception as error:
            log.info("policy status not sent", error=type(error).__name__)
            await self._discard()

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await topics.stop(producer)
