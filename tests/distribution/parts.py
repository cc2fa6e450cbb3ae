"""Versions, activations and replicas for tests of policy distribution."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from deploy.topics import create_topics
from shared.config import KafkaSettings
from shared.contracts.policies import EVER, Activation, VersionPublished
from shared.policy.distribution import actions, topics
from shared.policy.distribution.actions import Request
from shared.policy.distribution.packaged import packaged as packaged_document
from shared.policy.distribution.records import Records
from shared.policy.distribution.replica import Replica
from shared.policy.distribution.versions import kind_of, load_version, published_beside
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.postgres.pool import Pool
from shared.telemetry.health import Progress

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SERVICE = "escalation"
DOCUMENT = """\
apiVersion: complaints.policy/v1
kind: {kind}
metadata: {{id: {id}, version: {version}, owner: tests, reason: a test}}
spec:
  language: cel-subset/1
  facts: complaint-facts/4
  hit_policy: COLLECT
  rules:
    - {{id: R-1, when: complaint.severity >= {severity}, then: {{tier: {tier}}}}}
  default: {{tier: 1}}
  tests:
    - {{name: severe, given: {{complaint: {{severity: 5}}}}, expect: {{tier: {tier}, rules: [R-1]}}}}
{rest}"""


# The other kinds that are distributed: at which service, and a document of each. Reading rules name `HOUSE`.
OTHERS: dict[str, tuple[str, str]] = {
    "IntakePolicy": ("intake", """\
apiVersion: complaints.policy/v1
kind: IntakePolicy
metadata: {{id: test.intake, version: {version}, owner: tests, reason: a test}}
spec:
  language: cel-subset/1
  facts: intake-facts/1
  hit_policy: COLLECT
  rules:
    - {{id: R-1, when: complaint.issues >= 3, then: {{severity: 3}}}}
  default: {{severity: 1}}
"""),
    "ReadingRules": ("intake", """\
apiVersion: complaints.policy/v1
kind: ReadingRules
metadata: {{id: test.reading, version: {version}, owner: tests, reason: a test}}
spec:
  lexicons: {{en: [house.yaml]}}
  fallback_language: en
  categories: {{billing: 1.0}}
"""),
    "RecordsPolicy": ("records", """\
apiVersion: complaints.policy/v1
kind: RecordsPolicy
metadata: {{id: test.records, version: {version}, owner: tests, reason: a test}}
spec:
  language: cel-subset/1
  facts: records-facts/1
  hit_policy: FIRST
  rules:
    - {{id: R-1, when: complaint.severity >= 3, then: {{retain_for: 20d}}}}
  default: {{retain_for: 10d}}
"""),
}  # fmt: skip
HOUSE = {"house.yaml": "labels: {threat.press: the gazette}\n"}


def text_of(kind: str, version: int) -> str:
    """A document of any kind."""
    return document(version) if kind == "EscalationPolicy" else OTHERS[kind][1].format(version=version)


def document(version: int, *, id: str = "test.policy", tier: int = 2, severity: int = 5, rest: str = "") -> str:
    """A document whose one rule gives `tier` from that severity on."""
    return DOCUMENT.format(kind="EscalationPolicy", id=id, version=version, tier=tier, severity=severity, rest=rest)


@cache
def policy(version: int, id: str = "test.policy", tier: int = 2) -> Policy:
    return load_policy(document(version, id=id, tier=tier), origin="test")


def version(number: int, id: str = "test.policy", tier: int = 2) -> VersionPublished:
    """A published version of `document`."""
    text, loaded = document(number, id=id, tier=tier), policy(number, id, tier)
    return VersionPublished(
        policy=id, version=number, digest=loaded.digest, kind=loaded.kind, service=SERVICE, text=text, by="tests", published_at=NOW
    )  # fmt: skip


def activation(seq: int, number: int, at: datetime = EVER, **more: Any) -> Activation:
    """Activation `seq` of version `number`."""
    of = version(number, **({"id": more.pop("id")} if "id" in more else {}))
    fields = {
        "service": SERVICE, "kind": of.kind, "seq": seq, "policy": of.policy, "version": number, "digest": of.digest,
        "effective_from": at, "by": ("tests",), "reason": "a test", "decided_at": NOW,
    }  # fmt: skip
    return Activation.model_validate(fields | more)


def records(*given: VersionPublished | Activation) -> Records:
    """What the topics hold after these."""
    held = Records()
    for each in given:
        topic = "policy.versions" if isinstance(each, VersionPublished) else "policy.activations"
        held.add(topic, each.key, each.model_dump_json(exclude_none=True).encode())
    return held


async def kafka_with_topics(bootstrap: str) -> KafkaSettings:
    """Topics of their own."""
    settings = KafkaSettings.model_construct(bootstrap=bootstrap, topic_prefix=f"policy-{secrets.token_hex(4)}-")
    await create_topics(settings)
    return settings


def replica(kafka: KafkaSettings, pool: Pool, packaged: str | None = None, progress: Progress | None = None) -> Replica:
    return Replica(
        service=SERVICE, packaged=[packaged_document(packaged or document(1), origin="packaged.yaml")], kafka=kafka,
        pool=pool, progress=progress or Progress(),
    )  # fmt: skip


@asynccontextmanager
async def running(*replicas: Replica) -> AsyncIterator[Sequence[Replica]]:
    """Inside, these processes' loops run; afterwards they are gone as after a kill."""
    tasks = [asyncio.ensure_future(each.run()) for each in replicas]
    try:
        yield replicas
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> float:
    """Wait for it; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "not within the deadline"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def publish(kafka: KafkaSettings, text: str) -> VersionPublished:
    """As `amends policy publish` does."""
    parts = HOUSE if kind_of(text) == "ReadingRules" else {}
    loaded = load_version(text, origin="test", beside=published_beside(parts, "test"))
    await topics.write(
        kafka, loaded.service, lambda r: actions.publish(r, loaded, text, "tests", datetime.now(UTC), parts)
    )
    return actions.published(await topics.read_all(kafka), loaded.id, loaded.version)


async def activate(kafka: KafkaSettings, of: VersionPublished, after: timedelta = timedelta(0)) -> Activation:
    """As `amends policy activate --in-the-past --at` does, so that a test need not wait."""
    at = datetime.now(UTC) + after
    request = Request("tests", "a test", at, in_the_past=True)
    written = await topics.write(kafka, SERVICE, lambda r: actions.activate(r, of, 1, request, datetime.now(UTC)))
    assert isinstance(written[0], Activation)
    return written[0]
