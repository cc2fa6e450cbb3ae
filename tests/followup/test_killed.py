"""A follow-up process that is killed at every step while check-ins are asked and promises reminded of: each customer gets their
question, each owner their reminder, under one id however often it was tried, and the record of it has neither hole nor double."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiosmtpd.smtp import SMTP
from pydantic import TypeAdapter

from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from services.followup.domain import CHECK_IN, FollowUpState
from services.followup.domain.promises import TIMER
from services.followup.domain.state import Later, Person, Planned, Promise
from shared.contracts.codec import decode
from shared.contracts.envelope import Event
from shared.contracts.topics import PARTITIONS
from shared.failpoints import POINTS
from shared.policy.complaint import ComplaintFacts
from tests.followup.conftest import HOOK_SECRET, Post
from tests.harness.cluster import Cluster, fresh_database
from tests.outside.conftest import Web, web  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]
# Not those of intake, nor of what is read from Kafka: nothing comes in here (tests/faults has them).
STEPS = [point for point in POINTS if not point.startswith(("accept.", "consume."))]
SECONDS = 420.0
WAVE = 3
PUT = "insert into complaint_state (complaint_id, revision, sequence, seen, state) values ($1, 1, 2, '{}', $2::text::json)"
DUE = "insert into timer (complaint_id, name, due_at, traceparent) values ($1, $2, now(), '')"
BUSY = "select (select count(*) from timer where due_at <= now()), (select count(*) from outbox), (select count(*) from message)"
# What a dead process had claimed is claimed again later: let that time pass at once.
PASS = "update outbox set send_after = now(); update message set due_at = now()"


class Killed:
    """The service, run again after each death; what its customers and owners have got. `complaints`: their ids, by number."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        # A crash leaves an outbox row: the sweep's step comes right after it.
        order = [step for step in STEPS if step != "sweep.after_claim"]
        order.insert(order.index("relay.before_send") + 1, "sweep.after_claim")
        self.points = [f"{step}=exit@{3 if step.startswith('save.') else 1}" for step in order]
        self.report = folder / "ends"
        self.process = ServiceProcess("followup", environment=environment | {"PYTHONPATH": str(ROOT)}, folder=folder)
        self.process.child.argv = [sys.executable, "-m", "tests.faults.forks", str(self.report), *self.points, "services.followup.app"]
        self.complaints: list[UUID] = []

    def ends(self) -> list[str]:
        return self.report.read_text().splitlines() if self.report.exists() else []

    async def wave(self, conn: asyncpg.Connection[Any]) -> None:
        """Some customers are to be asked, and some promises reminded of, now."""
        for _ in range(WAVE):
            state = TypeAdapter(FollowUpState).dump_json(_waiting(len(self.complaints))).decode()
            self.complaints.append(uuid4())
            async with conn.transaction():
                await conn.execute(PUT, self.complaints[-1], state)
                await conn.execute(DUE, self.complaints[-1], CHECK_IN)
                await conn.execute(DUE, self.complaints[-1], f"{TIMER}p1")


def _waiting(number: int) -> FollowUpState:
    now = datetime.now(UTC)
    facts = ComplaintFacts(
        received_at=now - timedelta(days=7), resolved_at=now - timedelta(days=5), status="resolved", channel="email"
    )
    return FollowUpState(
        facts=facts, check_ins=1, person=Person(emails=(f"c{number}@example.com",), locale="en", zone="UTC"),
        check_in=Planned(number=1, kind="ask", due_at=now, channel="email"), later=(Later("silence", now + timedelta(days=7), ()),),
        promises=(Promise("p1", "callback", f"Call {number}", "UTC", "open", now + timedelta(hours=2), "ben"),),
    )  # fmt: skip


