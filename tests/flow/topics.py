"""All that is in the topics of a deployment, and how long Kafka keeps it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType


def names(bootstrap: str, prefix: str) -> list[str]:
    """The topics that there are, whoever made them."""

    async def ask(admin: Any) -> list[str]:
        return sorted(name for name in await admin.list_topics() if name.startswith(prefix))

    return asyncio.run(_asked(bootstrap, ask))


def settings(bootstrap: str, topics: list[str]) -> dict[str, dict[str, str]]:
    """The settings in force of each topic."""

    async def ask(admin: Any) -> dict[str, dict[str, str]]:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]} for answer in answers for resource in answer.resources
        }

    return asyncio.run(_asked(bootstrap, ask))


def everything(bootstrap: str, topics: list[str]) -> list[Any]:
    """Every record that is in them now."""

    async def read() -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            await consumer._client.force_metadata_update()
            places = [TopicPartition(name, number) for name in topics for number in consumer.partitions_for_topic(name) or ()]
            consumer.assign(places)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(places)
            found: list[Any] = []
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


async def _asked(bootstrap: str, ask: Any) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await ask(admin)
    finally:
        await admin.close()
