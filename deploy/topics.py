"""Creates the topics of FLOWS with the settings that the contracts ask for."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.config import KafkaSettings
from shared.contracts.topics import FLOWS, PARTITIONS, RETENTION_MS, SEGMENT_MS
from shared.errors import AmendsError


class TopicsNotCreated(AmendsError):
    """Kafka refused to create a topic. The message says which, and its reason."""


async def create_topics(kafka: KafkaSettings, *, replication: int = 1) -> list[str]:
    """Create the topics that are not there yet; returns their names, with the deployment's prefix."""
    names = [kafka.topic_prefix + flow.topic for flow in FLOWS]
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **kafka.client_options())
    try:
        await admin.start()
        answer = await admin.create_topics([_new(name, replication) for name in names])
    finally:
        await admin.close()
    return _created(answer.topic_errors)


def _new(name: str, replication: int) -> NewTopic:
    settings = {
        "retention.ms": str(RETENTION_MS),
        "segment.ms": str(SEGMENT_MS),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(2 * 1024 * 1024),
        # One broker may be down while others still acknowledge.
        "min.insync.replicas": str(max(1, replication - 1)),
    }
    return NewTopic(name, PARTITIONS, replication, topic_configs=settings)


def _created(errors: Sequence[Sequence[object]]) -> list[str]:
    created = []
    for name, code, *detail in errors:
        if code == 0:
            created.append(str(name))
        elif code != TopicAlreadyExistsError.errno:
            reason = detail[0] if detail and detail[0] else for_code(code).__name__
            raise TopicsNotCreated(f"Kafka did not create the topic {name}: {reason}")
    return created
