"""Records' way of an event: decode -> load -> decide -> save, the ledger rows in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.records import domain, store
from services.records.domain import RecordState
from shared.contracts import ids
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import SERVICES, Event, Undecodable
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_record
from shared.postgres.inputs import Input, Work
from shared.postgres.pool import Connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics

SERVICE = "records"


class Handlers:
    """What records does with events. `saves` is set by app.py: it needs `decide` and `record` of this object."""

    def __init__(self, id_key: bytes) -> None:
        self._actors = {service: ids.keyed_id(id_key, "actor", service) for service in SERVICES}
        self.saves: Saves[RecordState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: RecordState | None, item: Input, now: datetime) -> Decision[RecordState] | Refused:
        return domain.on_event(state, item.body, now)

    async def record(self, conn: Connection, work: Work[Any]) -> None:
        """In the transaction of the save: the events that were handled, in their order, into the ledger."""
        events = [item.event for item, _ in work.handled if item.event is not None]
        if events:
            await store.append(conn, events, work.now, self._actors)
            metrics.LEDGER_ROWS.labels(SERVICE).inc(len(events))
