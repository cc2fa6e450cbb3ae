"""Kafka as the commands reach it: AMENDS_KAFKA_*, else the local stack's; each failure as one sentence."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from shared.cli import Failed, WrongUse, local

if TYPE_CHECKING:
    from shared.config import KafkaSettings

T = TypeVar("T")


def settings() -> tuple[KafkaSettings, bool]:
    """Where Kafka is, and whether that is the local stack's. Raises WrongUse when nobody says."""
    from shared.config import KafkaSettings, load

    noted = local.read(local.data_dir())
    if "AMENDS_KAFKA_BOOTSTRAP" in os.environ:
        return load(KafkaSettings), False
    if noted:
        return KafkaSettings.model_construct(bootstrap=noted["kafka_bootstrap"]), True
    raise WrongUse("where is Kafka? Set AMENDS_KAFKA_BOOTSTRAP (and what docs/reference/settings.md has besides)")


def answer(kafka: KafkaSettings, work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, which uses Kafka, to its end. Raises Failed with a sentence when Kafka is away or refuses."""
    from aiokafka.errors import KafkaError

    for name in ("aiokafka", "asyncio"):  # they log what is said below in one sentence
        logging.getLogger(name).setLevel(logging.CRITICAL)

    async def run() -> T:
        return await work()

    try:
        return asyncio.run(run())
    except (KafkaError, OSError, TimeoutError) as error:
        raise Failed(f"Kafka does not answer at {kafka.bootstrap} ({type(error).__name__})") from None
