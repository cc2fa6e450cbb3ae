"""Creates the topics of FLOWS and TABLES with the settings that the contracts ask for."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.config import KafkaSettings
from shared.contracts.topics import FLOWS, PARTITIONS, RETENTION_MS, SEGMENT_MS, TABLES, Table
from shared.errors import AmendsError


class TopicsNotCreated(AmendsError):
    """Kafka refused to create a topic. The message says which, and its reason."""


async def create_topics(kafka: KafkaSettings, *, replication: int = 1) -> list[str]:
    """Create the topics that are not there yet; returns their names, with the deployment's prefix."""
    prefix = kafka.topic_prefix
    topics = [_new(prefix + flow.topic, replication) for flow in FLOWS]
    topics += [_table(prefix + table.topic, table, replication) for table in TABLES]
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **kafka.client_options())
    try:
        await admin.start()
        answer = await admin.create_topics(topics)
    finally:
        await admin.close()
    return _created(answer.topic_errors)


async def kept_too_long(kafka: KafkaSettings) -> list[str]:
    """What is wrong with topics that were there already: those that keep what customers said for longer than is promised."""
    names = [ConfigResource(ConfigResourceType.TOPIC, kafka.topic_prefix + flow.topic) for flow in FLOWS]
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **kafka.client_options())
    try:
        await admin.start()
        answers = await admin.describe_configs(names)
    finally:
        await admin.close()
    found = []
    for _, _, _, name, entries in sorted(resource for answer in answers for resource in answer.resources):
        settings = {entry[0]: entry[1] for entry in entries}
        for setting, wanted in (("cleanup.policy", "delete"), ("retention.ms", str(RETENTION_MS))):
            value = settings.get(setting, wanted)
            if value != wanted and not (value.isdigit() and 0 < int(value) <= RETENTION_MS):
                found.append(f"{name}: {setting} is {value}; set it to {wanted}, or erased complaints stay in it")
    return found


def _new(name: str, replication: int) -> NewTopic:
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_MS),
        "segment.ms": str(SEGMENT_MS),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(2 * 1024 * 1024),
        # One broker may be down while others still acknowledge.
        "min.insync.replicas": str(max(1, replication - 1)),
    }
    return NewTopic(name, PARTITIONS, replication, topic_configs=settings)


def _table(name: str, table: Table, replication: int) -> NewTopic:
    kept = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in table.settings.items()}
    settings = kept | {
        "max.message.bytes": str(2 * 1024 * 1024),
        "min.insync.replicas": str(max(1, replication - 1)),
    }
    return NewTopic(name, 1, replication, topic_configs=settings)  # one partition: one order for all


def _created(errors: Sequence[Sequence[object]]) -> list[str]:
    created = []
    for name, code, *detail in errors:
        if code == 0:
            created.append(str(name))
        elif code != TopicAlreadyExistsError.errno:
            reason = detail[0] if detail and detail[0] else for_code(code).__name__
            raise TopicsNotCreated(f"Kafka did not create the topic {name}: {reason}")
    return created
