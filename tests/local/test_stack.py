"""The embedded stack as the rest of the tests use it."""

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.harness.cluster import Cluster


async def test_kafka_carries_records(cluster: Cluster, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka_bootstrap)
    await admin.start()
    topic = f"{topic_prefix}records"
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=cluster.kafka_bootstrap)
    await producer.start()
    sent = await producer.send_and_wait(topic, b"x" * 1_000_000)
    await producer.stop()
    assert sent.timestamp_type == 1, "the broker stamps records itself"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=cluster.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert record.value == b"x" * 1_000_000


async def test_each_test_has_a_database_of_its_own(cluster: Cluster, database: str) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
    assert await connection.fetchval("select lower('ÄÖ')") == "äö"
    await connection.close()
    assert database != cluster.postgres_dsn
