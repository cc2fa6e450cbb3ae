"""What the running replicas have told in `policy.status`, and waiting until all of them have done something."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clock import utc_now
from shared.config import KafkaSettings
from shared.contracts.policies import ReplicaStatus
from shared.contracts.topics import POLICY_STATUS
from shared.policy.distribution.records import Records
from shared.policy.distribution.topics import READ_TIMEOUT_S, Reader, TopicsNotRead

# A replica tells of itself every ten seconds: one that has said nothing for so long is not counted as running.
SILENT = timedelta(seconds=35)


@dataclass(frozen=True, slots=True)
class Behind:
    """The running replicas of a service: how many have confirmed, and the keys of those that have not."""

    statuses: tuple[ReplicaStatus, ...]
    confirmed: int
    waiting: tuple[str, ...]


def running(records: Records, now: datetime, service: str | None = None) -> list[ReplicaStatus]:
    """Those that have told of themselves lately, by key."""
    found = (s for s in records.statuses.values() if now - s.at < SILENT and service in (None, s.service))
    return sorted(found, key=lambda status: status.key)


async def await_replicas(
    kafka: KafkaSettings, service: str, done: Callable[[ReplicaStatus], bool], within_s: float
) -> Behind:
    """Wait until `done` holds for every running replica of the service, or the time is over. Raises TopicsNotRead."""
    records, began = Records(), time.monotonic()
    async with Reader(kafka, [POLICY_STATUS]) as reader:
        while True:
            for record in await reader.poll():
                records.add(*record)
            passed = time.monotonic() - began
            if reader.ended_at is None:
                if passed > READ_TIMEOUT_S:
                    raise TopicsNotRead(f"the topic {POLICY_STATUS} cannot be read; is it there? amends topics create")
                continue
            live = running(records, utc_now(), service)
            waiting = tuple(status.key for status in live if not done(status))
            if not waiting or passed > within_s:
                return Behind(tuple(live), len(live) - len(waiting), waiting)
