"""One service on a real PostgreSQL whose time the test moves, and the means to stop it at a failpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

from shared import failpoints
from shared.contracts import ids
from shared.contracts.codec import encode_headers, write_data
from shared.contracts.decision import Decision, Due, Timer
from shared.postgres import commands, relay, timers
from shared.postgres.commands import Answer
from shared.postgres.inputs import Input
from shared.postgres.pool import Pool
from tests.delivery.parts import (
    ID_KEY,
    TABLES,
    Faulty,
    ListSender,
    MemoryKafka,
    Note,
    Noted,
    Replica,
    State,
    states_of,
    token_of,
)

SERVICE = "escalation"
WAIT_S = 15.0


class Bench:
    """PostgreSQL, Kafka and poison of one test; `replica` makes the objects of a process."""

    def __init__(self, conn: Pool, pool: Pool) -> None:
        self.conn = conn  # the test's own; `pool` is the service's
        self.pool = pool
        self.kafka = MemoryKafka({"complaints": [], "escalations": []})
        self.faulty = Faulty()

    def replica(self, pool: Pool | None = None, **parts: Any) -> Replica:
        return Replica(SERVICE, pool or self.pool, ListSender(self.kafka), self.faulty, **parts)

    def incoming(self, subject: UUID, *tokens: str, first: int = 1) -> list[Input]:
        """Events of intake about a complaint, numbered from `first`, as they are read from Kafka."""
        start = self.kafka.length("complaints")
        for sequence, token in enumerate(tokens, first):
            headers = encode_headers(
                event_id=ids.event_id(ID_KEY, "intake", subject, sequence), event_type=Noted.TYPE, service="intake",
                subject=subject, sequence=sequence, time=datetime.fromisoformat("2031-05-05T09:00+00:00"), causation_id="",
                correlation_id="", traceparent="",
            )  # fmt: skip
            self.kafka.append("complaints", subject.bytes, headers, write_data(Noted(token=token)))
        return self.kafka.read("complaints", start, len(tokens))

    async def tokens(self, subject: UUID) -> list[str]:
        """What the service has handled of a complaint, in order."""
        found = await states_of(self.conn, SERVICE, subject)
        return [token for _, token in found[subject][1].log] if subject in found else []

    async def count(self, table: str) -> int:
        number: int = await self.conn.fetchval(f"select count(*) from {SERVICE}.{table}")
        return number

    async def letters(self) -> list[Any]:
        return list(await self.conn.fetch(f"select * from {SERVICE}.dead_letter order by id"))

    async def advance(self, seconds: float) -> None:
        """Move the service's time forward."""
        await self.conn.execute(f"update {SERVICE}.clock set ahead = ahead + make_interval(secs => {seconds})")

    async def reset(self) -> None:
        await self.conn.execute("""
            create table if not exists clock (ahead interval not null);
            truncate clock;
            insert into clock values ('0');
            create or replace function app_now() returns timestamptz language sql stable as
                $$ select now() + ahead from escalation.clock $$;
        """)
        await self.conn.execute(f"truncate {TABLES}")


class Gate:
    """Stops whoever reaches one failpoint for the n-th time, until it is opened."""

    def __init__(self, name: str, turn: int = 1) -> None:
        self._name = name
        self._turns = turn
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, name: str) -> None:
        if name == self._name:
            self._turns -= 1
            if self._turns == 0:
                self.reached.set()
                await asyncio.wait_for(self.opened.wait(), WAIT_S)

    def __enter__(self) -> Gate:
        failpoints.arm(self)
        return self

    def __exit__(self, *_: object) -> None:
        failpoints.arm(None)


class Once:
    """Does something at the first time that one failpoint is reached."""

    def __init__(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._action = action
        self.done = 0

    async def __call__(self, name: str) -> None:
        if name == self._name and not self.done:
            self.done += 1
            await self._action()

    def __enter__(self) -> Once:
        failpoints.arm(self)
        return self

    def __exit__(self, *_: object) -> None:
        failpoints.arm(None)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition; fails after a deadline that only something stuck reaches."""
    deadline = time.monotonic() + WAIT_S
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


class Running:
    """Loops of a replica, with short pauses, for a block."""

    def __init__(self, *loops: Any) -> None:
        self._loops = loops

    async def __aenter__(self) -> list[asyncio.Task[None]]:
        self._patches = [
            mock.patch.object(relay, "SWEEP_EVERY_S", 0.02),
            mock.patch.object(timers, "LONGEST_SLEEP_S", 0.02),
            mock.patch.object(timers, "HALT_RETRY_S", 0.02),
        ]
        for patch in self._patches:
            patch.start()
        self._tasks = [asyncio.ensure_future(loop()) for loop in self._loops]
        return self._tasks

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for patch in self._patches:
            patch.stop()
        failed = [error for error in ended if error is not None and not isinstance(error, asyncio.CancelledError)]
        assert not failed, f"a loop ended: {failed}"


async def command(
    replica: Replica, subject: UUID, token: str, *, key: str | None = None, caller: str = "team-lead"
) -> Answer:
    """A command, answered with its place in the order of all that was handled."""
    return await commands.execute(
        replica.saves, subject=subject, command=Note(token=token), key=key, caller=caller, carrier=None,
        answer=lambda decision: {"place": len(decision.state.log)},
    )  # fmt: skip


def planner(state: State | None, item: Input, now: datetime) -> Decision[State]:
    """A domain whose commands set and cancel timers: `set NAME SECONDS`, `cancel NAME`, anything else is noted."""
    before = state or State()
    verb, _, rest = token_of(item)[1].partition(" ")
    after = State(log=(*before.log, token_of(item)), timers=before.timers)
    if isinstance(item.body, Due):
        return Decision(after, (Noted(token=f"fired {item.body.name}"),))
    if verb == "set":
        name, _, seconds = rest.partition(" ")
        return Decision(after, timers=(Timer(name, now + timedelta(seconds=float(seconds))),))
    return Decision(after, cancel=(rest,) if verb == "cancel" else ())
