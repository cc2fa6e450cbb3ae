"""Parts for the tests of the delivery protocol: schemas with fast time, Kafka as lists, and the smallest of services.

The protocol itself (Saves, Fold, Relay, Timers, commands) is the real one on a real PostgreSQL.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from shared import failpoints
from shared.contracts.codec import decode, read_data
from shared.contracts.decision import Decision, Due, Refused, Settled, Timer
from shared.contracts.envelope import EventData
from shared.postgres.fold import Decide, from_record
from shared.postgres.inputs import Input, Outgoing, Work
from shared.postgres.migrate import migrations_of
from shared.postgres.pool import Connection, Pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Also, Saves
from shared.postgres.timers import Timers
from shared.telemetry.health import Progress

ID_KEY = bytes(range(32))
READS = {"intake": (), "escalation": ("complaints",), "records": ("complaints", "escalations")}
SERVICES = ("intake", "escalation", "records")
TABLES = "complaint_state, held, outbox, timer, dead_letter, command, message, endpoint, notified"
# Time passes this many times faster, so that the outbox's seconds and a timer's minutes fit into a test.
FAST_NOW = """
create or replace function {service}.app_now() returns timestamptz language sql stable parallel safe as
$$ select timestamptz '2031-05-05 09:00+00' + (now() - timestamptz '{start}') * {speed} $$
"""


class Crash(BaseException):
    """The process ends here. No `except Exception` may notice it."""


class Noted(EventData):
    """The only event of these tests."""

    TYPE: ClassVar[str] = "amends.test.noted.v1"
    token: str


class Note(BaseModel):
    """The only command of these tests."""

    model_config = ConfigDict(frozen=True)
    token: str


class State(BaseModel):
    """Everything that a service did about a complaint, in order; each timer by what became of it."""

    model_config = ConfigDict(frozen=True)
    log: tuple[tuple[str, str], ...] = ()
    emitted: tuple[str, ...] = ()
    timers: dict[str, str] = {}


@dataclass
class Faulty:
    """Which poison is active: tokens with `!decide` or `!sql` and the service's name fail while `on`."""

    on: bool = True

    def hits(self, kind: str, service: str, token: str) -> bool:
        return self.on and f"!{kind}:{service}" in token


@dataclass
class MemoryKafka:
    """Topics as lists of records."""

    topics: dict[str, list[Record]] = field(default_factory=dict)

    def append(self, topic: str, key: bytes | None, headers: list[tuple[str, bytes]], value: bytes | None) -> None:
        log = self.topics.setdefault(topic, [])
        log.append(Record(topic, 0, len(log), key, value, headers))

    def length(self, topic: str) -> int:
        return len(self.topics.get(topic, ()))

    def read(self, topic: str, position: int, most: int) -> list[Input]:
        """A batch as the consumer would hand it on."""
        return [from_record(decode(record, topic)) for record in self.topics.get(topic, [])[position : position + most]]


