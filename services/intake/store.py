"""Intake's own tables: deliveries, submissions, the inbox. SQL as named constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from services.intake import sealing
from services.intake.submissions import Delivery, Identity
from shared.frozen import dataclass
from shared.postgres.pool import Connection
from shared.vault import KeyStore

# The first of two with the same event id wins, within a request, between requests and between replicas. Of a delivery in which
# nothing is new, nothing is kept. One statement, and so one round trip, for those who wait for their answer.
STORE = """
with new as (
    insert into submission (source, event_id, delivery_id, item, sha256, complaint_id)
    select * from unnest($1::text[], $2::text[], $3::uuid[], $4::int[], $5::bytea[], $6::uuid[])
    on conflict (source, event_id) do nothing
    returning delivery_id, item
), waiting as (
    insert into inbox (delivery_id, items) select delivery_id, count(*) from new group by 1 returning delivery_id
), keys as (
    insert into delivery_key (delivery_id, wrapped)
    select id, wrapped from unnest($7::uuid[], $8::bytea[]) as key (id, wrapped) where id in (select delivery_id from waiting)
), kept as (
    insert into delivery (id, source, adapter, received_at, content_type, headers, body, traceparent)
    select id, source, adapter, received_at, content_type, headers, body, traceparent
    from unnest($7::uuid[], $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::text[]::json[], $14::bytea[], $15::text[])
        as one (id, source, adapter, received_at, content_type, headers, body, traceparent)
    where id in (select delivery_id from waiting)
)
select delivery_id, item from new
"""
EARLIER = """
select submission.source, submission.event_id, sha256 from submission
join unnest($1::text[], $2::text[]) as asked (source, event_id) using (source, event_id)
"""
# A delivery that could not be read and now can: its items take the place of the one that stood for all of it.
INSERT_ITEMS = """
insert into submission (source, event_id, delivery_id, item, sha256, complaint_id)
select $1, new.event_id, $2, new.item, new.sha256, new.complaint_id
from unnest($3::text[], $4::int[], $5::bytea[], $6::uuid[]) as new (event_id, item, sha256, complaint_id)
on conflict (source, event_id) do nothing
returning item, complaint_id
"""
DELETE_WHOLE = "delete from submission where delivery_id = $1 and item = -1"
INSERT_INBOX = "insert into inbox (delivery_id, items) select * from unnest($1::uuid[], $2::int[])"
# In order of arrival, until they hold so many submissions; one delivery at least. Another replica's are skipped, not waited for.
TAKE_INBOX = """
with first as materialized (
    select delivery_id, items from inbox order by delivery_id limit $1 for update skip locked
), counted as (
    select delivery_id, sum(items) over (order by delivery_id) - items as before from first
)
delete from inbox using counted where inbox.delivery_id = counted.delivery_id and before < $2 returning inbox.delivery_id
"""
DELIVERIES = """
select id, source, adapter, received_at, content_type, headers, body, traceparent from delivery where id = any($1::uuid[])
"""
PENDING_ITEMS = """
select delivery_id, item, complaint_id from submission where delivery_id = any($1::uuid[]) and outcome is null order by delivery_id, item
"""
SETTLE = """
update submission set outcome = new.outcome, reason = new.reason
from unnest($1::uuid[], $2::int[], $3::text[], $4::text[]) as new (delivery_id, item, outcome, reason)
where submission.delivery_id = new.delivery_id and submission.item = new.item
"""
# A message that answers another may belong to another complaint than its record says.
MOVE = """
update submission set complaint_id = new.complaint_id
from unnest($1::uuid[], $2::int[], $3::uuid[]) as new (delivery_id, item, complaint_id)
where submission.delivery_id = new.delivery_id and submission.item = new.item and submission.complaint_id <> new.complaint_id
"""
REQUEUE = """
with again as (
    update submission set outcome = null, reason = null where delivery_id = $1 and item = $2 and outcome = 'dead_letter' returning 1
)
insert into inbox (delivery_id, items) select $1, 1 from again on conflict do nothing
"""
OUTCOMES = """
select source, coalesce(outcome, 'pending') as outcome, count(*) as submissions
from submission group by 1, 2 order by 1, 2
"""
# Pending, but not in line to be normalized: must be none.
STRANDED = """
select count(*) from submission where outcome is null and not exists (select 1 from inbox where inbox.delivery_id = submission.delivery_id)
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One submission on its way in: who it is, and which item of which delivery."""

    delivery: Delivery
    adapter: str
    traceparent: str
    item: int
    identity: Identity
    complaint_id: UUID


@dataclass(frozen=True, slots=True)
class Stored:
    """A delivery with the items of it that wait to be normalized (item number -> complaint id)."""

    delivery: Delivery
    adapter: str
    traceparent: str
    pending: dict[int, UUID]


async def store(
    conn: Connection, keys: KeyStore, batch: Sequence[Accepted]
) -> tuple[set[tuple[UUID, int]], dict[tuple[str, str], bytes]]:
    """Store what is new, in the caller's transaction.

    Returns the (delivery, item) pairs that are new, and for the others the hash of what was accepted earlier under their id.
    """
    each = list({a.delivery.id: a for a in batch}.values())
    sealed = sealing.sealed(keys, [(a.delivery.id, a.delivery.body) for a in each])
    rows = await conn.fetch(
        STORE,
        [a.delivery.source for a in batch],
        [a.identity.event_id for a in batch],
        [a.delivery.id for a in batch],
        [a.item for a in batch],
        [a.identity.sha256 for a in batch],
        [a.complaint_id for a in batch],
        [a.delivery.id for a in each],
        [wrapped for wrapped, _ in sealed],
        [a.delivery.source for a in each],
        [a.adapter for a in each],
        [a.delivery.received_at for a in each],
        [a.delivery.content_type for a in each],
        [orjson.dumps(dict(a.delivery.headers)).decode() for a in each],
        [body for _, body in sealed],
        [a.traceparent for a in each],
    )
    new = {(row[0], row[1]) for row in rows}
    rest = [a for a in batch if (a.delivery.id, a.item) not in new]
    earlier: dict[tuple[str, str], bytes] = {}
    if rest:
        found = await conn.fetch(EARLIER, [a.delivery.source for a in rest], [a.identity.event_id for a in rest])
        earlier = {(row[0], row[1]): row[2] for row in found}
    return new, earlier


async def take_inbox(conn: Connection, *, deliveries: int, items: int) -> list[UUID]:
    """Take deliveries off the inbox, in order of arrival, until they hold `items` submissions (one delivery at least)."""
    return sorted(row[0] for row in await conn.fetch(TAKE_INBOX, deliveries, items))


async def load(conn: Connection, keys: KeyStore, ids: Sequence[UUID]) -> list[Stored]:
    """Deliveries from the table, with what is pending of each, in order of arrival."""
    pending: dict[UUID, dict[int, UUID]] = {}
    for row in await conn.fetch(PENDING_ITEMS, list(ids)):
        pending.setdefault(row[0], {})[row[1]] = row[2]
    rows: dict[UUID, Any] = {row["id"]: row for row in await conn.fetch(DELIVERIES, list(ids))}
    bodies = await sealing.opened(conn, keys, rows.values())
    return [
        Stored(
            Delivery(
                id=row["id"], source=row["source"], received_at=row["received_at"], content_type=row["content_type"],
                headers=orjson.loads(row["headers"]), body=bodies[delivery_id],
            ),
            row["adapter"], row["traceparent"], pending.get(delivery_id, {}),
        )
        for delivery_id, row in sorted(rows.items())
    ]  # fmt: skip


async def unfold(conn: Connection, stored: Stored, items: Sequence[tuple[int, Identity, UUID]]) -> dict[int, UUID]:
    """Replace the submission that stood for a whole unread delivery by its items; returns those that are new and pending."""
    await conn.execute(DELETE_WHOLE, stored.delivery.id)
    rows = await conn.fetch(
        INSERT_ITEMS, stored.delivery.source, stored.delivery.id, [identity.event_id for _, identity, _ in items],
        [number for number, _, _ in items], [identity.sha256 for _, identity, _ in items], [subject for _, _, subject in items],
    )  # fmt: skip
    return {row["item"]: row["complaint_id"] for row in rows}


async def settle(conn: Connection, outcomes: Sequence[tuple[UUID, int, str, str | None]]) -> None:
    """Record what became of submissions: (delivery, item, outcome, reason)."""
    if outcomes:
        await conn.execute(SETTLE, *(list(column) for column in zip(*outcomes, strict=True)))


async def move(conn: Connection, moved: Sequence[tuple[UUID, int, UUID]]) -> None:
    """Record to which complaints submissions went: (delivery, item, complaint)."""
    await conn.execute(MOVE, *(list(column) for column in zip(*moved, strict=True)))


async def submission_counts(conn: Connection) -> dict[str, Any]:
    """Submissions by source and outcome, and how many are pending without being in line; for reconciliation."""
    by_source: dict[str, dict[str, int]] = {}
    for row in await conn.fetch(OUTCOMES):
        by_source.setdefault(row["source"], {})[row["outcome"]] = row["submissions"]
    return {"submissions": by_source, "stranded": await conn.fetchval(STRANDED)}
