"""The table `message`: what is to be sent outside, claimed by whoever sends, settled in the save of its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.contracts.decision import Message
from shared.postgres.pool import Connection

ENDPOINTS = "insert into endpoint (name) select unnest($1::text[]) on conflict do nothing"
INSERT = """
insert into message (id, complaint_id, name, endpoint, route, recipient, body, person, held, due_at, traceparent)
select id, complaint_id, name, endpoint, route, recipient, body, person, person is not null, coalesce(due_at, app_now()), traceparent
from unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]::json[], $8::text[], $9::timestamptz[], $10::text[]
) as new (id, complaint_id, name, endpoint, route, recipient, body, person, due_at, traceparent)
order by id
on conflict do nothing
"""
WITHDRAW = "delete from message where id = any($1::uuid[])"
# An endpoint that has failed five times in a row is left alone for a while, then tried with one message. The lease of two
# minutes is longer than any attempt takes; whoever dies while trying has its messages tried again after it.
CLAIM = """
with due as materialized (
    select waiting.id from endpoint cross join lateral (
        select id from message where message.endpoint = endpoint.name and not held and due_at <= app_now() order by due_at
        limit case when endpoint.failures >= 5 then 1 else $1::int end
        for update skip locked
    ) as waiting
    where endpoint.open_until <= app_now() and not endpoint.name = any($2::text[])
)
update message set attempts = attempts + 1, due_at = app_now() + interval '120 seconds'
from due where message.id = due.id
returning message.*, extract(epoch from app_now() - created_at)::float8 as age_s
"""
SETTLE = """
delete from message using unnest($1::uuid[]) as done (id) where message.id = done.id returning message.id
"""
LATER = """
update message set due_at = app_now() + make_interval(secs => $3), last_reason = $4 where id = $1 and attempts = $2
"""
WORKED = "update endpoint set failures = 0, open_until = '-infinity', worked_at = app_now() where name = $1"
FAILED = """
update endpoint set failures = failures + 1, failed_at = app_now(), reason = $2,
    open_until = case when failures + 1 < 5 then open_until
        else app_now() + least(interval '15 minutes', interval '10 seconds' * 2 ^ least(failures - 4, 10)) end
where name = $1
"""
# What is due later than a lease lasts is not being tried now.
TRY_AGAIN = """
with rested as (update endpoint set open_until = app_now() where open_until > app_now())
update message set due_at = app_now() where last_reason is not null and due_at > app_now() + interval '120 seconds'
"""
NEXT_DUE = """
select extract(epoch from min(greatest(due_at, endpoint.open_until)) - app_now())::float8
from message join endpoint on endpoint.name = message.endpoint where not held
"""
LIST_ENDPOINTS = """
select endpoint.name, failures, open_until > app_now() as resting, failed_at, reason, worked_at,
    (select count(*) from message where message.endpoint = endpoint.name) as waiting,
    (select min(created_at) from message where message.endpoint = endpoint.name) as oldest
from endpoint order by name
"""


class Letter(NamedTuple):
    """A message that this process has claimed."""

    id: UUID
    complaint_id: UUID
    name: str
    endpoint: str
    route: str
    to: str
    body: dict[str, Any]
    attempts: int
    age_s: float
    traceparent: str


def endpoint_of(route: str, to: str) -> str:
    """What fails together: all e-mail goes through one server, each webhook, chat and contact centre has its own."""
    return route if route == "email" else f"{route}:{to}"


async def write(conn: Connection, found: Mapping[UUID, tuple[UUID, Message, str] | None]) -> None:
    """In the transaction of the save: insert what is new, delete what is withdrawn."""
    gone = sorted(i for i, message in found.items() if message is None)
    if gone:
        await conn.execute(WITHDRAW, gone)
    rows: list[tuple[UUID, UUID, str, str, str, str, str, str | None, datetime | None, str]] = [
        (i, subject, m.name, endpoint_of(m.route, m.to), m.route, m.to, orjson.dumps(m.body).decode(), m.person,
         m.not_before, traceparent)
        for i, (subject, m, traceparent) in ((i, each) for i, each in found.items() if each is not None)
    ]  # fmt: skip
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await conn.execute(ENDPOINTS, sorted(set(columns[3])))
        await conn.execute(INSERT, *columns)


async def claim(conn: Connection, each: int, busy: Sequence[str]) -> list[Letter]:
    """Up to `each` due messages of every endpoint that is neither `busy` here nor resting."""
    return [
        Letter(
            row["id"], row["complaint_id"], row["name"], row["endpoint"], row["route"], row["recipient"],
            orjson.loads(row["body"]), row["attempts"], row["age_s"], row["traceparent"],
        )
        for row in await conn.fetch(CLAIM, each, list(busy))
    ]
