"""Keeps the index behind the ledger: reads what is new, folds it, writes row and position in one transaction.

One replica at a time does it (the position's row is the lock). Nothing waits for it: an event is recorded before it is
found. `rebuild` makes the index again beside the old one and takes its place at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from services.records.payloads import CannotOpen, CaseKeys, opened
from services.records.search.fold import Case, fold
from services.records.search.recent import Recent
from shared.contracts.envelope import Event, Position
from shared.contracts.privacy import ComplaintErased
from shared.frozen import replace
from shared.postgres.pool import Pool, connection
from shared.telemetry import metrics
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)
LOOP = "search"
SERVICE = "records"
BATCH = 1_000
# From one step to the next. The events of a new complaint come within a second, and one row is written for all that come together.
EVERY_S = 1.0
COUNT_EVERY_S = 60.0
# Bytes of words of one complaint; what was said first counts. A tsvector takes a megabyte, and is larger than its words.
MAX_WORDS = 200_000

LOCK = "select idx from case_position for update skip locked"
TAKE = "select idx from case_position for update"
MOVE = "update case_position set idx = $1"
LEAVES = "select idx, event_id, complaint_id from ledger_leaf where idx > $1 order by idx limit $2"
PAYLOADS = """
select idx, service, event_type, sequence, occurred_at, salt, payload from ledger_payload where idx = any($1::bigint[]) order by idx
"""
LOAD = "select complaint_id, folded from {table} where complaint_id = any($1::uuid[])"
ERASED = "select complaint_id from complaint_state where complaint_id = any($1::uuid[]) and erased_at is not null"
# An open complaint that has nobody, or nothing that comes next: there should be none.
ALONE = "status in ('open', 'waiting') and (next_due is null or (team is null and owner is null))"
UNATTENDED = f"select count(*) from case_index where {ALONE}"  # noqa: S608 - constants only
DELETE = "delete from {table} where complaint_id = any($1::uuid[])"
# Words are added to those that are there: an event is read once.
UPSERT = """
insert into {table} as old (
    complaint_id, changed_idx, changed_at, received_at, status, tier, team, owner, cause, channel, source, severity, heat, next_due,
    missed, remedy, resolution, outcome, language, words, folded
)
select complaint_id, changed_idx, changed_at, received_at, status, tier, team, owner, cause, channel, source, severity, heat, next_due,
    missed, remedy, resolution, outcome, language, to_tsvector(language::regconfig, words), folded
