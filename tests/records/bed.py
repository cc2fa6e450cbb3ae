"""Records' routes, saves and index on a real database, served over HTTP, without Kafka."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from deploy import cli
from services.records import api, retention, store
from services.records.app import KEPT
from services.records.domain import RecordState, SetHold
from services.records.handlers import Handlers
from services.records.search.projector import Projector
from shared.contracts.envelope import Event
from shared.http.app import make_app
from shared.http.keys import Authenticator, mint
from shared.http.server import Server
from shared.postgres import api_keys
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_event
from shared.postgres.inputs import Input
from shared.postgres.saves import Saves
from shared.telemetry.health import Progress
from tests.ledger.database import ID_KEY, POLICIES, Ledger


class Bed:
    """What a test needs of it."""

    def __init__(self, ledger: Ledger) -> None:
        handlers = Handlers(ID_KEY, ledger.case_keys, POLICIES)
        self.saves: Saves[RecordState] = Saves(
            service="records", pool=ledger.pool, relay=None, id_key=ID_KEY, read=store._STATE.validate_json,
            write=lambda state: store._STATE.dump_json(state).decode(), decide=handlers.decide, also=handlers.record, kept=KEPT,
        )  # fmt: skip
        self.ledger, self.projector = ledger, Projector(ledger.pool, ledger.case_keys, Progress())
        self.url = self.key = ""

    async def record(self, *events: Event) -> None:
        await save_batch(self.saves, [from_event(each) for each in events])
        while await self.projector.step():
            pass

    async def hold(self, subject: UUID, reason: str) -> None:
        async def take(_: Any) -> Any:
            return [Input("command", subject, SetHold(reason=reason, by="x"), "hold", None, "hold", str(subject))]

        await self.saves.act(take)

    async def retention(self, capsys: Any, *options: str) -> Any:
        command = ["records", "retention", "--url", self.url, "--key", self.key, *options]
        assert await asyncio.to_thread(cli.run, command) == 0
        said = capsys.readouterr().out
        return json.loads(said) if "--json" in options else said


@pytest.fixture
async def bed(ledger: Ledger) -> AsyncIterator[Bed]:
    made = Bed(ledger)
    made.key, record = mint("privacy-desk", {"cases:erase", "cases:read"}, None)
    await api_keys.add(ledger.conn, record)
    keys = Authenticator(lambda: api_keys.load(ledger.pool), refresh_s=10.0)
    app = make_app("Records", service="records", progress=Progress())
    app.include_router(api.routes(ledger.pool, keys, made.saves, ledger.case_keys))
    app.include_router(retention.routes(ledger.pool, keys, POLICIES))
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    made.url = server.url
    try:
        yield made
    finally:
        await server.stop(1.0)
