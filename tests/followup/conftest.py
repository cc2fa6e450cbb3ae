"""Follow-up in this process on a real PostgreSQL whose clock the test moves, with a real SMTP server and its HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from aiosmtpd.smtp import SMTP, Envelope
from pydantic import TypeAdapter

from deploy.local.readiness import free_port, run_coroutine
from services.followup import api, customer_page, drafts, drafts_api, hooks, store
from services.followup.domain import FollowUpState
from services.followup.handlers import SERVICE, Handlers
from services.followup.letters import Letters
from services.followup.links import Links
from services.followup.words import Templates
from shared.contracts.codec import decode, encode_headers, write_data
from shared.contracts.envelope import EventData
from shared.delivery import sender as sending
from shared.delivery.email import Email
from shared.delivery.sender import Sender
from shared.delivery.settings import DeliverySettings
from shared.http.app import make_app
from shared.http.keys import Authenticator, KeyRecord, mint
from shared.http.scopes import SCOPES
from shared.http.server import Server
from shared.policy.distribution.line import Fixed
from shared.postgres import timers as timing
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Saves
from shared.postgres.timers import Timers
from shared.telemetry.health import Progress
from tests.delivery.parts import ID_KEY, ListSender, MemoryKafka, Record, end_tasks
from tests.domain.examples import policy
from tests.harness.browser import chromium  # noqa: F401 - a fixture
from tests.harness.cluster import Cluster, fresh_database

CLOCK = """
create table followup.test_clock (ahead interval not null);
insert into followup.test_clock values ('0');
create or replace function followup.app_now() returns timestamptz language sql stable
as 'select now() + (select ahead from followup.test_clock)'
"""
WAIT_S = 30.0
HOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Post:
    """A real SMTP server. `answer` is said to the next mails instead of taking them; mails to `hangs` are never answered.

    `mails` are those that it took, `tried` the Message-IDs of all that came, by recipient.
    """

    mails: list[EmailMessage] = field(default_factory=list)
    tried: dict[str, list[str]] = field(default_factory=dict)
    answer: str | None = None
    hangs: str = ""
    drop: bool = False
    port: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        mail: EmailMessage = message_from_bytes(bytes(envelope.content or b""), policy=default)  # type: ignore[assignment,arg-type]
        self.tried.setdefault(envelope.rcpt_tos[0], []).append(mail["Message-ID"])
        if self.hangs in envelope.rcpt_tos:
            await asyncio.sleep(3600)
        if self.answer is not None:
            return self.answer
        self.mails.append(mail)
        if self.drop:  # it has the mail, and the connection breaks before it says so
            server.transport.abort()
        return "250 taken"


@dataclass
class Desk:
    """The service of one test."""

    pool: Pool
    handlers: Handlers
    relay: Relay
    kafka: MemoryKafka
    post: Post
    http: httpx2.AsyncClient
    url: str
    links: Links
    replica: Callable[[], tuple[Timers, Sender]]
    powerless: str
    sequences: dict[tuple[UUID, str], int] = field(default_factory=dict)

    async def now(self) -> datetime:
        async with self.pool.acquire() as conn:
            found: datetime = await conn.fetchval("select app_now()")
            return found

    async def tell(self, subject: UUID, service: str, data: EventData, at: datetime | None = None) -> None:
        """An event of another service, as the consumer hands it on."""
        sequence = self.sequences[subject, service] = self.sequences.get((subject, service), 0) + 1
        headers = encode_headers(
            event_id=uuid4(), event_type=data.TYPE, service=service, subject=subject, sequence=sequence,
            time=at or await self.now(), causation_id="", correlation_id="", traceparent="",
        )  # fmt: skip
        record = Record("complaints", 0, 0, subject.bytes, write_data(data), headers)
        event: Any = decode(record, "complaints")
        await self.handlers.handle_batch([event])

    async def state(self, subject: UUID) -> FollowUpState:
        async with self.pool.acquire() as conn:
            found = await store.find(conn, subject)  # type: ignore[arg-type]
        assert found is not None
        assert found.state is not None
        return found.state

    async def advance(self, **span: float) -> None:
        async with self.pool.acquire() as conn:
            await conn.execute("update test_clock set ahead = ahead + $1", timedelta(**span))

    def events(self) -> list[str]:
        """The names of what was emitted, in order."""
        records = self.kafka.topics.get("followups", [])
        return [dict(record.headers)["ce_type"].decode().split(".")[2] for record in records]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition (plain or async) holds."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            assert time.monotonic() < deadline, f"it did not come to that; events: {self.events()}"
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def followup_database(cluster: Cluster) -> Iterator[str]:
    with fresh_database(cluster) as dsn:
        run_coroutine(migrate(dsn, SERVICE))
        run_coroutine(_execute(dsn, CLOCK))
        yield dsn


async def _execute(dsn: str, sql: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(sql)
    finally:
        await conn.close()


@pytest.fixture
async def desk(followup_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(sending, "LONGEST_SLEEP_S", 0.05)
    monkeypatch.setattr(timing, "LONGEST_SLEEP_S", 0.05)
    pool = await make_pool(followup_database, service=SERVICE)
    async with pool.acquire() as conn:
        tables = "complaint_state, held, outbox, timer, dead_letter, command, message, endpoint, promise, task, outcome, customer_case"
        await conn.execute(f"truncate {tables}; update test_clock set ahead = '0'")
    kafka, post = MemoryKafka(), Post()
    smtp = await asyncio.get_running_loop().create_server(lambda: SMTP(post), "127.0.0.1", 0)
    post.port = smtp.sockets[0].getsockname()[1]
    settings = DeliverySettings.model_validate(
        {"smtp_host": "127.0.0.1", "smtp_port": post.port, "smtp_tls": "none", "mail_from": "Care <care@example.com>"}
    )
    links, port = Links([bytes(32)], timedelta(days=30)), free_port()
    words = Templates()
    letters = Letters(words, words, links, f"http://127.0.0.1:{port}", "Customer care")
    policies: Any = Fixed(policy(SERVICE), others=[drafts.default_rules()])
    handlers = Handlers(policies, letters, ID_KEY)
    relay = Relay(service=SERVICE, pool=pool, sender=ListSender(kafka), progress=Progress())
    adapter = TypeAdapter(FollowUpState)
    handlers.saves = Saves(
        service=SERVICE, pool=pool, relay=relay, id_key=ID_KEY, read=adapter.validate_json,
        write=lambda value: adapter.dump_json(value).decode(), decide=handlers.decide, also=store.lists(ID_KEY),
    )  # fmt: skip
    key, record = mint("agent", SCOPES[SERVICE])
    powerless, other = mint("probe", ["ops"])

    async def load() -> list[KeyRecord]:
        return [record, other]

    app = make_app("Amends follow-up", service=SERVICE, progress=Progress())
    keys = Authenticator(load, refresh_s=600.0)
    app.include_router(api.routes(pool, keys, handlers, letters, policies))
    app.include_router(drafts_api.routes(keys, policies))
    app.include_router(hooks.routes(handlers.saves, [HOOK_SECRET], api.answer_of))
    app.include_router(customer_page.routes(pool, handlers.saves, links, "Customer care"))
    server = Server(app, "127.0.0.1", port)
    await server.start()

    def replica() -> tuple[Timers, Sender]:
        timers = Timers(service=SERVICE, pool=pool, saves=handlers.saves, progress=Progress())
        routes = {"email": Email(settings, ID_KEY)}
        sender = Sender(
            service=SERVICE, pool=pool, saves=handlers.saves, progress=Progress(), routes=routes, settings=settings
        )
        return timers, sender

    try:
        async with httpx2.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=20) as http:
            yield Desk(pool, handlers, relay, kafka, post, http, server.url, links, replica, powerless)
    finally:
        await server.stop(1.0)
        smtp.close()
        await end_tasks()
        pool.terminate()


async def _ended(tasks: list[asyncio.Future[None]]) -> None:
    """Cancel until they are gone: one that is about to finish a wait may take a second word."""
    pending = set(tasks)
    for _ in range(30):
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)
        if not pending:
            return
    raise AssertionError(f"a loop does not end: {pending}")


@contextlib.asynccontextmanager
async def working(desk: Desk, replicas: int = 1) -> AsyncIterator[None]:
    """Relay, timers and sender run; the latter two as in so many processes."""
    loops = [desk.relay.run, desk.relay.sweep]
    for _ in range(replicas):
        timers, sender = desk.replica()
        loops += [timers.run, sender.run]
    tasks = [asyncio.ensure_future(loop()) for loop in loops]
    try:
        yield
    finally:
        await _ended(tasks)
