"""The checker can fail: on a save without its revision, on handling without `seen`, on an early acknowledgement.

Each test does the same to the real services first, and then the checker finds nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local.stack import LocalStack
from tests.faults import checker
from tests.faults.client import Client
from tests.faults.fleet import CONSUMERS, SOURCE, Fleet
from tests.faults.journal import Journal, Submission
from tests.faults.rules import Finding

ALL = ("intake-1", *(f"{service}-1" for service in CONSUMERS))


@pytest.fixture
def fleet(stack: LocalStack) -> Iterator[Fleet]:
    with Fleet(stack, session_timeout_s=2.0) as started:
        yield started


async def test_commands_at_two_replicas_and_a_save_without_revision(fleet: Fleet) -> None:
    """Two replicas resolve the same complaint at the same time, one of them slowly."""
    slow = "save.before_write=sleep:0.3"
    fleet.start(*ALL)
    fleet.start("escalation-2", failpoints=slow, via=("mutant", "slowfind"))
    await asyncio.to_thread(fleet.await_ready)
    journal = Journal(SOURCE)
    async with Client(fleet.urls, fleet.key, journal, 1) as client:
        await one_command_twice(fleet, client)
        for _ in range(3):
            assert sorted(await both_resolve(fleet, client, after=0.65)) == [200, 409]
        assert await everything_wrong(fleet, journal) == []

        await asyncio.to_thread(fleet.stop, "escalation-2")
        fleet.start("escalation-2", failpoints=slow, via=("mutant", "norevision"))
        await asyncio.to_thread(fleet.await_ready)
        for _ in range(10):
            if await both_resolve(fleet, client, after=0.15) == [200, 200]:
                break
        await until_found(fleet, journal, "status", "was answered 200 and done 0 times")


async def one_command_twice(fleet: Fleet, client: Client) -> None:
    """Both are answered as done, also the one that looked for its key too early and at the complaint too late."""
    [message] = await post_complaints(client, 1)
    await until_decided(client, message)
    path, body = f"/v1/complaints/{message.complaint_id}/resolve", {"resolution": "Sent a new one"}
    headers = {"Idempotency-Key": message.event_id}
    sent = [client.post("escalation", path, body, headers=headers, url=url) for url in fleet.urls("escalation")]
    answers = await asyncio.gather(*sent)
    assert [a and a.status_code for a in answers] == [200, 200]
    assert sorted(a.headers.get("idempotency-replayed", "") for a in answers if a) == ["", "true"]


async def both_resolve(fleet: Fleet, client: Client, *, after: float) -> list[int]:
    """The slow replica has read the complaint, and not yet written it, when the quick one resolves it. Both answers."""
    quick, slow = fleet.urls("escalation")
    [message] = await post_complaints(client, 1)
    await until_decided(client, message)
    slowly = asyncio.create_task(client.command(message.complaint_id, "resolve", url=slow))
    await asyncio.sleep(after)
    quickly = await client.command(message.complaint_id, "resolve", url=quick)
    return [quickly.status, (await slowly).status]


async def test_handling_without_seen_is_caught(fleet: Fleet) -> None:
    """Everything of `complaints` is published a second time, as a second relay would."""
    fleet.start(*ALL)
    await asyncio.to_thread(fleet.await_ready)
    journal = Journal(SOURCE)
    async with Client(fleet.urls, fleet.key, journal, 1) as client:
        await post_complaints(client, 10)
        assert await everything_wrong(fleet, journal) == []
        await publish_again(fleet, "complaints")
        assert await everything_wrong(fleet, journal) == []

        await asyncio.to_thread(fleet.stop, "escalation-1")
        fleet.start("escalation-1", via=("mutant", "noseen"))
        await publish_again(fleet, "complaints")
        await until_found(fleet, journal, "decision", "decided [(1, set()), (1, set())")


async def test_an_early_acknowledgement_is_caught(fleet: Fleet) -> None:
    """Intake dies in the middle of storing; a client that has no answer sends again, one that has does not."""
    dies = "accept.before_commit=exit@1"
    fleet.start(*ALL[1:])
    fleet.start("intake-1", failpoints=dies)
    await asyncio.to_thread(fleet.await_ready)
    journal = Journal(SOURCE)
    async with Client(fleet.urls, fleet.key, journal, 1) as client:
        await post_complaints(client, 1)
        assert [(end.name, end.code) for end in fleet.ends] == [("intake-1", 137)]
        assert await everything_wrong(fleet, journal) == []

        await asyncio.to_thread(fleet.stop, "intake-1")
        fleet.start("intake-1", failpoints=dies, via=("mutant", "ackfirst"))
        await asyncio.to_thread(fleet.await_ready)
        await post_complaints(client, 1)
        async with asyncio.timeout(60):
            while len(fleet.ends) < 2:
                await asyncio.sleep(0.02)
        await asyncio.to_thread(fleet.await_ready)
        await until_found(fleet, journal, "submission", "lost: acknowledged as ['accepted'], and not kept")


async def post_complaints(client: Client, count: int) -> list[Submission]:
    messages = [client.message() for _ in range(count)]
    await asyncio.gather(*(client.send(message) for message in messages))
    return messages


async def until_decided(client: Client, message: Submission) -> None:
    async with asyncio.timeout(60):
        while "decision_made" not in (await client.get("records", f"/v1/complaints/{message.complaint_id}")).text:
            await asyncio.sleep(0.05)


async def everything_wrong(fleet: Fleet, journal: Journal) -> list[Finding]:
    """What the checker says once nothing moves."""
    kafka, prefix = fleet.deployment.kafka_bootstrap, fleet.deployment.topic_prefix
    assert await checker.settle(fleet.dsn, kafka, prefix) == ""
    return await checker.check(journal, fleet.dsn, kafka, prefix, records_url=fleet.url("records"), key=fleet.key)


async def until_found(fleet: Fleet, journal: Journal, rule: str, detail: str) -> None:
    """Until the checker finds this (a broken system may never settle)."""
    kafka, prefix = fleet.deployment.kafka_bootstrap, fleet.deployment.topic_prefix
    deadline = time.monotonic() + 120
    while True:
        findings = await checker.check(journal, fleet.dsn, kafka, prefix)
        if any(finding.rule == rule and detail in finding.detail for finding in findings):
            return
        assert time.monotonic() < deadline, checker.report(findings)
        await asyncio.sleep(0.2)


async def publish_again(fleet: Fleet, topic: str) -> None:
    """Every record of the topic a second time, byte for byte."""
    kafka, name = fleet.deployment.kafka_bootstrap, fleet.topic(topic)
    partitions = [TopicPartition(name, number) for number in range(6)]
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for tp in partitions:
            await consumer.seek_to_beginning(tp)
        left = {tp for tp in partitions if ends[tp]}
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=200)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        await producer.send_and_wait(name, record.value, record.key, headers=list(record.headers))
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
        await producer.stop()
