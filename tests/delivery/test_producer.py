"""The relay's producer against a real broker: every event arrives whole, those of a complaint in their order."""

from __future__ import annotations

from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.config import KafkaSettings
from shared.kafka.producer import Producer
from shared.postgres.fold import MAX_EVENT_BYTES
from shared.postgres.inputs import Outgoing
from tests.harness.cluster import Cluster

PARTITIONS, COMPLAINTS = 6, 40


async def test_events_arrive_in_the_order_of_their_complaint(cluster: Cluster, topic_prefix: str) -> None:
    bootstrap, topic = cluster.kafka_bootstrap, f"{topic_prefix}events"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    producer = Producer(KafkaSettings(bootstrap=bootstrap, topic_prefix=topic_prefix), service="escalation")
    # Of all sizes: small ones share a batch, some fill more than one, and the largest that is allowed stands alone.
    sizes = [100] * 6 + [30_000] * 5 + [100]
    events = [
        Outgoing("events", UUID(int=number).bytes, [("ce_sequence", b"%d" % sequence)], b"x" * size)
        for sequence, size in enumerate(sizes)
        for number in range(COMPLAINTS)
    ]
    events.insert(len(events) // 2, Outgoing("events", UUID(int=1 << 90).bytes, [("ce_sequence", b"0")], b"x" * MAX_EVENT_BYTES))
    try:
        await producer.send(events)
        await producer.send(events[:3])  # what is sent again comes again, and reaches the same partition
    finally:
        await producer.discard()
    read: dict[bytes, list[tuple[bytes, int]]] = {}
    places: dict[bytes, set[int]] = {}
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        for _ in range(len(events) + 3):
            record = await consumer.getone()
            read.setdefault(record.key, []).append((dict(record.headers)["ce_sequence"], len(record.value)))
            places.setdefault(record.key, set()).add(record.partition)
    wanted: dict[bytes, list[tuple[bytes, int]]] = {}
    for event in (*events, *events[:3]):
        wanted.setdefault(event.key, []).append((event.headers[0][1], len(event.value)))
    assert read == wanted
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as plain:
        for key, found in places.items():
            sent = await plain.send_and_wait(topic, b"", key=key)
            assert found == {sent.partition}, "another version of Amends, or another client, would put it elsewhere"
