"""The company's own Kafka topics: what is in them becomes complaints once each, whatever ends in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.intake import topics
from services.intake.group_commit import NotStored
from services.intake.topics import GROUP, Topics
from shared.config import KafkaSettings
from tests.harness.cluster import Cluster
from tests.intake.beds import Bed, bed_on

MAPPING = "system: crm\nrest: ignore\nfields:\n  record_id: case\n  text: words\n"


class Company:
    """A topic of the company, and intake that reads it."""

    def __init__(self, bed: Bed, settings: KafkaSettings, topic: str) -> None:
        self.bed, self.settings, self.topic = bed, settings, topic

    async def send(self, *values: Any, headers: dict[str, str] | None = None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap)
        await producer.start()
        for value in values:
            body = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
            sent = [(name, text.encode()) for name, text in (headers or {}).items()]
            await producer.send_and_wait(self.topic, body, key=b"k", headers=sent)
        await producer.stop()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        made = Topics(self.settings, self.bed.accepting, self.bed.sources, self.bed.progress)
        task = asyncio.create_task(made.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[dict[str, str | None]], bool]) -> dict[str, str | None]:
        deadline = asyncio.get_running_loop().time() + 60
        while not condition(found := await self.bed.settle()):
            assert asyncio.get_running_loop().time() < deadline, found
            await asyncio.sleep(0.05)
        return found

    async def committed(self) -> int | None:
        group = f"{self.settings.topic_prefix}{GROUP}"
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            offset: int | None = await consumer.committed(TopicPartition(self.topic, 0))
            return offset
        finally:
            await consumer.stop()


@pytest.fixture
async def company(database: str, cluster: Cluster, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Company]:
    monkeypatch.setattr(topics, "LOOK_S", 0.2)
    topic = f"{topic_prefix}crm.cases"
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    async with bed_on(database) as bed:
        settings = KafkaSettings(bootstrap=cluster.kafka_bootstrap, topic_prefix=topic_prefix)
        await bed.add("crm", "mapped", mapping=MAPPING, topic=topic)
        yield Company(bed, settings, topic)


async def test_records_become_complaints_and_what_cannot_be_read_is_kept(company: Company) -> None:
    await company.send({"case": 1, "words": "It leaks."}, b"{no json", None, {"case": 1, "words": "It leaks."}, {"other": 1})
    async with company.reading():
        found = await company.until(lambda found: len(found) == 4 and None not in found.values())
    position = f"kafka:{company.topic}/0"
    assert {key: value for key, value in found.items() if key.startswith("kafka:")} == {
        f"{position}/0#0": "complaint", f"{position}/3#0": "contact", f"{position}/4#0": "rejected",
    }  # fmt: skip
    assert sorted(str(value) for value in found.values()) == ["complaint", "contact", "dead_letter", "rejected"]


async def test_offsets_are_committed_after_the_save_and_what_is_read_again_counts_once(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    await company.send(*({"case": n, "words": "It leaks."} for n in range(5)))
    real, tried = company.bed.accepting.keep, asyncio.Event()

    async def half(*given: Any) -> Any:
        answered = await real(*given)
        tried.set()
        if given[0].headers["kafka-position"].endswith(("/3", "/4")):
            raise NotStored  # stored, but nobody was told
        return answered

    monkeypatch.setattr(company.bed.accepting, "keep", half)
    async with company.reading():
        await asyncio.wait_for(tried.wait(), 60)
        await asyncio.sleep(0.3)
    assert await company.committed() is None
    monkeypatch.setattr(company.bed.accepting, "keep", real)
    async with company.reading():
        deadline = asyncio.get_running_loop().time() + 60
        while await company.committed() != 5:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.1)
    found = await company.bed.settle()
    assert list(found.values()) == ["complaint"] * 5


async def test_a_topic_that_was_made_anew_loses_nothing(company: Company) -> None:
    carried = topics._delivery
    await company.send({"case": 1, "words": "Old."})
    async with company.reading():
        await company.until(lambda found: len(found) == 1)
    value = b'{"case": 1, "words": "New."}'
    record = SimpleNamespace(topic=company.topic, partition=0, offset=0, headers=(), value=value)
    made = Topics(company.settings, company.bed.accepting, company.bed.sources, company.bed.progress)
    source = company.bed.sources.all()[0]
    for _ in range(2):
        assert await made._keep(*carried(record, source))  # type: ignore[arg-type]
    assert sorted(str(v) for v in (await company.bed.settle()).values()) == ["complaint", "contact"]


async def test_a_source_may_come_later_and_the_trace_of_a_record_goes_on(company: Company, topic_prefix: str) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with company.reading():
        await company.send({"case": 1, "words": "x"}, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        await company.until(lambda found: len(found) == 1)
    async with company.bed.pool.acquire() as conn:
        assert trace in await conn.fetchval("select traceparent from delivery")
