"""Escalation on a real PostgreSQL whose time the test moves; what it emits is read from its outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from services.escalation.directory import read_directory
from services.escalation.domain import Book, EscalationState
from services.escalation.handlers import Handlers
from services.escalation.links import Links
from services.escalation.recompute import Recompute
from shared.contracts import ids
from shared.contracts.codec import decode, encode_headers, read_data, write_data
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.envelope import Event, EventData
from shared.contracts.topics import EVENTS
from shared.policy.distribution.line import Fixed
from shared.policy.document import load_policy
from shared.postgres import outbox
from shared.postgres.pool import Pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Saves
from shared.postgres.timers import Timers
from shared.telemetry.health import Progress
from tests.contracts.golden import Record
from tests.domain.clock_stories import OWN
from tests.domain.examples import contact

KEY = bytes(range(32))
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # a Monday
CLOCK = """
create table if not exists test_clock (now timestamptz not null);
truncate test_clock;
insert into test_clock values ('2026-03-02 09:30:00+00');
create or replace function app_now() returns timestamptz language sql stable as $$ select now from escalation.test_clock $$;
"""


class Nowhere:
    """A Kafka that is away: what is emitted stays in the outbox."""

    async def send(self, events: Any) -> None:
        raise ConnectionError

    async def discard(self) -> None:
        pass


class Replica:
    """The objects of one process of escalation."""

    def __init__(
        self, pool: Pool, policy: str = OWN, teams: str | None = None, links: Links | None = None
    ) -> None:
        self.pool, self.progress = pool, Progress()
        found = read_directory(teams, origin="test")[0] if teams is not None else None
        known = None if found is None else (lambda: found)
        self.handlers = Handlers(Fixed(load_policy(policy, origin="test")), known, links)
        state = TypeAdapter(EscalationState)
        relay = Relay(service="escalation", pool=pool, sender=Nowhere(), progress=self.progress)
        self.handlers.saves = Saves(
            service="escalation", pool=pool, relay=relay, id_key=KEY, read=state.validate_json,
            write=lambda value: state.dump_json(value).decode(), decide=self.handlers.decide,
            also=self.handlers.keep_lists,
        )  # fmt: skip
        self.timers = Timers(service="escalation", pool=pool, saves=self.handlers.saves, progress=self.progress)
        self.recompute = Recompute(pool=pool, saves=self.handlers.saves, book=self.book, progress=self.progress)

    def book(self, now: datetime, complaint: UUID | None = None) -> Book:
        return self.handlers.book(now, now, complaint)

    async def take(self, subject: UUID, data: EventData, sequence: int, at: timedelta = timedelta()) -> None:
        await self.handlers.handle_batch([incoming(subject, data, sequence, START + at)])

    async def receive(self, *numbers: int) -> None:
        """New complaints, one for each number."""
        events = [incoming(UUID(int=number), ComplaintReceived(contact=contact()), 1, START) for number in numbers]
        for first in range(0, len(events), 500):
            await self.handlers.handle_batch(events[first : first + 500])


def incoming(subject: UUID, data: EventData, sequence: int, time: datetime) -> Event:
    """An event of intake as it is read from Kafka."""
    headers = encode_headers(
        event_id=ids.event_id(KEY, "intake", subject, sequence), event_type=data.TYPE, service="intake", subject=subject,
        sequence=sequence, time=time, causation_id="", correlation_id="", traceparent="",
    )  # fmt: skip
    event = decode(Record(headers=headers, value=write_data(data), key=subject.bytes), "complaints")
    assert isinstance(event, Event)
    return event


async def emitted(pool: Pool, subject: int | None = None) -> list[EventData]:
    """What escalation has emitted, about one complaint or all."""
    async with pool.acquire() as conn:
        rows = await conn.fetch("select events from outbox order by id")
    told = []
    for row in rows:
        for outgoing in outbox.unpack(row["events"]):
            event = decode(Record(headers=outgoing.headers, value=outgoing.value, key=outgoing.key), outgoing.topic)
            assert isinstance(event, Event), event
            if subject is None or event.subject == UUID(int=subject):
                told.append(read_data(EVENTS[event.type], event.data))
    return told


async def advance(pool: Pool, to: timedelta) -> None:
    """Set escalation's time, counted from START."""
    async with pool.acquire() as conn:
        await conn.execute("update test_clock set now = $1", START + to)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen within 30 s"
        await asyncio.sleep(0.02)