from unnest(
    $1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::int[], $13::text[], $14::timestamptz[], $15::bool[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[],
    $21::text[]::json[]
) as new (
    complaint_id, changed_idx, changed_at, received_at, status, tier, team, owner, cause, channel, source, severity, heat, next_due,
    missed, remedy, resolution, outcome, language, words, folded
)
order by complaint_id
on conflict (complaint_id) do update set
    changed_idx = excluded.changed_idx, changed_at = excluded.changed_at, received_at = excluded.received_at, status = excluded.status,
    tier = excluded.tier, team = excluded.team, owner = excluded.owner, cause = excluded.cause, channel = excluded.channel,
    source = excluded.source, severity = excluded.severity, heat = excluded.heat, next_due = excluded.next_due,
    missed = excluded.missed, remedy = excluded.remedy, resolution = excluded.resolution, outcome = excluded.outcome,
    language = excluded.language, words = old.words || excluded.words, folded = excluded.folded
"""
BEGIN_REBUILD = """
drop table if exists case_index_new;
create table case_index_new (like case_index including all excluding indexes);
alter table case_index_new add primary key (complaint_id)
"""
# The other indexes come when the rows are there: that takes a small part of the time.
INDEXES = """
select indexname, indexdef from pg_indexes
where schemaname = current_schema() and tablename = 'case_index' and indexdef not like 'CREATE UNIQUE %'
"""
END_REBUILD = """
drop table case_index;
alter table case_index_new rename to case_index;
alter index case_index_new_pkey rename to case_index_pkey;
grant select, insert, update, delete on case_index to amends_records
"""
# PostgreSQL's own text search, by the language that intake has found.
CONFIGS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french",
    "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian", "nb": "norwegian", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
# Behind the words of each event, so that they stand at the same places whether events came in one batch or in two.
END = "xeventx"
_CASE = TypeAdapter(Case)


def config_of(language: str) -> str:
    """The text search configuration of a language tag; `simple` where there is none."""
    return CONFIGS.get(language.partition("-")[0].lower(), "simple")


def read_case(folded: str) -> Case:
    """A case as its row in the index holds it."""
    return _CASE.validate_json(folded)


class Projector:
    """The loop of one process."""

    def __init__(self, pool: Pool, case_keys: CaseKeys, progress: Progress, recent: Recent | None = None) -> None:
        self._pool, self._keys, self._progress, self._recent = pool, case_keys, progress, recent or Recent()

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        counted = -COUNT_EVERY_S
        while True:
            done, began = 0, time.monotonic()
            try:
                done = await self.step()
                if done < BATCH and time.monotonic() - counted >= COUNT_EVERY_S:
                    counted = time.monotonic()
                    await self.count()
            except Exception as error:
                log.warning("the search index stands still, trying again", error=type(error).__name__)
            self._progress.beat(LOOP)
            if done < BATCH:
                await asyncio.sleep(max(0.1, EVERY_S - (time.monotonic() - began)))

    async def step(self) -> int:
        """One batch; returns how many events it took. 0 also when another replica is at it."""
        async with connection(self._pool) as conn, conn.transaction():
            position = await conn.fetchval(LOCK)
            return 0 if position is None else (await advance(conn, self._keys, self._recent, "case_index", position))[0]

    async def count(self) -> None:
        """Show how many open complaints nobody attends to."""
        async with connection(self._pool) as conn:
            metrics.UNATTENDED.labels(SERVICE).set(await conn.fetchval(UNATTENDED))


async def advance(
    conn: Any, keys: CaseKeys, recent: Recent, table: str, position: int, *, move: bool = True
) -> tuple[int, int]:  # fmt: skip
    """Fold the next batch behind `position` into `table`; returns how many events, and the new position."""
    leaves = await conn.fetch(LEAVES, position, BATCH)
    if not leaves:
        return 0, position
    subjects = list({leaf["complaint_id"] for leaf in leaves})
    gone = {row["complaint_id"] for row in await conn.fetch(ERASED, subjects)}
    cases = {
        row["complaint_id"]: read_case(row["folded"])
        for row in await conn.fetch(LOAD.format(table=table), subjects)
    }
    words: dict[UUID, list[str]] = {}
    last: dict[UUID, Event] = {}
    for event in await _events(conn, keys, recent, leaves):
        subject = event.subject
        if event.type == ComplaintErased.TYPE or subject in gone:
            gone.add(subject)
            continue
        case, said = fold(cases.get(subject, Case()), event)
        said = said.encode(errors="ignore")[: max(0, MAX_WORDS - case.said)].decode(errors="ignore")
        words.setdefault(subject, []).extend([f"{said} {END}"] if said else ())
        cases[subject] = replace(case, said=case.said + len(said.encode()))
        last[subject] = event
    if gone:
        await conn.execute(DELETE.format(table=table), list(gone))
    # A submission that was set aside has an id of its own and is no complaint.
    known = [subject for subject in last if subject not in gone and cases[subject].received_at is not None]
    if known:
        await conn.execute(UPSERT.format(table=table), *_columns(known, cases, words, last))
    end: int = leaves[-1]["idx"]
    if move:
        await conn.execute(MOVE, end)
    return len(leaves), end


def _columns(known: Sequence[UUID], cases: dict[UUID, Case], words: dict[UUID, list[str]], last: dict[UUID, Event]) -> list[list[Any]]:
    lines = []
    for subject in known:
        case, event = cases[subject], last[subject]
        line = (
            subject, event.position.offset, event.time, case.received_at, case.status, case.tier, case.team, case.owner, case.cause,
            case.channel, case.source, case.severity, case.heat, min(case.due.values(), default=None), bool(case.missed),
            case.remedy, case.resolution, case.outcome, config_of(case.language), "\n".join(words[subject]),
            _CASE.dump_json(case).decode(),
        )  # fmt: skip
        # The ledger keeps events as they came; a column of text cannot hold U+0000.
        lines.append([each.replace("\x00", " ") if isinstance(each, str) else each for each in line])
    return [list(column) for column in zip(*lines, strict=True)]


async def _events(conn: Any, keys: CaseKeys, recent: Recent, leaves: Sequence[Any]) -> list[Event]:
    """The events of `leaves`, each with its index as the offset of its position: what is not at hand is read and opened."""
    at_hand = recent.take(leaf["event_id"] for leaf in leaves)
    rows: dict[int, Any] = {}
    ciphers: Mapping[UUID, Any] = {}
    if unknown := [leaf for leaf in leaves if leaf["event_id"] not in at_hand]:
        rows = {row["idx"]: row for row in await conn.fetch(PAYLOADS, [leaf["idx"] for leaf in unknown])}
        ciphers = await keys.for_reading(conn, {leaf["complaint_id"] for leaf in unknown})
    found = []
    for leaf in leaves:
        event = at_hand.get(leaf["event_id"])
        if event is None:
            event = _opened(leaf, rows[leaf["idx"]], ciphers.get(leaf["complaint_id"]))
        if event is not None:
            found.append(event._replace(position=Position("", 0, leaf["idx"])))
    return found


def _opened(leaf: Any, row: Any, cipher: Any) -> Event | None:
    try:
        plain = opened(cipher, leaf["event_id"], bytes(row["salt"]), bytes(row["payload"]))
    except CannotOpen:
        log.error("a payload does not open; see: amends records verify", index=leaf["idx"])
        return None
    if plain is None:
        return None
    return Event(
        leaf["event_id"], row["event_type"], row["service"], leaf["complaint_id"], row["sequence"], row["occurred_at"], "", "", "", "",
        plain.payload.partition(b"\n")[2], Position("", 0, leaf["idx"]),
    )  # fmt: skip


async def rebuild(conn: Any, keys: CaseKeys, tell: Callable[[int, int], None] = lambda done, size: None) -> int:
    """Make the index again from the ledger; the old one answers until the new one takes its place. Returns the events read."""
    await conn.execute(BEGIN_REBUILD)
    await conn.execute("set synchronous_commit = off; set statement_timeout = 0")  # what is lost in a crash was not in use yet
    size: int = await conn.fetchval("select size from ledger_head")
    position, total, done = -1, 0, BATCH
    while done == BATCH:
        async with conn.transaction():
            done, position = await advance(conn, keys, Recent(), "case_index_new", position, move=False)
        total += done
        tell(min(total, size), size)
    names = [row["indexname"] for row in await conn.fetch(INDEXES)]
    for row in await conn.fetch(INDEXES):
        there, name = row["indexdef"], row["indexname"]
        await conn.execute(there.replace(f" {name} ON ", f" {name}_new ON ", 1).replace(".case_index USING ", ".case_index_new USING ", 1))
    await conn.execute("reset synchronous_commit; reset statement_timeout")
    async with conn.transaction():
        await conn.fetchval(TAKE)  # the projector waits for the few that are left
        while done := (await _rest(conn, keys, position))[0]:
            total, position = total + done, (await conn.fetchval("select idx from case_position"))
        await conn.execute(MOVE, position)
        await conn.execute(END_REBUILD)
        for name in names:
            await conn.execute(f"alter index {name}_new rename to {name}")
    await conn.execute("analyze case_index")
    return total


async def _rest(conn: Any, keys: CaseKeys, position: int) -> tuple[int, int]:
    return await advance(conn, keys, Recent(), "case_index_new", position)
