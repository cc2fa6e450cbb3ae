"""Records' way of an event: decode -> load -> decide -> save, the ledger rows in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from services.records import domain, store
from services.records.domain import RecordState
from services.records.payloads import CaseKeys
from services.records.search.recent import Recent
from shared.contracts import ids
from shared.contracts.codec import decode
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import SERVICES, Event, Undecodable
from shared.contracts.records import CheckpointSigned
from shared.contracts.topics import TOPIC_OF
from shared.policy.distribution.line import Policies
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_record
from shared.postgres.inputs import Input, Outgoing, Work
from shared.postgres.pool import Connection
from shared.postgres.saves import Saves
from shared.telemetry import metrics

SERVICE = "records"


class Handlers:
    """What records does with events. `saves` is set by app.py: it needs `decide` and `record` of this object."""

    def __init__(self, id_key: bytes, case_keys: CaseKeys, policies: Policies, recent: Recent | None = None) -> None:
        self._case_keys = case_keys
        self._recent = recent or Recent()
        self.policies = policies
        self._actors = {service: ids.keyed_id(id_key, "actor", service) for service in SERVICES}
        self.saves: Saves[RecordState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await self.policies.caught_up()
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: RecordState | None, item: Input, now: datetime) -> Decision[RecordState] | Refused:
        if item.kind == "command":
            return domain.on_command(state, item.body, now)
        return domain.on_event(state, item.body, now)

    async def record(self, conn: Connection, work: Work[Any]) -> None:
        """In the transaction of the save: the events that were handled, in their order, then our own, into the ledger."""
        events = [item.event for item, _ in work.handled if item.event is not None]
        self._recent.add(events)
        # Not the announcement of a checkpoint: one that had to cover its own announcement would never be the last.
        own = (_own(outgoing) for outgoing in work.outgoing if outgoing.topic == TOPIC_OF[SERVICE])
        events += [event for event in own if event.type != CheckpointSigned.TYPE]
        if not events:
            return
        gone = {subject for subject, row in work.rows.items() if row.erased}
        self._case_keys.forget(gone)
        ciphers = await self._case_keys.for_writing(conn, {event.subject for event in events} - gone)
        await store.append(conn, events, work.now, self._actors, ciphers)
        metrics.LEDGER_ROWS.labels(SERVICE).inc(len(events))


def _own(outgoing: Outgoing) -> Event:
    """An event of ours as those who read it from Kafka will see it."""
    record = _Sent(outgoing.topic, 0, 0, outgoing.key, outgoing.value, outgoing.headers)
    event = decode(record, outgoing.topic)
    if isinstance(event, Undecodable):
        raise TypeError(f"our own event cannot be read: {event.reason}")
    return event


class _Sent(NamedTuple):
    """The part of a Kafka record that the codec reads."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
