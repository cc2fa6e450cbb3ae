"""Budgets: a person gets so many notifications an hour; what is more is gathered and put together in one digest.

A storm of twenty thousand missed deadlines must not be twenty thousand mails. Nothing is dropped: what a digest has
taken up is settled as `digested`, and the digest is a message like any other, with a stable id of its own.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import uuid5

import orjson

from shared.delivery.settings import DeliverySettings
from shared.postgres.messages import ENDPOINTS
from shared.postgres.pool import Connection

TAKEN = "digested"
MOST = 2000
SHOWN = 50

# One replica at a time judges budgets; the others go on sending.
LOCK = "select pg_try_advisory_xact_lock(hashtext('amends-digests'), hashtext(current_schema()::text))"
HELD = """
select held.*, app_now() as now from (select distinct person from message where held and due_at <= app_now()) as owner
cross join lateral (
    select id, complaint_id, endpoint, route, recipient, body, person, created_at, traceparent
    from message where held and person = owner.person and due_at <= app_now() order by due_at, id limit $1
) as held
"""
SPENT = """
select person, count(*) as spent from notified
where person = any($1::text[]) and at > app_now() - interval '1 hour' group by person
"""
LET_THROUGH = "update message set held = false where id = any($1::uuid[])"
TAKE_UP = "update message set held = false, route = 'digested', endpoint = 'digested' where id = any($1::uuid[])"
SPEND = "insert into notified (person) select unnest($1::text[])"
FORGET = "delete from notified where at < app_now() - interval '1 hour'"
ADD = """
insert into message (id, complaint_id, name, endpoint, route, recipient, body, held, due_at, traceparent)
values ($1, $2, $3, $4, $5, $6, $7::text::json, false, app_now(), $8)
"""


async def pass_on(conn: Connection, settings: DeliverySettings) -> None:
    """In one transaction: let through what the budgets allow, and make digests of what has waited long enough."""
    if not await conn.fetchval(LOCK):
        return
    rows = await conn.fetch(HELD, MOST)
    if not rows:
        return
    await conn.execute(FORGET)
    spent = {row["person"]: row["spent"] for row in await conn.fetch(SPENT, sorted({row["person"] for row in rows}))}
    passed: list[Any] = []
    patience = timedelta(minutes=settings.digest_minutes)
    for person, waiting in groupby(rows, key=lambda row: row["person"]):
        mine = list(waiting)
        free = max(0, settings.budget_per_hour - spent.get(person, 0))
        passed += mine[:free]
        kept = mine[free:]
        if kept and kept[0]["now"] - min(row["created_at"] for row in kept) >= patience:
            await _digest(conn, kept)
    if passed:
        await conn.execute(LET_THROUGH, [row["id"] for row in passed])
        await conn.execute(SPEND, [row["person"] for row in passed])


async def _digest(conn: Connection, rows: list[Any]) -> None:
    ordered = sorted(rows, key=lambda row: (row["endpoint"], row["recipient"]))
    for _, group in groupby(ordered, key=lambda row: (row["endpoint"], row["recipient"])):
        taken = sorted(group, key=lambda row: row["created_at"])
        first = taken[0]
        # From the first message that it takes up: that one is in no other digest.
        digest_id = uuid5(first["id"], "digest")
        await conn.execute(
            ADD, digest_id, first["complaint_id"], f"digest:{digest_id}", first["endpoint"], first["route"],
            first["recipient"], orjson.dumps(_body(taken)).decode(), first["traceparent"],
        )  # fmt: skip
        await conn.execute(ENDPOINTS, [TAKEN])
        await conn.execute(TAKE_UP, [row["id"] for row in taken])


def _body(rows: list[Any]) -> dict[str, Any]:
    bodies = [orjson.loads(row["body"]) for row in rows]
    shown = [
        "\n".join(part for part in (body.get("subject"), body.get("text")) if part) for body in bodies[:SHOWN]
    ]
    if len(bodies) > SHOWN:
        shown.append(f"and {len(bodies) - SHOWN} more")
    return {"subject": f"{len(bodies)} notifications", "text": "\n\n---\n\n".join(shown)}
