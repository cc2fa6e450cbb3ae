"""Each service's hop with a million complaints in its tables, beside the same hop on empty ones.

The rows are made in the database out of some that the services' own code made: other ids, the same content.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from services.escalation.domain import EscalationState
from services.followup.domain import UPDATE, FollowUpState
from services.intake.domain import IntakeState
from services.records import ledger
from services.records.domain import RecordState
from shared.contracts import ids
from tests.bench.bed import Bed, tell
from tests.bench.events import CONTENT_TYPE, SOURCE, Maker, read_back
from tests.bench.hops import hop
from tests.bench.samples import Samples
from tests.harness.cluster import Cluster

COMPLAINTS = 1_000_000
CHUNK = 100_000
VARIANTS = 1_000
STATES: dict[str, TypeAdapter[Any]] = {
    "intake": TypeAdapter(IntakeState),
    "escalation": TypeAdapter(EscalationState),
    "followup": TypeAdapter(FollowUpState),
    "records": TypeAdapter(RecordState),
}

VARIANT = """
create temporary table variant (
    n integer primary key, sequence bigint not null, seen json not null, state json not null, body bytea not null
)
"""
VARIANT_EVENT = """
create temporary table variant_event (
    n integer not null, place integer not null, service text not null, event_type text not null, sequence bigint not null,
    leaf bytea not null, payload bytea not null, primary key (n, place)
)
"""
# $1 and $2: the first and the last complaint of a chunk; $3: how many variants there are.
FRESH = """
with fresh as materialized (
    select g, g % $3::int as n, gen_random_uuid() as complaint_id from generate_series($1::bigint, $2::bigint) as g
), state as (
    insert into complaint_state (complaint_id, revision, sequence, seen, state)
    select complaint_id, 1, sequence, seen, state from fresh join variant using (n)
    returning complaint_id
)
"""
SEEDS = {
    # Delivery ids begin with their time, as those that intake makes.
    "intake": FRESH
    + """, sent as materialized (
    select fresh.*, encode(substring(int8send((extract(epoch from now()) * 1000)::bigint - 86400000 + g) from 3)
        || substring(uuid_send(complaint_id) from 7), 'hex')::uuid as delivery_id
    from fresh
), delivered as (
    insert into delivery (id, source, adapter, received_at, content_type, headers, body, traceparent)
    select delivery_id, $4, 'canonical', now() - interval '1 day', $5, '{}', body, $6 from sent join variant using (n)
    returning id
)
insert into submission (source, event_id, delivery_id, item, sha256, complaint_id, outcome)
select $4, 'seed-' || g, delivery_id, 0, sha256(int8send(g)), complaint_id, 'complaint' from sent
""",
    "escalation": FRESH + "select count(*) from state",
    # Due in the weeks to come, so that none of them fires.
    "followup": FRESH
    + """
