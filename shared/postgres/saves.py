"""Versioned saves: every change of every service's state goes through `Saves.act` (docs/delivery.md has the why).

A batch of events, a command, a timer and a stored submission all do the same: load the rows, decide, update each row
`where revision = loaded`, and write outgoing events (one packed outbox row), timers, held events and dead letters in
the same transaction. A row that does not match rolls all back: load again, decide again. So no update is lost, nobody
needs a fence (a zombie's save fails), and what is committed is sent by the relay, once at least.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
import structlog

from shared import failpoints
from shared.contracts.envelope import Event, Position
from shared.errors import Conflict, classify
from shared.postgres import erasure, messages, outbox
from shared.postgres.fold import Decide, Fold, envelope
from shared.postgres.inputs import Held, Inputs, Row, Work
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.relay import Relay
from shared.telemetry import metrics
from shared.turns import GiveWay, give_way, in_turns

S = TypeVar("S")
log = structlog.get_logger(__name__)

# One round trip: the time, whether anything is held for these complaints, and their rows (one of nulls if there is none).
LOAD = """
select at, waiting, complaint_id, revision, sequence, seen, state, erased_at is not null
from (select app_now() as at, exists (select from held where complaint_id = any($1::uuid[])) as waiting) as now
left join complaint_state on complaint_id = any($1::uuid[])
"""
LOAD_HELD = "select complaint_id, service, sequence, envelope, data from held where complaint_id = any($1::uuid[])"
# One round trip: new rows, changed rows, and what is to be sent. The revision is the whole fence: a row that somebody else saved
# since it was loaded does not match. Rows are locked in the order of their ids.
WRITE = """
with made as (
    insert into complaint_state (complaint_id, revision, sequence, seen, state)
    select complaint_id, 1, sequence, seen::json, state::json
    from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[])
        as new (complaint_id, revision, sequence, seen, state)
    where revision = 0 order by complaint_id
    on conflict do nothing
    returning 1
), changed as (
    update complaint_state as old
    set revision = old.revision + 1, sequence = new.sequence, seen = new.seen::json, state = new.state::json
    from (
        select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[])
            as new (complaint_id, revision, sequence, seen, state)
        where revision > 0 order by complaint_id
    ) as new
    where old.complaint_id = new.complaint_id and old.revision = new.revision
    returning 1
), sent as (
    insert into outbox (events) select $6::bytea where $6::bytea is not null returning id
)
select (select count(*) from made) + (select count(*) from changed), (select id from sent)
"""
# A timer that is cancelled or moved is no longer among the dead letters either: its replay would fire it all the same.
CANCEL_TIMERS = """
with parked as (
    delete from dead_letter using unnest($1::uuid[], $2::text[]) as gone (complaint_id, name)
    where dead_letter.reference = 'timer/' || gone.complaint_id || '/' || gone.name
)
delete from timer using unnest($1::uuid[], $2::text[]) as gone (complaint_id, name)
where timer.complaint_id = gone.complaint_id and timer.name = gone.name
"""
SET_TIMERS = """
with parked as (
    delete from dead_letter using unnest($1::uuid[], $2::text[]) as moved (complaint_id, name)
    where dead_letter.reference = 'timer/' || moved.complaint_id || '/' || moved.name
)
insert into timer (complaint_id, name, due_at, traceparent)
select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[])
on conflict (complaint_id, name) do update set due_at = excluded.due_at, traceparent = excluded.traceparent
"""
HOLD = """
insert into held (complaint_id, service, sequence, envelope, data)
select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]::json[], $5::bytea[])
on conflict do nothing
"""
RELEASE = """
delete from held using unnest($1::uuid[], $2::text[], $3::bigint[]) as done (complaint_id, service, sequence)
where held.complaint_id = done.complaint_id and held.service = done.service and held.sequence = done.sequence
"""
PARK = """
insert into dead_letter (reference, kind, complaint_id, service, sequence, reason, input, key, data)
values ($1, $2, $3, $4, $5, $6, $7::text::json, $8, $9)
on conflict (reference) do nothing
"""

# Takes the inputs inside the transaction: due timers, stored submissions, one command. None: nothing to do.
Take = Callable[[Connection], Awaitable[Inputs]]
# What a service writes besides, in the same transaction: ledger rows, outcomes of submissions, a command's answer.
Also = Callable[[Connection, Work[Any]], Awaitable[None]]
NOTHING_KNOWN: Mapping[UUID, tuple[int, Any]] = {}


class Saves(Generic[S]):
    """The versioned saves of one service. `read` and `write` turn its state into JSON text and back; `kept` names the
    tables that erasing a complaint leaves alone; `give_way` lets others have the event loop while a batch is decided."""

    def __init__(
        self, *, service: str, pool: Pool, relay: Relay | None, id_key: bytes, read: Callable[[str], S],
        write: Callable[[S], str], decide: Decide[S], also: Also | None = None,
        dead_letter_check: Callable[[Connection, int], Awaitable[None]] | None = None, kept: Sequence[str] = (),
        give_way: GiveWay = give_way,
    ) -> None:  # fmt: skip
        self._service = service
        self._pool = pool
        self._relay = relay
        self._id_key = id_key
        self._read = read
        self._write = write
        self._decide = decide
        self._also = also
        self._dead_letter_check = dead_letter_check
        self._kept = kept
        self._give_way = give_way

    async def act(
        self, take: Take, *, also: Also | None = None, decide: Decide[S] | None = None, within_s: float | None = None,
        known: Mapping[UUID, tuple[int, S]] = NOTHING_KNOWN,
    ) -> Work[S]:  # fmt: skip
        """Take, load, decide, save; again after a conflict, and again with back-off while PostgreSQL is away.

        `known`: states that the caller has read already, with their revisions; those are not read again.
        `within_s` bounds the trying (for a caller who waits); without it there is no end, for nothing may be skipped.
        Raises what cannot be helped by trying again (`classify` = defect).
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        conflicts = failures = 0
        while True:
            try:
                return await self._once(take, also, decide or self._decide, known)
            except Exception as error:
                kind = classify(error)
                if kind == "defect" or (deadline is not None and time.monotonic() > deadline):
                    raise
                if kind == "conflict":
                    conflicts += 1
                    metrics.SAVE_CONFLICTS.labels(self._service).inc()
                    pause = 0.002 * 2 ** min(conflicts, 7)
                else:
                    failures += 1
                    pause = 0.05 * 2 ** min(failures, 7)
                    name = type(error).__name__
                    log.warning("save failed, trying again", service=self._service, error=name, tries=failures)
            await asyncio.sleep(pause * random.random())  # noqa: S311 - jitter, not a secret

    async def _once(
        self, take: Take, also: Also | None, decide: Decide[S], known: Mapping[UUID, tuple[int, S]]
    ) -> Work[S]:
        await failpoints.reach("save.before_load")
        started = time.perf_counter()
        outbox_id = None
        async with connection(self._pool) as conn:
            async with conn.transaction():
                inputs = await take(conn)
                loaded, held, now = await self._load(conn, inputs, known)
                fold = Fold(self._service, self._id_key, decide, Work[S](now=now), held)
                async for item in in_turns(inputs, self._give_way):
                    fold.add(loaded, item)
                work: Work[S] = fold.end()
                await failpoints.reach("save.before_write")
                if not work.empty:
                    outbox_id = await self._write_all(conn, work, also)
                await failpoints.reach("save.before_commit")
            await failpoints.reach("save.after_commit")
        if outbox_id is not None and self._relay is not None:  # else another process sweeps it up
            self._relay.offer(outbox_id, work.outgoing)
        if not work.empty or work.duplicates:
            self._count(work, time.perf_counter() - started)
        return work

    async def _load(
        self, conn: Connection, inputs: Inputs, known: Mapping[UUID, tuple[int, S]]
    ) -> tuple[dict[UUID, Row[S]], Held, datetime]:
        subjects = list({item.subject for item in inputs})
        found = await conn.fetch(LOAD, subjects)
        now, waiting = found[0][0], found[0][1]
        rows = {
            row[2]: Row(row[3], row[4], orjson.loads(row[5]), self._state(row, known.get(row[2])), row[7])
            for row in found
            if row[2] is not None
        }
        held: Held = {}
        if waiting and any(item.event is not None for item in inputs):
            for row in await conn.fetch(LOAD_HELD, subjects):
                event = revive(orjson.loads(row[3]), row[4])
                held[(event.subject, event.service, event.sequence)] = event
        return rows, held, now

    def _state(self, row: Any, known: tuple[int, S] | None) -> S | None:
        if known is not None and known[0] == row[3]:
            return known[1]
        return None if row[6] is None else self._read(row[6])

    async def _write_all(self, conn: Connection, work: Work[S], also: Also | None) -> int | None:
        # Timers before rows: whoever fires a timer holds its lock first too, so the two wait and do not deadlock.
        await self._write_timers(conn, work)
        outbox_id = await self._write_rows(conn, work)
        if work.messages:
            await messages.write(conn, work.messages)
        if work.hold:
            events = [work.hold[slot] for slot in sorted(work.hold, key=str)]
            await conn.execute(
                HOLD,
                [event.subject for event in events],
                [event.service for event in events],
                [event.sequence for event in events],
                [orjson.dumps(envelope(event)).decode() for event in events],
                [event.data for event in events],
            )
        if work.release:
            await conn.execute(RELEASE, *(list(column) for column in zip(*work.release, strict=True)))
        if work.dead:
            await self._park(conn, work)
            if self._dead_letter_check is not None:  # after: what was parked before and comes again counts once
                await self._dead_letter_check(conn, len(work.dead))
        for write in (self._also, also):
            if write is not None:
                await write(conn, work)
        if work.erased:
            await erasure.erase(conn, work.erased, self._kept)
        return outbox_id

    async def _write_rows(self, conn: Connection, work: Work[S]) -> int | None:
        """Insert new rows, update loaded ones, and append what is to be sent; any row that does not match is a conflict."""
        if not work.rows and not work.outgoing:
            return None
        ordered = sorted(work.rows.items())
        written = await conn.fetchrow(
            WRITE,
            [i for i, _ in ordered],
            [row.revision for _, row in ordered],
            [row.sequence for _, row in ordered],
            [orjson.dumps(row.seen).decode() for _, row in ordered],
            [self._text(row) for _, row in ordered],
            outbox.pack(work.outgoing) if work.outgoing else None,
        )
        done, outbox_id = written or (0, None)
        if done != len(ordered):
            raise Conflict(f"{len(ordered) - done} of {len(ordered)} rows were saved by somebody else first")
        return outbox_id

    def _text(self, row: Row[S]) -> str | None:
        """None: nothing was handled yet, events only wait for their predecessor."""
        return None if row.state is None else self._write(row.state)

    async def _write_timers(self, conn: Connection, work: Work[S]) -> None:
        gone = sorted(key for key, timer in work.timers.items() if timer is None)
        if gone:
            await conn.execute(CANCEL_TIMERS, [i for i, _ in gone], [name for _, name in gone])
        kept = [(key[0], *timer) for key, timer in sorted(work.timers.items(), key=lambda t: t[0]) if timer is not None]
        if kept:
            await conn.execute(
                SET_TIMERS,
                [subject for subject, _, _ in kept],
                [timer.name for _, timer, _ in kept],
                [timer.due_at for _, timer, _ in kept],
                [traceparent for _, _, traceparent in kept],
            )

    async def _park(self, conn: Connection, work: Work[S]) -> None:
        for dead in work.dead:
            await conn.execute(
                PARK, dead.reference, dead.kind, dead.subject, dead.service, dead.sequence, dead.reason,
                orjson.dumps(dead.input).decode(), dead.key, dead.data,
            )  # fmt: skip

    def _count(self, work: Work[S], seconds: float) -> None:
        metrics.SAVE_DURATION.labels(self._service).observe(seconds)
        metrics.BATCH_EVENTS.labels(self._service).observe(len(work.handled))
        for event_type, count in Counter(item.event.type for item, _ in work.handled if item.event is not None).items():
            metrics.EVENTS_HANDLED.labels(self._service, event_type).inc(count)
        for name, count in Counter(item.body.name for item, _ in work.handled if item.kind == "timer").items():
            metrics.TIMERS_FIRED.labels(self._service, name).inc(count)
        if work.duplicates:
            metrics.EVENTS_DUPLICATE.labels(self._service).inc(work.duplicates)
        if work.hold:
            metrics.EVENTS_HELD.labels(self._service).inc(len(work.hold))
        for dead in work.dead:
            metrics.DEAD_LETTERS.labels(self._service, dead.kind, dead.reason.partition(":")[0]).inc()


def revive(body: dict[str, Any], data: bytes) -> Event:
    """An event from the tables that keep events aside (the reverse of `fold.envelope`)."""
    return Event(
        id=UUID(body["id"]), type=body["type"], service=body["service"], subject=UUID(body["subject"]),
        sequence=body["sequence"], time=datetime.fromisoformat(body["time"]), causation_id=body["causation_id"],
        correlation_id=body["correlation_id"], traceparent=body["traceparent"], tracestate=body["tracestate"],
        data=data, position=Position(*body["position"]),
    )  # fmt: skip