@dataclass(frozen=True)
class Record:
    """The part of a Kafka record that the codec reads."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class ListSender:
    """Behind the relay: appends to the lists, in order, once."""

    def __init__(self, kafka: MemoryKafka) -> None:
        self._kafka = kafka

    async def send(self, events: Sequence[Outgoing]) -> None:
        middle = len(events) // 2
        for number, event in enumerate(events):
            if number == middle:
                await failpoints.reach("relay.mid_send")
            self._kafka.append(event.topic, event.key, event.headers, event.value)

    async def discard(self) -> None:
        pass


def decide_for(service: str, faulty: Faulty) -> Decide[State]:
    """A domain that remembers all it handles; intake passes everything on, escalation answers and sets timers."""

    def decide(state: State | None, item: Input, now: datetime) -> Decision[State] | Refused:
        before = state or State()
        source, token = token_of(item)
        if "refuse" in token and item.kind == "command":
            return Refused(409, "Refused", "A command that is always refused.")
        if faulty.hits("decide", service, token):
            raise ValueError(token)
        log = (*before.log, (source, token))
        after, number = dict(before.timers), len(log)
        set_now: tuple[Timer, ...] = ()
        cancel: tuple[str, ...] = ()
        if item.kind == "timer":
            if after.get(token) != "open":
                raise LookupError("a timer fired that is not set")
            after[token] = "fired"
        elif service == "escalation":
            still_open = [name for name, what in after.items() if what == "open"]
            if number % 3 == 0:
                poison = {0: "!decide:escalation", 1: "!sql:escalation"}.get(number % 7, "")
                set_now = (Timer(f"t{number}{poison}", now + timedelta(seconds=number % 5)),)
                after[set_now[0].name] = "open"
            elif number % 5 == 0 and still_open:
                cancel = (still_open[0],)
                after[still_open[0]] = "cancelled"
            elif number % 7 == 0 and still_open:
                set_now = (Timer(still_open[-1], now + timedelta(seconds=2)),)
        emitted: tuple[str, ...] = ()
        if service == "intake":
            emitted = (f"i{number}:{token}",)
        elif service == "escalation" and (number % 2 == 0 or item.kind == "timer"):
            emitted = (f"e{number}", f"e{number}b{'!decide:records' if number % 11 == 0 else ''}")
        done = State(log=log, emitted=before.emitted + emitted, timers=after)
        return Decision(done, tuple(Noted(token=text) for text in emitted), set_now, cancel)

    return decide


def token_of(item: Input) -> tuple[str, str]:
    """Where an input came from, and its text."""
    if isinstance(item.body, Note):
        return "command", item.body.token
    if isinstance(item.body, Due):
        return "timer", item.body.name
    if isinstance(item.body, Settled):
        return "message", f"{item.body.outcome} {item.body.name}"
    assert item.event is not None
    if item.event.type != Noted.TYPE:
        return item.event.service, item.event.type
    return item.event.service, read_data(Noted, item.event.data).token


class Replica:
    """The objects of one process of a service. What a crash takes away is this; PostgreSQL and Kafka stay."""

    def __init__(
        self, service: str, pool: Pool, sender: Any, faulty: Faulty, *, also: Also | None = None,
        limit: Callable[[Connection, int], Awaitable[None]] | None = None, decide: Decide[State] | None = None,
    ) -> None:  # fmt: skip
        self.service = service
        self.pool = pool
        self.relay = Relay(service=service, pool=pool, sender=sender, progress=Progress())

        async def and_also(conn: Connection, work: Work[Any]) -> None:
            tokens = [token_of(item)[1] for item, _ in work.handled if item.kind != "command"]
            if any(faulty.hits("sql", service, token) for token in tokens):
                await conn.execute("select 1 / 0")
            if also is not None:
                await also(conn, work)

        self.saves: Saves[Any] = Saves(
            service=service,
            pool=pool,
            relay=self.relay,
            id_key=ID_KEY,
            read=State.model_validate_json,
            write=State.model_dump_json,
            decide=decide or decide_for(service, faulty),
            also=and_also,
            dead_letter_check=limit,
        )
        self.timers = Timers(service=service, pool=pool, saves=self.saves, progress=Progress())


async def create_schemas(dsn: str, services: Sequence[str] = SERVICES, *, speed: int = 1) -> None:
    """The tables of the delivery protocol for each service; with `speed`, its time passes faster."""
    conn = await asyncpg.connect(dsn)
    try:
        start = await conn.fetchval("select now()")
        for service in services:
            await conn.execute(f"create schema {service}")
            await conn.execute(f"set search_path to {service}")
            for migration in migrations_of(service):
                if migration.name.startswith("shared/"):
                    await conn.execute(migration.sql)
            if speed > 1:
                await conn.execute(FAST_NOW.format(service=service, start=start.isoformat(), speed=speed))
    finally:
        await conn.close()


async def states_of(conn: Any, service: str, only: UUID | None = None) -> dict[UUID, tuple[int, State]]:
    """Each complaint's last sequence and state, where there is one."""
    rows = await conn.fetch(
        f"select complaint_id, sequence, state from {service}.complaint_state "
        "where state is not null and complaint_id = coalesce($1, complaint_id)",
        only,
    )
    return {UUID(bytes=row[0].bytes): (row[1], State.model_validate_json(row[2])) for row in rows}


async def end_tasks() -> None:
    """Cancel what still runs in this loop, and wait for it: asyncpg may wait for ever on a pool that is already gone."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=10)


def subject_number(number: int) -> UUID:
    """The complaint with this number: any UUID will do."""
    return UUID(int=random.Random(number).getrandbits(128))
