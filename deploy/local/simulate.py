"""Simulated time for the local stack: its database clock (`app_now()`) runs ahead by as much as it was put forward.

Nothing but a stack that was started with --simulated has such a clock: elsewhere `app_now()` is `now()`, and there is no
table to write to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from deploy import reconcile
from deploy.local.readiness import run_coroutine
from shared.calendar import durations
from shared.cli import Failed, WrongUse, local
from shared.cli.client import Client
from shared.http.scopes import SERVICES

FILE = "simulated-clock"
SETTLE_S = 30.0
MOST_STEPS = 10_000
# What is due so close together happens at one stop.
TOGETHER = timedelta(minutes=1)
SET_UP = """
create schema if not exists simulated;
create table if not exists simulated.clock (one boolean primary key default true check (one), shift interval not null);
insert into simulated.clock (shift) values (interval '0') on conflict do nothing;
grant usage on schema simulated to public;
grant select on simulated.clock to public;
"""
SIMULATE = """
create or replace function {schema}.app_now() returns timestamptz language sql stable
as 'select now() + (select shift from simulated.clock)'
"""
THERE = "select to_regclass('simulated.clock') is not null"
NOW = "select now() + shift as now, extract(epoch from shift)::float8 as shift_s from simulated.clock"
# Never back: what has happened has happened.
SET = "update simulated.clock set shift = greatest(shift, $1::timestamptz - now()) returning extract(epoch from shift)::float8"
NEXT = " union all ".join(f"select min(due_at) as due_at from {service}.timer" for service in SERVICES)  # noqa: S608 - names of ours
DUE = " + ".join(f"(select count(*) from {service}.timer where due_at <= {service}.app_now())" for service in SERVICES)  # noqa: S608
WAITING = " + ".join(f"(select count(*) from {service}.message where attempts = 0)" for service in SERVICES)  # noqa: S608


def file_of(data: Path) -> Path:
    """Where the services' own clocks read how far they are ahead (seconds)."""
    return data / FILE


def is_simulated(data: Path) -> bool:
    """Whether the stack on this folder was ever started with a simulated clock."""
    return file_of(data).is_file()


async def set_up(data: Path, dsn: str) -> None:
    """Give the databases of a local stack the simulated clock; what it was put forward before, stays."""
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        async with conn.transaction():
            await conn.execute(SET_UP)
            for service in SERVICES:
                await conn.execute(SIMULATE.format(schema=service))
            row = await conn.fetchrow(NOW)
    finally:
        await conn.close()
    assert row is not None, "the row was just put there"
    file_of(data).write_text(str(row["shift_s"]))


def advance(data: Path, span: str) -> Iterator[str]:
    """Put the clock forward by `span`, from one due time to the next; yields a sentence for each stop.

    Raises WrongUse where there is no simulated stack, Failed where it does not come to rest.
    """
    try:
        length = timedelta(seconds=durations.parse(span).length_s)
    except durations.DurationRefused as refused:
        raise WrongUse(str(refused)) from None
    noted = local.read(data)
    if noted is None or not is_simulated(data):
        raise WrongUse("there is no simulated stack here: only one that `amends up --simulated` has started can be put forward")
    clock = _Clock(noted["database_url"], file_of(data))
    clients = {service: Client(service) for service in SERVICES}
    start = run_coroutine(clock.now())
    yield f"it is {start:%a %d %b %Y %H:%M} UTC"
    for _ in range(MOST_STEPS):
        _settle(clock, clients)
        stop = run_coroutine(clock.next_due(start + length))
        if stop is None:
            break
        run_coroutine(clock.go_to(min(stop + TOGETHER, start + length)))
        yield f"{stop:%a %d %b %Y %H:%M}  something is due"
    run_coroutine(clock.go_to(start + length))
    _settle(clock, clients)
    yield f"now it is {start + length:%a %d %b %Y %H:%M} UTC"


def _settle(clock: _Clock, clients: dict[str, Client]) -> None:
    """Until everything that is due has happened and every event has arrived."""
    run_coroutine(clock.rest(SETTLE_S))
    balance = reconcile.settle(lambda service: clients[service].get("/v1/reconciliation"), SETTLE_S)
    if balance.differences:
        raise Failed(f"the stack did not come to rest in {SETTLE_S:g} s: {balance.differences[0]}")


class _Clock:
    """The clock in the database, and its copy for the services' own clocks."""

    def __init__(self, dsn: str, file: Path) -> None:
        self._dsn = dsn
        self._file = file

    async def now(self) -> datetime:
        row = await self._ask(NOW)
        return row["now"]  # type: ignore[no-any-return]

    async def next_due(self, until: datetime) -> datetime | None:
        """The earliest due time of any timer up to `until`."""
        row = await self._ask(f"select min(due_at) as due_at from ({NEXT}) as timers")  # noqa: S608 - names of ours
        return row["due_at"] if row["due_at"] is not None and row["due_at"] <= until else None

    async def go_to(self, time: datetime) -> None:
        row = await self._ask(SET, time)
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(str(row[0]))
        unfinished.replace(self._file)

    async def rest(self, seconds: float) -> None:
        """Until no timer is due and no message is untried."""
        for _ in range(int(seconds / 0.05)):
            row = await self._ask(f"select ({DUE}) + ({WAITING}) as waiting")
            if row["waiting"] == 0:
                return
            await asyncio.sleep(0.05)
        raise Failed(f"timers were still due after {seconds:g} s: look into the logs of the local stack")

    async def _ask(self, sql: str, *arguments: Any) -> Any:
        conn = await asyncpg.connect(self._dsn, timeout=10)
        try:
            if not await conn.fetchval(THERE):
                raise WrongUse("the clock of this stack is the real one: start it with `amends up --simulated`")
            return await conn.fetchrow(sql, *arguments)
        finally:
            await conn.close()
