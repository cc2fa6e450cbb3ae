"""The ledger of a test: append events, publish, verify, and do what only the owner of a database can do."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.records import key_files, ledger_audit, log_folder, publish, signer, store
from services.records.app import POLICY
from services.records.domain import RecordState
from services.records.handlers import Handlers
from services.records.payloads import CaseKeys
from services.records.tree import note
from services.records.tree.checkpoint import Head
from shared.contracts import ids
from shared.contracts.envelope import SERVICES, Event, Position
from shared.policy.distribution.line import Fixed
from shared.policy.document import load_policy
from shared.postgres.pool import Pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Saves
from shared.telemetry.health import Progress
from shared.vault import MasterKeys
from tests.delivery.parts import ListSender, MemoryKafka

POLICIES = Fixed(load_policy((files("services.records") / "policy" / POLICY).read_text(encoding="utf-8"), origin=POLICY))

ID_KEY = bytes(range(32))
ORIGIN = "complaints.example.com/ledger"
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MASTER_KEYS = MasterKeys({"test": bytes(range(32))})
TABLES = ("ledger_leaf", "ledger_payload", "ledger_tile", "ledger_checkpoint", "ledger_key")
ACTORS = {service: ids.keyed_id(ID_KEY, "actor", service) for service in SERVICES}


class Ledger:
    """One database with the tables of records."""

    def __init__(self, dsn: str, pool: Pool, conn: Any, folder: Path) -> None:
        self.dsn, self.pool, self.conn, self.folder = dsn, pool, conn, folder
        self.key_file = folder / "signing.key"
        self.kafka = MemoryKafka()
        self.case_keys = CaseKeys(MASTER_KEYS)
        self._events = 0

    async def append(self, count: int, batch: int = 500) -> list[Event]:
        """That many events, in saves of `batch`."""
        events = [event(self._events + number) for number in range(count)]
        for at in range(0, count, batch):
            async with self.pool.acquire() as conn, conn.transaction():
                some = events[at : at + batch]
                ciphers = await self.case_keys.for_writing(conn, {each.subject for each in some})
                await store.append(conn, some, AT + timedelta(seconds=self._events), ACTORS, ciphers)
            self._events += len(events[at : at + batch])
        return events

    def signer(self, name: str = ORIGIN) -> signer.Signer:
        """The signer of this log, as a process that starts now has it."""
        if not self.key_file.exists():
            key_files.make(self.key_file, name)
        return signer.load(self.key_file)

    def publisher(self, **options: Any) -> publish.Publisher:
        """A replica that starts now."""
        relay = Relay(service="records", pool=self.pool, sender=ListSender(self.kafka), progress=Progress())
        saves: Saves[RecordState] = Saves(
            service="records", pool=self.pool, relay=relay, id_key=ID_KEY, read=store._STATE.validate_json,
            write=lambda state: store._STATE.dump_json(state).decode(), decide=Handlers(ID_KEY, self.case_keys, POLICIES).decide,
        )  # fmt: skip
        options.setdefault("signer", self.signer())
        return publish.Publisher(self.pool, saves, ID_KEY, **options)

    async def publish(self) -> Head:
        """Integrate and sign what is there."""
        head = await self.publisher().step()
        assert head is not None
        return head

    @property
    def keys(self) -> list[note.Verifier]:
        return list(self.signer().verifiers)

    async def verify(self, *known: Head) -> log_folder.Report:
        """`amends records verify`, with the key that the auditor has."""
        return await ledger_audit.audit(self.conn, self.keys, known, case_keys=CaseKeys(MASTER_KEYS))

    @contextlib.asynccontextmanager
    async def as_owner(self) -> AsyncIterator[Any]:
        """What the owner of the database can do: no trigger and no check stands in the way."""
        for table in TABLES:
            await self.conn.execute(f"alter table {table} disable trigger all")
        await self.conn.execute("alter table ledger_leaf drop constraint if exists ledger_leaf_check")
        try:
            yield self.conn
        finally:
            for table in TABLES:
                await self.conn.execute(f"alter table {table} enable trigger all")

    async def login(self, *roles: str) -> Any:
        """A connection of a login that has these roles and nothing else."""
        name = f"test_{random.getrandbits(64):016x}"
        await self.conn.execute(f"create role {name} login password 'x' in role {', '.join(roles)}")
        return await asyncpg.connect(self.dsn, user=name, password="x", server_settings={"search_path": "records"})


def event(number: int) -> Event:
    """An event that is like no other."""
    subject = UUID(int=random.Random(number % 50).getrandbits(128))
    data = b'{"status":"open","by":"person %d"}' % number
    return Event(
        ids.event_id(ID_KEY, "escalation", subject, number + 1), "amends.escalation.status_changed.v1", "escalation", subject,
        number + 1, AT, "", "", "", "", data, Position("escalations", 0, number),
    )  # fmt: skip
