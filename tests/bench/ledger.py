"""The ledger alone: saving beside plain COPY of the same bytes, integrating, verifying, proving, and what an event takes on disk."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

from services.records import key_files, ledger_audit, log_export, log_folder, publish, signer, store
from services.records.domain import RecordState
from services.records.payloads import CaseKeys
from shared.contracts import ids
from shared.contracts.envelope import SERVICES, Event
from shared.postgres.migrate import migrate
from shared.postgres.pool import make_pool
from shared.postgres.saves import Saves
from shared.vault import MasterKeys
from tests.bench.bed import tell
from tests.bench.cost import Machine
from tests.bench.events import Maker, read_back
from tests.bench.samples import Samples
from tests.harness.cluster import Cluster, fresh_database

BATCH = 500
MASTER_KEYS = MasterKeys({"bench": bytes(32)})
ID_KEY = bytes(range(32))
ACTORS = {service: ids.keyed_id(ID_KEY, "actor", service) for service in SERVICES}
TABLES = ("ledger_leaf", "ledger_payload")
PROOFS = 300
# The same columns without keys, checks and triggers: what PostgreSQL takes for the bytes alone.
PLAIN = "create table plain_{table} as select * from {table} where false"


async def ledger(cluster: Cluster, folder: Path, *, events: int, rounds: int) -> dict[str, Any]:
    """Rates in events or leaves a second; `cpu_us` is this process's own CPU for each."""
    machine, began = Machine(), time.process_time()
    with fresh_database(cluster) as dsn:
        await migrate(dsn, "records")
        conn = await asyncpg.connect(dsn, server_settings={"search_path": "records"})
        pool = await make_pool(dsn, service="records")
        try:
            for table in TABLES:
                await conn.execute(PLAIN.format(table=table))
            found = await _saving(conn, events, rounds)
            found["bytes_per_event"] = await _bytes(conn)
            found.update(await _reading(conn, pool, folder))
        finally:
            await conn.close()
            await pool.close()
    return {**found, "machine": machine.read(time.process_time() - began)}


async def _saving(conn: Any, events: int, rounds: int) -> dict[str, Any]:
    """Saves and plain COPY in turn, so that both have the same neighbours on the machine."""
    saves, copies, cpu = [], [], []
    case_keys = CaseKeys(MASTER_KEYS)
    batches = [_events(first) for first in range(0, events, BATCH)]
    number = 0
    for turn in range(rounds):
        tell(f"ledger: {len(batches) * BATCH} events, round {turn + 1} of {rounds}")
        at = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=turn)
        renumbered = [_renumbered(batch, number + place * BATCH) for place, batch in enumerate(batches)]
        number += len(batches) * BATCH
        first: int = await conn.fetchval("select size from ledger_head")

        async def save(batch: Sequence[Event], at: datetime = at) -> None:
            async with conn.transaction():
                ciphers = await case_keys.for_writing(conn, {event.subject for event in batch})
                await store.append(conn, batch, at, ACTORS, ciphers)

        started = time.process_time()
        saves.append(await _rate(renumbered, save))
        cpu.append((time.process_time() - started) / (len(batches) * BATCH) * 1e6)
        rows = [
            [
                [tuple(row) for row in await conn.fetch(f"select * from {table} where idx >= $1 and idx < $2 order by idx", *span)]
                for table in TABLES
            ]
            for span in ((at, at + BATCH) for at in range(first, first + len(batches) * BATCH, BATCH))
        ]

        async def copy(batch: Sequence[Any]) -> None:
            async with conn.transaction():
                for table, records in zip(TABLES, batch, strict=True):
                    await conn.copy_records_to_table(f"plain_{table}", records=records)

        copies.append(await _rate(rows, copy))
        for table in TABLES:
            await conn.execute(f"truncate plain_{table}")
    return {
        "save_events_s": median(saves),
        "save_cpu_us": median(cpu),
        "copy_events_s": median(copies),
        "save_of_copy": round(median(saves) / median(copies), 3),
    }