insert into timer (complaint_id, name, due_at, traceparent)
select complaint_id, $4, now() + interval '2 days' + random() * interval '20 days', $5 from fresh
""",
    "records": FRESH
    + """, event as materialized (
    select (g - 1) * 3 + place as idx, gen_random_uuid() as event_id, complaint_id, service, event_type, sequence,
        leaf, payload
    from fresh join variant_event using (n)
), paid as (
    insert into ledger_payload (idx, service, event_type, sequence, occurred_at, recorded_at, salt, payload)
    select idx, service, event_type, sequence, now() - interval '1 day', now() - interval '1 day',
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), payload
    from event
), leaf as (
    select idx, event_id, complaint_id, overlay(
        overlay(leaf placing uuid_send(event_id) from 5 for 16) placing uuid_send(complaint_id) from 21 for 16
    ) as leaf
    from event
)
insert into ledger_leaf (idx, leaf, leaf_hash, event_id, complaint_id)
select idx, leaf, sha256('\\x00'::bytea || leaf), event_id, complaint_id from leaf
""",
}
TABLES = {
    "intake": ("complaint_state", "delivery", "submission"),
    "escalation": ("complaint_state",),
    "followup": ("complaint_state", "timer"),
    "records": ("complaint_state", "ledger_leaf", "ledger_payload", "ledger_head"),
}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


async def large(
    cluster: Cluster, folder: Path, services: Sequence[str], *, events: int, rounds: int, complaints: int = COMPLAINTS
) -> dict[str, dict[str, Any]]:
    """Each service's hop on empty tables and then on full ones, with the ratio of the two speeds."""

    async def fill(made: Bed, service: str) -> None:
        await seed(made, service, complaints)

    results: dict[str, dict[str, Any]] = {}
    for service in services:
        empty = await hop(cluster, folder, service, events=events, rounds=rounds)
        full = await hop(cluster, folder, service, events=events, rounds=rounds, seed=fill)
        results[service] = {
            **full,
            "complaints": complaints,
            "empty": empty,
            "ratio_to_empty": round(full["events_s"] / empty["events_s"], 3),
            "cpu_to_empty": round(_cpu_us(full) / _cpu_us(empty), 3),
        }
    return results


def _cpu_us(hop: dict[str, Any]) -> float:
    """CPU of one event in all processes: what other work on the machine disturbs less than the speed."""
    return sum(float(hop.get(name, 0.0)) for name in ("cpu_us", "postgres_cpu_us", "kafka_cpu_us"))


async def seed(made: Bed, service: str, complaints: int) -> None:
    """Put that many complaints into the tables of a service."""
    more: dict[str, tuple[Any, ...]] = {
        "intake": (SOURCE, CONTENT_TYPE, TRACEPARENT),
        "followup": (UPDATE, TRACEPARENT),
    }
    conn = await made.connect(service)
    try:
        for setting in ("synchronous_commit = off", "work_mem = '256MB'", "maintenance_work_mem = '256MB'"):
            await conn.execute(f"set {setting}")
        await _variants(conn, made.id_key, service)
        for first in range(1, complaints + 1, CHUNK):
            last = min(first + CHUNK - 1, complaints)
            await conn.execute(SEEDS[service], first, last, VARIANTS, *more.get(service, ()))
            tell(f"large: {service}, {last:,} of {complaints:,} complaints")
        if service == "records":
            await conn.execute("update ledger_head set size = $1", 3 * complaints)
            # The search index behind the ledger is not made of them: working that off would be measured with the hop.
            await conn.execute("update case_position set idx = $1", 3 * complaints - 1)
        for table in TABLES[service]:
            await conn.execute(f"vacuum (analyze) {table}")
    finally:
        await conn.close()


async def _variants(conn: Any, id_key: bytes, service: str) -> None:
    """Rows and events that the services' own code makes, as the pattern of all others."""
    samples, maker = Samples("variants"), Maker(id_key)
    made = maker.make(samples, 0, VARIANTS)
    await conn.execute(VARIANT)
    await conn.copy_records_to_table(
        "variant",
        records=[
            (n, row.sequence, orjson.dumps(row.seen).decode(), STATES[service].dump_json(row.state).decode(), samples.item(n))
            for n, row in enumerate(made.rows[service].values())
        ],
    )  # fmt: skip
    if service != "records":
        return
    await conn.execute(VARIANT_EVENT)
    now, actor = datetime.now(UTC), ids.keyed_id(id_key, "actor", "intake")
    events = [read_back(outgoing) for outgoing in (made.complaints, made.escalations, made.followups)]
    records = []
    for place, of_one_service in enumerate(events):
        for n, event in enumerate(of_one_service):
            payload = ledger.payload(event)
            leaf = ledger.leaf(event, now, actor, ledger.commit(bytes(ledger.SALT_SIZE), payload))
            records.append((n, place, event.service, event.type, event.sequence, leaf, payload))
    await conn.copy_records_to_table("variant_event", records=records)
