"""Every FastStream and aiokafka setting of a consumer, in one place, each with its reason."""

from __future__ import annotations

import logging
from typing import Any

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.config import KafkaSettings
from shared.contracts.topics import topics_read_by
from shared.telemetry import metrics

_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def make_broker(settings: KafkaSettings, *, service: str) -> KafkaBroker:
    """A broker that only consumes: what a service sends goes through the relay's own producer."""
    return KafkaBroker(
        settings.bootstrap.split(","),
        client_id=f"amends-{service}",
        consumer_only=True,  # FastStream's producer sends keyed batches to one random partition
        allow_auto_create_topics=False,
        request_timeout_ms=10_000,
        graceful_timeout=10.0,
        apply_types=False,  # injected parameters cost a thread hop per record
        security=_security(settings),
        middlewares=(KafkaPrometheusMiddleware(registry=metrics.REGISTRY, app_name=service),),
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,  # two lines per batch otherwise
    )


def make_subscriber(
    broker: KafkaBroker, settings: KafkaSettings, *, service: str, listener: ConsumerRebalanceListener
) -> BatchSubscriber:
    """One batch subscriber for all topics of the service: one consumer, so a complaint's partitions stay together."""
    prefix = settings.topic_prefix
    subscriber: BatchSubscriber = broker.subscriber(
        *(prefix + topic for topic in topics_read_by(service)),
        batch=True,
        max_records=settings.batch_records,
        batch_timeout_ms=10,  # also slept after an empty poll: it is added to the latency of an idle topic
        group_id=f"{prefix}amends-{service}",
        auto_offset_reset="earliest",  # 'latest' would skip what is there when a group is new
        ack_policy=AckPolicy.MANUAL,  # offsets are committed by us, after the save, and only those handled
        # Range gives partition n of every topic to the same replica: events of one complaint meet in one process.
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // 4,
        rebalance_timeout_ms=30_000,
        # What is fetched ahead is kept in memory. A record that is larger comes all the same, alone.
        max_partition_fetch_bytes=524_288,
        fetch_max_bytes=4_194_304,
        # A save of one event costs almost as much as a save of fifty: the broker waits a little for more.
        fetch_min_bytes=262_144,
        fetch_max_wait_ms=50,
        listener=listener,
        parser=_keep_raw,
        decoder=_raw,
    )
    return subscriber


async def _keep_raw(message: Any) -> KafkaMessage:
    # The library's parser raises on headers that are null or not UTF-8 and loses the record; ours reads none.
    return KafkaMessage(
        body=b"", headers={}, raw_message=message, message_id="", correlation_id="", consumer=FAKE_CONSUMER, path={}
    )


async def _raw(message: KafkaMessage) -> Any:
    return message.raw_message


def _security(settings: KafkaSettings) -> BaseSecurity | None:
    if settings.security_protocol == "PLAINTEXT":
        return None
    tls = settings.ssl_context() if settings.security_protocol in ("SSL", "SASL_SSL") else None
    if settings.security_protocol == "SSL":
        return BaseSecurity(ssl_context=tls, use_ssl=True)
    user, password = settings.sasl_credentials()
    return _SASL[settings.sasl_mechanism](username=user, password=password, ssl_context=tls, use_ssl=tls is not None)