async def _reading(conn: Any, pool: Any, folder: Path) -> dict[str, Any]:
    size: int = await conn.fetchval("select size from ledger_head")
    key = folder / "ledger.key"
    key_files.make(key, "bench.example.com/ledger")
    signing = signer.load(key)
    saves: Saves[RecordState] = Saves(
        service="records", pool=pool, relay=None, id_key=ID_KEY, read=store._STATE.validate_json,
        write=lambda state: store._STATE.dump_json(state).decode(), decide=publish.announce,
    )  # fmt: skip
    tell(f"ledger: {size} leaves into the tree")
    publishing = await _timed(publish.Publisher(pool, saves, ID_KEY, signing).step, size)
    tell("ledger: verifying the database, and an export")
    verified = await _timed(lambda: ledger_audit.audit(conn, signing.verifiers, payloads=False), size)
    verified_all = await _timed(lambda: ledger_audit.audit(conn, signing.verifiers, case_keys=CaseKeys(MASTER_KEYS)), size)
    exported = await _timed(lambda: log_export.export(conn, log_folder.Writer(folder / "log"), lambda done, size: None), size)
    started = time.perf_counter()
    report = log_folder.audit(folder / "log", signing.verifiers)
    folder_s = time.perf_counter() - started
    if not report.valid:
        raise RuntimeError(f"the ledger of the benchmark does not verify: {report.reason}")
    chance, taken = random.Random(1), []
    event_ids = [row[0] for row in await conn.fetch("select event_id from ledger_leaf tablesample system (5) limit 5000")]
    prover = CaseKeys(MASTER_KEYS)
    for event_id in chance.sample(event_ids, min(PROOFS, len(event_ids))):
        begun = time.perf_counter()
        if await log_export.prove(conn, event_id, prover) is None:
            raise RuntimeError("an event of the benchmark has no proof")
        taken.append((time.perf_counter() - begun) * 1000)
    return {
        "leaves": size,
        "publish_leaves_s": publishing,
        "verify_database_leaves_s": verified,
        "verify_payloads_leaves_s": verified_all,
        "export_leaves_s": exported,
        "verify_export_leaves_s": round(size / folder_s),
        "proof_p50_ms": round(median(taken), 2),
        "proof_p99_ms": round(sorted(taken)[len(taken) * 99 // 100], 2),
    }


async def _timed(work: Callable[[], Awaitable[object]], count: int) -> int:
    started = time.perf_counter()
    await work()
    return round(count / (time.perf_counter() - started))


async def _rate(batches: Sequence[Any], work: Callable[[Any], Awaitable[None]]) -> int:
    started = time.perf_counter()
    for batch in batches:
        await work(batch)
    return round(len(batches) * BATCH / (time.perf_counter() - started))


async def _bytes(conn: Any) -> dict[str, int]:
    """On disk with indexes, by what it is for."""
    rows: int = await conn.fetchval("select size from ledger_head")
    sizes = {table: await conn.fetchval("select pg_total_relation_size($1::regclass)", table) for table in TABLES}
    payload: int = await conn.fetchval("select sum(octet_length(payload)) from ledger_payload")
    return {"payload": payload // rows, **{table: size // rows for table, size in sizes.items()}}


def _events(first: int) -> list[Event]:
    """Events as the services write them: complaints, decisions and plans in turn."""
    made = Maker(ID_KEY).make(Samples("ledger"), first, BATCH // 3 + 1)
    turns = zip_longest(made.complaints, made.escalations, made.followups)
    outgoing = [each for turn in turns for each in turn if each is not None]
    return read_back(outgoing[:BATCH])


def _renumbered(events: Sequence[Event], first: int) -> list[Event]:
    """The same events under ids of their own."""
    return [event._replace(id=ids.event_id(ID_KEY, "bench", event.subject, first + place)) for place, event in enumerate(events)]
