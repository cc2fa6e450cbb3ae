"""A service's side of the policy topics: follows them, compiles what it may have to run, and says what is in force.

Decisions never wait for Kafka: they read one immutable snapshot (`Line`), swapped when something new was compiled aside.
What makes it right is time: a person's activation takes effect MIN_LEAD_S after it is written at the earliest, and a batch
of events is decided only by a process that has seen the end of the topics in the last FRESH_S. So whatever was in force at
the event's time was known. A process that cannot reach the topics goes on with what it has and says so in each decision.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from shared.clock import utc_now
from shared.config import KafkaSettings
from shared.contracts.policies import Activation, Rejected, ReplicaStatus, VersionPublished
from shared.contracts.topics import POLICY_ACTIVATIONS, POLICY_VERSIONS
from shared.errors import NotReady
from shared.policy.distribution import store, topics
from shared.policy.distribution.line import Line, V, Versioned, line, standing, version_of
from shared.policy.distribution.packaged import Packaged, packaged_activation
from shared.policy.distribution.records import Records
from shared.policy.distribution.reports import Reports
from shared.policy.distribution.shadow import Shadows
from shared.policy.distribution.versions import load_version, published_beside
from shared.policy.evaluate import Policy
from shared.policy.problems import PolicyRefused
from shared.postgres.pool import Pool
from shared.telemetry import metrics
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

FRESH_S = 4.0
MIN_LEAD_S = 10.0
WAIT_S = 10.0
RETRY_S = 1.0


class Replica:
    """The policies of one process of one service. `packaged` are the documents that come with it, its policy first.

    `waits`: the process is ready to work without knowing what is in force, and waits where it needs to.
    """

    def __init__(
        self, *, service: str, packaged: Sequence[Packaged], kafka: KafkaSettings, pool: Pool, progress: Progress,
        waits: bool = False,
    ) -> None:  # fmt: skip
        self._service = service
        self._packaged = tuple(packaged)
        first, *others = (each.document for each in packaged)
        if not isinstance(first, Policy):
            raise TypeError("the first document of a service is its policy")
        self._policy, self._others = first, tuple(others)
        self._kafka = kafka
        self._pool = pool
        self._records = Records()
        self._compiled: dict[tuple[str, int, str], Versioned | Rejected] = {}
        self._shadows = Shadows(service)
        self._line: Line | None = None
        self._restored = False
        self._waited = self._recorded = False
        self._ended_at: float | None = None
        self._waiting_since: float | None = None
        self._told = False
        self._swapping = asyncio.Lock()
        self._unsaved: list[tuple[str, str, bytes]] = []
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._started_at = utc_now()
        self._reports = Reports(kafka, self.status)
        if not waits:
            progress.require("policy", self._check)

    # --- what handlers ask

    def in_force(self, at: datetime, now: datetime, complaint: UUID | None = None) -> Policy:
        """See `line.Policies`."""
        if self._line is None:
            raise NotReady("no policy is known yet: neither Kafka nor PostgreSQL has answered")
        return self._line.in_force(at, now, complaint, lag=not self.fresh)

    def packs(self, at: datetime, now: datetime, complaint: UUID | None = None) -> tuple[Policy, ...]:
        """See `line.Policies`."""
        if self._line is None:
            raise NotReady("no policy is known yet: neither Kafka nor PostgreSQL has answered")
        return self._line.packs_in_force(at, now, complaint, lag=not self.fresh)

    def other(self, kind: type[V], at: datetime, now: datetime, complaint: UUID | None = None) -> V:
        """See `line.Policies`."""
        if self._line is None:
            raise NotReady("no policy is known yet: neither Kafka nor PostgreSQL has answered")
        wanted = next(each.kind for each in self._others if isinstance(each, kind))
        found = self._line.other_in_force(wanted, at, now, complaint, lag=not self.fresh)
        assert isinstance(found, kind)
        return found

    async def caught_up(self) -> None:
        """See `line.Policies`. After WAIT_S it goes on with what is known; then decisions are marked `policy_lag`.

        It waits so long once, not for each batch: what comes after goes on at once until the topics are there again.
        """
        if self.fresh:
            return
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        deadline = self._waiting_since + WAIT_S
        while not self.fresh:
            # Whoever has never read the topics, now or in an earlier life, cannot know what is in force.
            if time.monotonic() > deadline and self._line is not None and (self._ended_at or self._restored):
                if not self._told:  # once, not for each batch: each decision is marked
                    log.warning("deciding without the end of the policy topics", service=self._service)
                self._told = True
                return
            await asyncio.sleep(0.05)

    @property
    def fresh(self) -> bool:
        """The end of both topics was seen, and what they hold taken in, in the last FRESH_S."""
        return self._ended_at is not None and time.monotonic() - self._ended_at < FRESH_S

    # --- the loop

    async def run(self) -> None:
        """Restore what was kept, follow the topics, report; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._restore())
            group.create_task(self._follow())
            group.create_task(self._reports.run())

    async def _restore(self) -> None:
        while self._ended_at is None:
            try:
                kept = await store.load(self._pool)
            except Exception as error:
                log.warning(
                    "cannot read the policies kept in PostgreSQL", service=self._service, error=type(error).__name__
                )
                await asyncio.sleep(RETRY_S)
                continue
            if self._ended_at is None:
                for topic, key, value in kept:
                    if self._newer(topic, key):
                        self._records.add(topic, key, value)
                self._restored = bool(kept)
                await self._swap()
            return

    def _newer(self, topic: str, key: str) -> bool:
        """What Kafka has told already is not overwritten by what was kept."""
        if topic == POLICY_VERSIONS:
            return key not in self._records.versions
        return all(a.key != key for a in self._records.of_service(self._service))

    async def _follow(self) -> None:
        while True:
            try:
                async with topics.Reader(self._kafka, (POLICY_VERSIONS, POLICY_ACTIVATIONS)) as reader:
                    while True:
                        await self._take_in(await reader.poll(), reader.ended_at)
                        await self._load_one()
                        if not self._recorded and self._ended_at is not None:
                            self._recorded = await self._record_packaged()
            except Exception as error:
                log.warning("cannot follow the policy topics", service=self._service, error=type(error).__name__)
            await asyncio.sleep(RETRY_S)

    async def _take_in(self, records: Sequence[tuple[str, str, bytes | None]], ended_at: float | None) -> None:
        for topic, key, value in records:
            record = self._records.add(topic, key, value)
            if record is None and value is not None:
                # Written by a later Amends, or by hand.
                log.error("a policy record cannot be read", service=self._service, topic=topic, key=key)
            if (
                value is not None
                and isinstance(record, VersionPublished | Activation)
                and record.service == self._service
            ):
                self._unsaved.append((topic, key, value))
        if self._unsaved:
            await self._keep()
        first = self._ended_at is None and ended_at is not None
        if first or records:
            await self._swap()
        if ended_at is not None:
            self._ended_at = ended_at  # after the swap: fresh means that it counts already
        if self.fresh:
            self._waiting_since, self._told = None, False
        metrics.POLICY_FRESH.labels(self._service).set(self.fresh)

    async def _keep(self) -> None:
        try:
            await store.save(self._pool, self._unsaved)
            self._unsaved.clear()
        except Exception as error:
            log.warning(
                "policies not kept in PostgreSQL, trying again", service=self._service, error=type(error).__name__
            )

    async def _swap(self) -> None:
        """Compile what is new aside (in a thread: a large document takes a while), then exchange the snapshot.

        One at a time: what is restored may compile for longer than what Kafka tells meanwhile, and is not the last word.
        """
        async with self._swapping:
            activations = self._records.of_service(self._service)
            for key in {version_of(a) for a in standing(activations) if a.mode != "ended"}:
                published = self._records.versions.get(f"{key[0]}/{key[1]}")
                if published is not None and published.digest == key[2]:
                    await self._load(published)
            runnable = {key: found for key, found in self._compiled.items() if not isinstance(found, Rejected)}
            self._line = line(self._policy, runnable, activations, self._shadows.notice, self._others)
            self._reports.changed()

    async def _load_one(self) -> None:
        """Compile one version that is published and not in force: it may be activated next. The newest first."""
        if self._ended_at is None:
            return
        for published in sorted(self._records.versions.values(), key=lambda v: v.published_at, reverse=True):
            if published.service == self._service and await self._load(published):
                self._reports.changed()
                return

    async def _load(self, published: VersionPublished) -> bool:
        """Compile a version aside, once; whether that was still to do."""
        key = (published.policy, published.version, published.digest)
        if key in self._compiled:
            return False
        with _yielding():
            self._compiled[key] = await asyncio.to_thread(self._compile, published)
        metrics.POLICY_REJECTED.labels(self._service).set(sum(isinstance(p, Rejected) for p in self._compiled.values()))
        return True

    def _compile(self, record: VersionPublished) -> Versioned | Rejected:
        for own in (each.document for each in self._packaged):
            if (own.id, own.version, own.digest) == (record.policy, record.version, record.digest):
                return own
        try:
            policy = load_version(record.text, origin=record.key, beside=published_beside(record.parts, record.key))
        except PolicyRefused as refused:
            reason = f"line {refused.problems[0].line}: {refused.problems[0].message}"
        except Exception as error:  # a document that this version of Amends cannot even read
            reason = type(error).__name__
        else:
            if (policy.digest, policy.service, policy.kind) == (record.digest, self._service, record.kind):
                return policy
            reason = "its content is not what its digest, service and kind say"
        log.error("policy rejected", service=self._service, policy=record.policy, version=record.version, reason=reason)
        return Rejected(policy=record.policy, version=record.version, reason=reason)

    async def _record_packaged(self) -> bool:
        """The service's own defaults become activations like any other, once; True when that is settled."""
        missing = [each for each in self._packaged if packaged_activation(each, self._records)]
        if not missing:
            return True
        if not self._waited:  # of replicas that start together one writes, and the others see it
            self._waited = True
            await asyncio.sleep(random.uniform(0.0, 0.5))  # noqa: S311 - jitter, not a secret
            return False
        try:
            for each in missing:
                await topics.write(self._kafka, self._service, partial(packaged_activation, each))
        except Exception as error:
            log.warning("packaged policy not recorded, trying again", service=self._service, error=type(error).__name__)
            return False
        return True

    # --- what it tells

    async def _check(self) -> str | None:
        if self._line is None or not (self._ended_at or self._restored):
            return "the policy topics were not read to their end yet (are they there? amends topics create)"
        now = utc_now()
        missing, policy = self._line.not_runnable(now), self._line.in_force(now, now, lag=False)
        if missing:
            return f"in force and cannot be run here: {', '.join(missing)}; deciding by {policy.id} version {policy.version}"
        return None

    def status(self) -> ReplicaStatus | None:
        """What this process runs now; None while it does not know."""
        if self._line is None:
            return None
        now = utc_now()
        policy = self._line.in_force(now, now, lag=False)
        metrics.POLICY_VERSION.labels(self._service, policy.id).set(policy.version)
        return ReplicaStatus(
            service=self._service, replica=self.name, at=now, started_at=self._started_at, policy=policy.id,
            version=policy.version, digest=policy.digest, activation=policy.activation, fresh=self.fresh,
            packs=tuple(f"{each.id}/{each.version}" for each in self._beside(self._line, now)),
            canaries=tuple(self._line.canaries(now)),
            known=max((a.seq for a in self._records.of_service(self._service)), default=0),
            loaded={f"{p.id}/{p.version}": p.digest for p in self._compiled.values() if not isinstance(p, Rejected)},
            rejected=tuple(p for p in self._compiled.values() if isinstance(p, Rejected)), shadows=self._shadows.figures(),
        )  # fmt: skip


    def _beside(self, known: Line, now: datetime) -> Iterator[Versioned]:
        """What is in force besides the service's policy: its packs, and documents of other kinds."""
        yield from known.packs_in_force(now, now, lag=False)
        for each in self._others:
            yield known.other_in_force(each.kind, now, now, lag=False)


@contextlib.contextmanager
def _yielding() -> Iterator[None]:
    """A thread that compiles gives way to the event loop after a fraction of a millisecond instead of five."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
