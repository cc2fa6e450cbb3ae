"""Search over many complaints, and the index rebuilt from the ledger: rows and events are seeded, then the service's own code is timed."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from services.records import store
from services.records.payloads import CaseKeys
from services.records.search import projector, query
from services.records.search.query import Search
from shared.contracts import ids
from shared.contracts.envelope import SERVICES
from shared.postgres.migrate import migrate
from tests.bench.bed import tell
from tests.bench.ledger import BATCH, ID_KEY, MASTER_KEYS, _events, _renumbered
from tests.harness.cluster import Cluster, fresh_database

COMPLAINTS = 1_000_000
EVENTS = 200_000
PATTERNS = 5_000
CHUNK = 50_000
TIMES = 60
NOW = datetime(2026, 11, 22, tzinfo=UTC)
Ask = Callable[[Any, random.Random], Awaitable[Any]]
# Sixty words a complaint out of 20,000 that are as unevenly used as words are; three years of complaints, most of them closed.
SEED = """
insert into case_index (
    complaint_id, changed_idx, changed_at, received_at, status, tier, team, owner, cause, channel, source, severity, heat, next_due, missed,
    remedy, resolution, outcome, language, words, folded
)
select md5(n::text)::uuid, n * 7, at, at, status, 1 + (s * s * 4)::int % 4,
    case when n % 3 > 0 then 'team-' || n % 40 end, case when n % 5 > 0 then 'agent-' || n % 900 end,
    (array['delivery', 'refund', 'safety', 'billing', 'service', 'quality', 'other'])[1 + (r * r * 7)::int % 7],
    (array['email', 'phone', 'chat', 'web'])[1 + n % 4], 'shop-' || n % 12, 1 + n % 5,
    (array['calm', 'frustrated', 'angry', 'abusive'])[1 + (s * s * 4)::int % 4],
    case when status in ('open', 'waiting') and n % 50 > 0 then $4::timestamptz + (n % 1000 - 100) * interval '1 hour' end,
    status in ('open', 'waiting') and n % 17 = 0, 'refund', 'We refunded it',
    (array['solved', 'partly', 'not_solved'])[1 + n % 3], 'english',
    to_tsvector('english', words), '{}'
