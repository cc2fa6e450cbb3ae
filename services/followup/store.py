"""Follow-up's own reads, and what it writes beside the versioned save: the lists that people look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from services.followup.domain import FollowUpState
from shared.contracts import ids
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.followups import (
    FactChecked,
    OutcomeRecorded,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseProposed,
    PromiseWithdrawn,
    TaskCreated,
    TaskDone,
)
from shared.postgres.inputs import Work
from shared.postgres.pool import Connection
from shared.postgres.saves import Also
from shared.telemetry import metrics

_STATE = TypeAdapter(FollowUpState)
_PROMISES = frozenset((PromiseProposed, PromiseMade, PromiseKept, PromiseBroken, PromiseWithdrawn))
_TASKS = frozenset((TaskCreated, TaskDone))
# The fact that the customer has bought from us again: what a shop may tell about them.
RETURNED = "customer_returned"
SERVICE = "followup"

FIND = "select state, app_now() as now from complaint_state where complaint_id = $1"
PUT_PROMISES = """
insert into promise (complaint_id, promise, status, kind, what, owner, due_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
on conflict (complaint_id, promise) do update
set status = excluded.status, what = excluded.what, owner = excluded.owner, due_at = excluded.due_at
"""
DROP_TASKS = "delete from task where complaint_id = any($1::uuid[])"
PUT_TASKS = """
insert into task (complaint_id, task, kind, what, due_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
"""
PUT_CASES = """
insert into customer_case (complaint_id, customer, received_at)
select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) on conflict do nothing
"""
PUT_OUTCOMES = """
insert into outcome (complaint_id, outcome, resolved_at, recorded_at, seconds_to_resolution, promises_kept,
    promises_broken, reopened, team, category, remedy, channel)
select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::int[], $7::int[],
    $8::int[], $9::text[], $10::text[], $11::text[], $12::text[])
on conflict (complaint_id) do update set outcome = excluded.outcome, resolved_at = excluded.resolved_at,
    recorded_at = excluded.recorded_at, seconds_to_resolution = excluded.seconds_to_resolution,
    promises_kept = excluded.promises_kept, promises_broken = excluded.promises_broken, reopened = excluded.reopened,
    team = excluded.team, category = excluded.category, remedy = excluded.remedy, channel = excluded.channel
"""
PUT_RETURNED = "update outcome set returned = true where complaint_id = any($1::uuid[])"
FORGET = tuple(f"delete from {table} where complaint_id = any($1::uuid[])" for table in ("promise", "task", "customer_case", "outcome"))  # noqa: S608
PROMISES = """
select complaint_id, promise, status, kind, what, owner, due_at from promise
where status = $1 order by due_at nulls first, complaint_id limit $2
"""
TASKS = "select complaint_id, task, kind, what, due_at from task order by due_at, complaint_id limit $1"
# A repeat: the same customer complained again within so many days after the resolution.
OUTCOMES = """
select {group} as name, count(*) as complaints,
    count(*) filter (where outcome = 'solved') as solved,
    count(*) filter (where outcome = 'partly') as partly,
    count(*) filter (where outcome = 'not_solved') as not_solved,
    count(*) filter (where outcome = 'unverified') as unverified,
    count(*) filter (where outcome.reopened > 0) as reopened,
    coalesce(sum(promises_kept), 0)::bigint as promises_kept,
    coalesce(sum(promises_broken), 0)::bigint as promises_broken,
    percentile_cont(0.5) within group (order by seconds_to_resolution)::float8 as median_seconds_to_resolution,
    percentile_cont(0.9) within group (order by seconds_to_resolution)::float8 as p90_seconds_to_resolution,
    count(*) filter (where exists (
        select 1 from customer_case as this join customer_case as other on other.customer = this.customer
        where this.complaint_id = outcome.complaint_id and other.complaint_id <> outcome.complaint_id
            and other.received_at > outcome.resolved_at and other.received_at < outcome.resolved_at + interval '90 days'
    )) as repeat_complaints,
    count(*) filter (where returned) as returned
