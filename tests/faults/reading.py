"""What the checker looks at, read from outside: PostgreSQL's tables, Kafka's topics. Shares no code with the services."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SERVICES = ("intake", "escalation", "followup", "records")
WRITER = {"complaints": "intake", "escalations": "escalation", "followups": "followup"}
READERS = {
    "complaints": ("escalation", "followup", "records"),
    "escalations": ("followup", "records"),
    "followups": ("escalation", "records"),
}
MARK = "x-poison"
PARTITIONS = 6


@dataclass(frozen=True)
class Event:
    """One event, from a topic or from the ledger."""

    id: str
    type: str
    service: str
    subject: str
    sequence: int
    time: datetime
    data: bytes
    causation_id: str

    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.data)
        return value


@dataclass(frozen=True)
class Record:
    """One record of a topic. `event` is None where it does not read as one; `poison` is the injector's mark."""

    topic: str
    partition: int
    offset: int
    event: Event | None
    poison: bool


@dataclass(frozen=True)
class LedgerRow:
    idx: int
    leaf: bytes
    leaf_hash: bytes
    event_id: str
    complaint_id: str
    salt: bytes
    payload: bytes
    event: Event


@dataclass
class Tables:
    """One service's delivery tables."""

    sequence: dict[str, int] = field(default_factory=dict)
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    held: set[tuple[str, str, int]] = field(default_factory=set)
    dead: list[str] = field(default_factory=list)
    outbox: int = 0


@dataclass
class World:
    """Everything there is after a run."""

    records: dict[str, list[Record]]
    ledger: list[LedgerRow]
    ledger_size: int
    tables: dict[str, Tables]
    submissions: list[Any]
    bodies: dict[str, bytes]
    timers: dict[tuple[str, str], datetime]
    by_subject: dict[str, dict[str, list[Event]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_subject = defaultdict(lambda: defaultdict(list))
        for row in self.ledger:
            self.by_subject[row.event.subject][row.event.service].append(row.event)


async def read(dsn: str, bootstrap: str, prefix: str) -> World:
    """Read it all, once nothing moves any more."""
    records = await _read_topics(bootstrap, prefix)
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        async with conn.transaction(isolation="repeatable_read"):
            keys = {r["complaint_id"]: _unwrap(r["complaint_id"], r["wrapped"]) for r in await conn.fetch(CASE_KEYS)}
            return World(
                records=records,
                ledger=[_row(r, keys) for r in await conn.fetch(LEDGER)],
                ledger_size=await conn.fetchval("select size from records.ledger_head"),
                tables={service: await _tables(conn, service) for service in SERVICES},
                submissions=await conn.fetch("select * from intake.submission"),
                bodies={
                    str(r["id"]): _unseal(_unwrap(r["id"], r["wrapped"]), r["id"], r["body"])
                    for r in await conn.fetch(BODIES)
                },
                timers={
                    (str(r["complaint_id"]), r["name"]): r["due_at"]
                    for r in await conn.fetch("select complaint_id, name, due_at from followup.timer")
                },
            )
    finally:
        await conn.close()


CASE_KEYS = "select complaint_id, wrapped from records.complaint_key"
BODIES = "select id, body, wrapped from intake.delivery join intake.delivery_key on delivery_key.delivery_id = delivery.id"
MASTER_KEY = bytes(range(32))
LEDGER = """
select idx, leaf, leaf_hash, event_id, complaint_id, salt, payload, service, event_type, sequence
from records.ledger_leaf full join records.ledger_payload using (idx) order by idx
"""


def _unwrap(owner: Any, wrapped: bytes) -> bytes:
    """The data key under the master key: a length, its name, then nonce and ciphertext for the owner's id."""
    return _unseal(MASTER_KEY, owner, wrapped[1 + wrapped[0] :])


def _unseal(key: bytes, place: Any, sealed: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], place.bytes)


def _row(row: Any, keys: dict[Any, bytes]) -> LedgerRow:
    plain = _unseal(keys[row["complaint_id"]], row["event_id"], row["payload"])
    salt, payload = plain[:32], plain[32:]
    head, _, data = payload.partition(b"\n")
    told = json.loads(head)
    event = Event(
        told["id"], told["type"], told["service"], told["subject"], told["sequence"], datetime.fromisoformat(told["time"]),
        data, told["causation_id"],
    )  # fmt: skip
    if (event.service, event.type, event.sequence) != (row["service"], row["event_type"], row["sequence"]):
        raise AssertionError(f"ledger row {row['idx']}: its columns and its payload name different events")
    return LedgerRow(
        row["idx"], row["leaf"], row["leaf_hash"], str(row["event_id"]), str(row["complaint_id"]), salt,
        payload, event,
    )  # fmt: skip


async def _tables(conn: Any, service: str) -> Tables:
    tables = Tables()
    for row in await conn.fetch(f"select complaint_id, sequence, seen from {service}.complaint_state"):
        tables.sequence[str(row["complaint_id"])] = row["sequence"]
        tables.seen[str(row["complaint_id"])] = json.loads(row["seen"])
    tables.held = {
        (row["service"], str(row["complaint_id"]), row["sequence"])
        for row in await conn.fetch(f"select service, complaint_id, sequence from {service}.held")
    }
    tables.dead = [row["reference"] for row in await conn.fetch(f"select reference from {service}.dead_letter")]
    tables.outbox = await conn.fetchval(f"select count(*) from {service}.outbox")
    return tables


async def _read_topics(bootstrap: str, prefix: str) -> dict[str, list[Record]]:
    """Every record of every topic, in the order of each partition."""
    topics = (*WRITER, "dead-letters")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4_194_304,
    )  # fmt: skip
    records: dict[str, list[Record]] = {topic: [] for topic in topics}
    await consumer.start()
    try:
        partitions = [TopicPartition(prefix + topic, number) for topic in topics for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        left = {tp for tp in partitions if ends[tp]}
        while left:
            for tp, batch in (await consumer.getmany(*left, timeout_ms=100)).items():
                topic = tp.topic.removeprefix(prefix)
                records[topic] += [_record(raw, topic) for raw in batch if raw.offset < ends[tp]]
                if batch[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
        return records
    finally:
        await consumer.stop()


def _record(raw: Any, topic: str) -> Record:
    return Record(topic, raw.partition, raw.offset, _event(raw), any(name == MARK for name, _ in raw.headers))


def _event(raw: Any) -> Event | None:
    try:
        headers = {name: value.decode() for name, value in raw.headers}
        return Event(
            headers["ce_id"], headers["ce_type"], headers["ce_source"].removeprefix("/amends/"), headers["ce_subject"],
            int(headers["ce_sequence"]), datetime.fromisoformat(headers["ce_time"]), raw.value,
            headers.get("ce_causationid", ""),
        )  # fmt: skip
    except (KeyError, ValueError, AttributeError):
        return None


async def lag(bootstrap: str, prefix: str) -> int:
    """How many records the services have not yet committed, of all topics and groups together."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await admin.start()
    await consumer.start()
    try:
        missing = 0
        partitions = [TopicPartition(prefix + topic, p) for topic in WRITER for p in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        for service in ("escalation", "followup", "records"):
            done = await admin.list_consumer_group_offsets(f"{prefix}amends-{service}")
            for tp, end in ends.items():
                if service in READERS[tp.topic.removeprefix(prefix)]:
                    missing += end - max(0, done[tp].offset if tp in done else 0)
        return missing
    finally:
        await consumer.stop()
        await admin.close()