from (
    select n, random() as r, random() as s, $4::timestamptz - ($3::bigint - n) * interval '94 seconds' as at,
        case when n > $3::bigint * 0.97 then 'open' when n % 200 = 0 then 'waiting' when n % 40 = 0 then 'resolved' else 'closed'
            end as status,
        (select string_agg('w' || (power(random(), 4) * 20000)::int || chr((97 + g % 3)::int), ' ')
            from generate_series(1, 60 + n % 2) as g) as words
    from generate_series($1::bigint, $2::bigint) as n
) as made
"""
async def search(cluster: Cluster, *, complaints: int, events: int) -> dict[str, Any]:
    """Milliseconds of each kind of search over `complaints`, and events a second of a rebuild of `events`."""
    with fresh_database(cluster) as dsn:
        await migrate(dsn, "records")
        conn = await asyncpg.connect(dsn, server_settings={"search_path": "records"})
        try:
            rebuilt = await _rebuild(conn, events)
            await _seed(conn, complaints)
            found = {name: await _times(conn, make) for name, make in _kinds().items()}
            size: int = await conn.fetchval("select pg_total_relation_size('case_index')")
        finally:
            await conn.close()
    every = sorted(each for times in found.values() for each in times)
    return {
        "complaints": complaints,
        "bytes_per_complaint": size // complaints,
        "p50_ms": _part(every, 50),
        "p95_ms": _part(every, 95),
        "kinds": {name: {"p50_ms": _part(sorted(times), 50), "p95_ms": _part(sorted(times), 95)} for name, times in found.items()},
        **rebuilt,
    }


def _part(times: list[float], percent: int) -> float:
    return round(times[min(len(times) - 1, len(times) * percent // 100)], 1)


async def _seed(conn: Any, complaints: int) -> None:
    """Rows first, indexes then: by far the fastest, and what a rebuilt index looks like."""
    await conn.execute("truncate case_index")
    indexes = await conn.fetch(projector.INDEXES)
    for row in indexes:
        await conn.execute(f"drop index {row['indexname']}")
    await conn.execute("select setseed(0.5)")
    for first in range(1, complaints + 1, CHUNK):
        tell(f"search: {first - 1} of {complaints} complaints")
        await conn.execute(SEED, first, min(first + CHUNK - 1, complaints), complaints, NOW)
    tell("search: their indexes")
    await conn.execute("set maintenance_work_mem = '512MB'")
    for row in indexes:
        await conn.execute(row["indexdef"])
    await conn.execute("vacuum analyze case_index")


def _kinds() -> dict[str, Ask]:
    """What people look for. Words are the more frequent the smaller their number."""

    def word(chance: random.Random, low: int, high: int) -> str:
        return f"w{chance.randrange(low, high)}{chance.choice('abc')}"

    def asked(make: Callable[[random.Random], dict[str, Any]]) -> Ask:
        return lambda conn, chance: query.run(conn, Search(**make(chance)), NOW)

    return {
        "a rare word": asked(lambda c: {"text": word(c, 5000, 20000)}),
        "a frequent word": asked(lambda c: {"text": word(c, 0, 30)}),
        "two words": asked(lambda c: {"text": f"{word(c, 10, 200)} {word(c, 200, 2000)}"}),
        "a phrase": asked(lambda c: {"text": f'"{word(c, 0, 50)} {word(c, 0, 50)}"'}),
        "a word, without another": asked(lambda c: {"text": f"{word(c, 100, 900)} -{word(c, 0, 5)}"}),
        "a word that nobody used": asked(lambda c: {"text": "quetzalcoatl"}),
        "a frequent word, of a team": asked(lambda c: {"text": word(c, 0, 30), "team": f"team-{c.randrange(40)}"}),
        "a word, open": asked(lambda c: {"text": word(c, 30, 300), "status": ("open",)}),
        "open": asked(lambda c: {"status": ("open",)}),
        "waiting, of a team": asked(lambda c: {"status": ("waiting",), "team": f"team-{c.randrange(40)}"}),
        "of an owner": asked(lambda c: {"owner": f"agent-{c.randrange(900)}"}),
        "of an owner who has none": asked(lambda c: {"owner": "nobody"}),
        "a cause and angry": asked(lambda c: {"cause": "safety", "heat": "angry"}),
        "overdue": asked(lambda c: {"clock": "overdue"}),
        "overdue, of a team": asked(lambda c: {"clock": "overdue", "team": f"team-{c.randrange(40)}"}),
        "due today": asked(lambda c: {"clock": "due", "due_before": NOW + timedelta(days=1)}),
        "quiet and open": asked(lambda c: {"clock": "quiet", "status": ("open",)}),
        "a month long ago": asked(_month),
        "a source, tier 4": asked(lambda c: {"source": f"shop-{c.randrange(12)}", "tier": (4,)}),
        "a tier that is not used": asked(lambda c: {"tier": (9,)}),
        "not solved, a late page": asked(lambda c: {"outcome": "not_solved", "after": c.randrange(100_000, 5_000_000)}),
        "unattended": lambda conn, c: conn.fetch(query.UNATTENDED, 500),
        "what changed": lambda conn, c: conn.fetch(query.CHANGES, c.randrange(100_000, 700_000), 200),
        "similar cases": lambda conn, c: _similar(conn, _seeded(c.randrange(1, 10_000))),
    }


def _month(chance: random.Random) -> dict[str, Any]:
    begin = NOW - timedelta(days=chance.randrange(100, 900))
    return {"received_from": begin, "received_before": begin + timedelta(days=30)}


def _seeded(number: int) -> UUID:
    return UUID(bytes=hashlib.md5(str(number).encode(), usedforsecurity=False).digest())


async def _similar(conn: Any, complaint: UUID) -> Any:
    sql, values = query.similar_to(complaint, 10)
    return await conn.fetch(sql, *values)


async def _times(conn: Any, ask: Ask) -> list[float]:
    chance, taken = random.Random(7), []
    for _ in range(TIMES):
        began = time.perf_counter()
        await ask(conn, chance)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def _rebuild(conn: Any, events: int) -> dict[str, Any]:
    """The ledger is filled by the service's own code, sealed; then the index is made from it."""
    keys = CaseKeys(MASTER_KEYS)
    actors = {service: ids.keyed_id(ID_KEY, "actor", service) for service in SERVICES}
    patterns = [_events(first) for first in range(0, min(events, PATTERNS), BATCH)]
    for first in range(0, events, BATCH):
        if first % 50_000 == 0:
            tell(f"search: {first} of {events} events into the ledger")
        turn, place = divmod(first // BATCH, len(patterns))
        batch = [
            event._replace(subject=ids.keyed_id(ID_KEY, "bench", str(turn), str(event.subject)))
            for event in _renumbered(patterns[place], first)
        ]
        async with conn.transaction():
            ciphers = await keys.for_writing(conn, {event.subject for event in batch})
            await store.append(conn, batch, NOW, actors, ciphers)
    tell(f"search: the index from {events} events")
    began, cpu = time.perf_counter(), time.process_time()
    done = await projector.rebuild(conn, CaseKeys(MASTER_KEYS))
    taken = time.perf_counter() - began
    return {
        "rebuilt_events": done,
        "rebuild_events_s": round(done / taken),
        "rebuild_cpu_us": round((time.process_time() - cpu) / done * 1e6, 1),
        "rebuilt_cases": await conn.fetchval("select count(*) from case_index"),
    }