from outcome where recorded_at >= $1 and recorded_at < $2 group by 1 order by complaints desc, name limit 500
"""
GROUPS = {"team": "team", "cause": "category", "remedy": "remedy", "channel": "channel"}


@dataclass(frozen=True, slots=True)
class Found:
    """The state of one complaint, and the time at which it was read."""

    state: FollowUpState | None
    now: datetime


async def find(conn: Connection, complaint_id: UUID) -> Found | None:
    """One complaint as it stands, or None if follow-up has not heard of it. `state` is None while it only waits."""
    row = await conn.fetchrow(FIND, complaint_id)
    if row is None:
        return None
    return Found(None if row["state"] is None else _STATE.validate_json(row["state"]), row["now"])


async def outcomes(conn: Connection, by: str, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """The figures of what was recorded from `since` until before `until`, by one of GROUPS."""
    rows = await conn.fetch(OUTCOMES.format(group=GROUPS[by]), since, until)
    return [_with_rates(dict(row)) for row in rows]


def _with_rates(row: dict[str, Any]) -> dict[str, Any]:
    """Shares of those who answered: silence is never satisfaction. None where there is nothing to divide by."""
    answered = row["solved"] + row["partly"] + row["not_solved"]
    promised = row["promises_kept"] + row["promises_broken"]
    return {
        **row,
        "satisfaction": row["solved"] / answered if answered else None,
        "answer_rate": answered / row["complaints"],
        "reopen_rate": row["reopened"] / row["complaints"],
        "promises_kept_rate": row["promises_kept"] / promised if promised else None,
    }


def lists(id_key: bytes) -> Also:
    """What `Saves` calls in the transaction of each save: keeps the lists up to date with the states."""

    async def write(conn: Connection, work: Work[FollowUpState]) -> None:
        promised: set[UUID] = set()
        tasked: set[UUID] = set()
        returned: set[UUID] = set()
        recorded: dict[UUID, OutcomeRecorded] = {}
        received: set[UUID] = set()
        for item, decision in work.handled:
            if item.event is not None and item.event.type == ComplaintReceived.TYPE:
                received.add(item.subject)
            for event in decision.events:
                # Not isinstance(): of pydantic models it is many times as dear, and every event comes by here.
                if type(event) in _PROMISES:
                    promised.add(item.subject)
                    metrics.PROMISES.labels(SERVICE, event.TYPE.split(".")[2].removeprefix("promise_")).inc()
                elif type(event) in _TASKS:
                    tasked.add(item.subject)
                elif type(event) is OutcomeRecorded:
                    recorded[item.subject] = event
                    metrics.OUTCOMES.labels(SERVICE, event.outcome).inc()
                elif type(event) is FactChecked and event.fact == RETURNED and event.proved:
                    returned.add(item.subject)
        if gone := sorted(subject for subject, row in work.rows.items() if row.erased):
            for forget in FORGET:
                await conn.execute(forget, gone)
        states = {subject: row.state for subject, row in work.rows.items() if row.state is not None}
        await _cases(conn, id_key, {subject: states[subject] for subject in received & states.keys()})
        await _promises(conn, {subject: states[subject] for subject in promised & states.keys()})
        await _tasks(conn, {subject: states[subject] for subject in tasked & states.keys()})
        await _outcomes(conn, recorded)
        if returned:
            await conn.execute(PUT_RETURNED, sorted(returned))

    return write


async def _promises(conn: Connection, states: dict[UUID, FollowUpState]) -> None:
    rows = [
        (subject, p.id, p.status, p.kind, p.what, p.owner, p.due_at)
        for subject, state in sorted(states.items())
        for p in state.promises
    ]
    if rows:
        await conn.execute(PUT_PROMISES, *(list(column) for column in zip(*rows, strict=True)))


async def _tasks(conn: Connection, states: dict[UUID, FollowUpState]) -> None:
    if not states:
        return
    await conn.execute(DROP_TASKS, sorted(states))
    rows = [(subject, t.id, t.kind, t.what, t.due_at) for subject, s in sorted(states.items()) for t in s.tasks]
    if rows:
        await conn.execute(PUT_TASKS, *(list(column) for column in zip(*rows, strict=True)))


async def _cases(conn: Connection, id_key: bytes, states: dict[UUID, FollowUpState]) -> None:
    rows = []
    for subject, state in sorted(states.items()):
        address = next(iter((*state.person.emails, *state.person.phones)), "")
        if address:
            customer = ids.keyed_id(id_key, "customer", address.strip().lower())
            rows.append((subject, customer, state.facts.received_at))
    if rows:
        await conn.execute(PUT_CASES, *(list(column) for column in zip(*rows, strict=True)))


async def _outcomes(conn: Connection, recorded: dict[UUID, OutcomeRecorded]) -> None:
    rows = [
        (subject, e.outcome, e.resolved_at, e.recorded_at, e.seconds_to_resolution, e.promises_kept, e.promises_broken,
         e.reopened, e.team or "none", e.category, e.remedy or "none", e.channel)
        for subject, e in sorted(recorded.items())
    ]  # fmt: skip
    if rows:
        await conn.execute(PUT_OUTCOMES, *(list(column) for column in zip(*rows, strict=True)))