async def test_killed_at_every_step_nothing_is_sent_under_two_ids_and_nothing_forgotten(
    cluster: Cluster, tmp_path: Path, topic_prefix: str, web: Web  # noqa: F811
) -> None:
    post = Post()
    smtp = await asyncio.get_running_loop().create_server(lambda: SMTP(post), "127.0.0.1", 0)
    endpoints = tmp_path / "endpoints.yaml"
    endpoints.write_text(f"webhooks: {{contact-centre: {{url: '{web.url}', secrets: [{HOOK_SECRET}]}}}}\n")
    with fresh_database(cluster) as dsn:
        deployment = Deployment(dsn, cluster.kafka_bootstrap, new_id_key(), own_master_keys(tmp_path), topic_prefix)
        await deployment.prepare()
        told = {
            "AMENDS_DELIVERY_SMTP_HOST": "127.0.0.1", "AMENDS_DELIVERY_SMTP_PORT": str(smtp.sockets[0].getsockname()[1]),
            "AMENDS_DELIVERY_SMTP_TLS": "none", "AMENDS_DELIVERY_MAIL_FROM": "care@example.com",
            "AMENDS_DELIVERY_ENDPOINTS_FILE": str(endpoints), "AMENDS_DELIVERY_ALLOW_NETWORKS": "127.0.0.0/8",
        }  # fmt: skip
        killed = Killed(tmp_path, deployment.environment(**told))
        conn = await asyncpg.connect(dsn, server_settings={"search_path": "followup"})
        try:
            killed.process.start()
            await _until_killed_everywhere(killed, conn)
            await _until_done(killed, conn)
        finally:
            killed.process.stop()
            await conn.close()
            smtp.close()
        events = await _events(cluster, f"{topic_prefix}followups")
    assert killed.ends() == [f"{point} 137" for point in killed.points]
    asked = {f"c{number}@example.com" for number in range(len(killed.complaints))}
    assert {mail["To"] for mail in post.mails} == asked, "everybody was asked"
    assert {to: len(set(found)) for to, found in post.tried.items()} == dict.fromkeys(asked, 1), "under one id each"
    reminders: dict[str, set[str]] = defaultdict(set)
    for _, headers, body in web.requests:
        reminders[json.loads(body)["data"]["what"]].add(headers["webhook-id"])
    assert {what: len(found) for what, found in reminders.items()} == {f"Call {n}": 1 for n in range(len(killed.complaints))}
    assert len(web.requests) + sum(map(len, post.tried.values())) > 2 * len(killed.complaints), "some were tried twice"
    for complaint in killed.complaints:
        types = Counter(event.type.split(".")[2] for event in events[complaint].values())
        assert types == {"check_in_due": 1, "check_in_sent": 1, "promise_due_soon": 1}
        assert sorted(events[complaint]) == [3, 4, 5], "no hole, no number twice"


async def _until_killed_everywhere(killed: Killed, conn: asyncpg.Connection[Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while len(killed.ends()) < len(killed.points):
        assert time.monotonic() < deadline, f"not reached: {killed.points[len(killed.ends()) :]}"
        assert all(end.endswith(" 137") for end in killed.ends()), killed.process.child.log.read_text()[-2000:]
        if (await conn.fetchrow(BUSY))[0] < WAVE:
            await killed.wave(conn)
        await asyncio.sleep(0.2)


async def _until_done(killed: Killed, conn: asyncpg.Connection[Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        await conn.execute(PASS)
        left = await conn.fetchrow(BUSY)
        if not any(left):
            return
        assert time.monotonic() < deadline, f"timers, outbox rows, messages left: {tuple(left)}"
        assert killed.process.child.alive, killed.process.child.log.read_text()[-2000:]
        await asyncio.sleep(0.5)


async def _events(cluster: Cluster, topic: str) -> dict[UUID, dict[int, Event]]:
    """The events of the topic by complaint and number; one that came twice under the same id is one."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.kafka_bootstrap, enable_auto_commit=False)
    await consumer.start()
    found: dict[UUID, dict[int, Event]] = defaultdict(dict)
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    event = decode(record, "followups")
                    assert isinstance(event, Event)
                    before = found[event.subject].setdefault(event.sequence, event)
                    assert before.id == event.id
    finally:
        await consumer.stop()
    return found
