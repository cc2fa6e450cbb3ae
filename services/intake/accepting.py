"""Intake's first step: a delivery is read, its submissions are stored under their ids, and the sender is told of each."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import structlog

from services.intake import threads
from services.intake.adapters import ADAPTERS, INTERNAL, comments
from services.intake.adapters.email import SAME_ID
from services.intake.group_commit import Answer, GroupCommit
from services.intake.store import Accepted, Stored
from services.intake.submissions import (
    WHOLE,
    Delivery,
    Identity,
    Item,
    Rejection,
    Submission,
    Unread,
    Unreadable,
    keep,
    kind_of,
    unread,
)
from shared.contracts import ids
from shared.frozen import dataclass, replace
from shared.postgres.pool import Pool
from shared.telemetry import tracing
from shared.vault import KeyStore

log = structlog.get_logger(__name__)

SERVICE = "intake"
# Submissions just accepted need not be read back and parsed again; beyond this many they are. The oldest are normalized first, so
# it is the newest that are not remembered, unless the oldest were taken by another replica long ago.
REMEMBERED = 4_000
STALE_S = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A submission that is stored (or was before, or conflicts with what was), and the complaint that it belongs to: None for an
    answer to an earlier message, which finds its complaint when it is normalized.

    `kind` is what it was read as; `reason` says why, where it is no contact.
    """

    event_id: str
    complaint_id: UUID | None
    answer: Answer
    kind: str = ""
    reason: str | None = None


class Remembered:
    """Deliveries as they were accepted, with their items as they were read: until they are normalized, or there are too many."""

    def __init__(self) -> None:
        self._deliveries: OrderedDict[UUID, tuple[Stored, Sequence[Item] | Unread]] = OrderedDict()
        self._size = 0

    def add(self, stored: Stored, items: Sequence[Item] | Unread) -> None:
        """Remember a delivery that is about to be stored, if there is room; nothing in it is pending yet."""
        size = _size(stored.delivery, items)
        while self._size + size > REMEMBERED and self._deliveries:
            oldest, _ = self._deliveries[next(iter(self._deliveries))]
            if (stored.delivery.received_at - oldest.delivery.received_at).total_seconds() < STALE_S:
                return
            self.forget(oldest.delivery.id)
        self._deliveries[stored.delivery.id] = (stored, items)
        self._size += size

    def pending(self, new: Iterable[Accepted]) -> None:
        """These submissions are stored and wait to be normalized."""
        for accepted in new:
            remembered = self._deliveries.get(accepted.delivery.id)
            if remembered is not None:
                remembered[0].pending[accepted.item] = accepted.complaint_id

    def of(self, deliveries: Iterable[UUID]) -> dict[UUID, tuple[Stored, Sequence[Item] | Unread]]:
        """Those of `deliveries` that are remembered and hold something to normalize."""
        return {i: found for i in deliveries if (found := self._deliveries.get(i)) is not None and found[0].pending}

    def forget(self, delivery_id: UUID) -> None:
        remembered = self._deliveries.pop(delivery_id, None)
        if remembered is not None:
            self._size -= _size(remembered[0].delivery, remembered[1])


class Accepting:
    """What intake does with a request, mail or record, until it is durable. `arrived` is set when there is something to normalize."""

    def __init__(self, pool: Pool, id_key: bytes, master_keys: KeyStore) -> None:
        self._id_key = id_key
        self.commits = GroupCommit(pool, master_keys, stored=self._just_stored)
        self.remembered = Remembered()
        self.arrived = asyncio.Event()

    async def accept(self, delivery: Delivery, adapter: str, carrier: tracing.Carrier) -> list[Answered | Rejection]:
        """Store the items of a delivery; returns what became of each. Raises Unreadable and NotStored."""
        items = ADAPTERS[adapter].read(delivery)
        numbered = {
            number: (item.identity, subject_of(self._id_key, delivery.source, item))
            for number, item in enumerate(items)
            if not isinstance(item, Rejection)
        }
        answered = iter(await self._store(delivery, adapter, carrier, items, numbered))
        return [item if isinstance(item, Rejection) else next(answered) for item in items]

    async def keep(self, delivery: Delivery, adapter: str, carrier: tracing.Carrier) -> list[Answered]:
        """Store all of a delivery whose sender gets the same answer whatever is in it: what cannot be used is rejected later,
        what cannot be read goes to the dead letters. Raises only NotStored."""
        items = read_items(delivery, adapter)
        if isinstance(items, Unread):
            subject = ids.submission_id(self._id_key, delivery.source, items.identity.event_id)
            answered = await self._store(delivery, adapter, carrier, items, {WHOLE: (items.identity, subject)})
            return [replace(each, kind="dead_letter", reason=items.reason) for each in answered]
        told = [keep(item, delivery, number, adapter) for number, item in enumerate(items)]
        answered = await self._store(delivery, adapter, carrier, items, numbered(self._id_key, delivery.source, told))
        if adapter == "email" and answered[0].answer == "conflict" and SAME_ID not in delivery.headers:
            # Two mails under one Message-ID: some programs use one for all. The second gets one that tells its content.
            headers = {**delivery.headers, SAME_ID: hashlib.sha256(delivery.body).hexdigest()[:16]}
            return await self.keep(replace(delivery, id=ids.time_ordered_id(), headers=headers), adapter, carrier)
        return [
            replace(
                each,
                complaint_id=None if threads.answers(item) else each.complaint_id,
                kind=kind_of(item),
                reason=getattr(item, "reason", None),
            )
            for each, item in zip(answered, told, strict=True)
        ]

    async def _store(
        self,
        delivery: Delivery,
        adapter: str,
        carrier: tracing.Carrier,
        items: Sequence[Item] | Unread,
        places: Mapping[int, tuple[Identity, UUID]],
    ) -> list[Answered]:
        accepted = [
            Accepted(delivery, adapter, carrier.traceparent, number, identity, subject)
            for number, (identity, subject) in places.items()
        ]
        if not accepted:
            return []
        self.remembered.add(Stored(delivery, adapter, carrier.traceparent, {}), items)
        answers = await self.commits.accept(accepted)
        if all(answer != "accepted" for answer in answers):
            self.remembered.forget(delivery.id)
        return [
            Answered(a.identity.event_id, a.complaint_id, answer) for a, answer in zip(accepted, answers, strict=True)
        ]

    def _just_stored(self, new: Sequence[Accepted]) -> None:
        self.remembered.pending(new)
        self.arrived.set()


def read_items(delivery: Delivery, adapter: str) -> Sequence[Item] | Unread:
    """The items of a delivery; Unread when its adapter cannot read it, fails on it, or is no longer there."""
    try:
        return (ADAPTERS.get(adapter) or INTERNAL[adapter]).read(delivery) or unread(delivery, "it holds nothing")
    except Unreadable as problem:
        return unread(delivery, problem.detail)
    except Exception as defect:
        log.error("an adapter failed", adapter=adapter, delivery=str(delivery.id), error=type(defect).__name__)
        return unread(delivery, f"the adapter {adapter} failed on it ({type(defect).__name__})")


def subject_of(id_key: bytes, source: str, submission: Submission) -> UUID:
    """The complaint that a submission is about; also of one that is set aside, for people who look for it."""
    if source == comments.SOURCE:
        return UUID(submission.identity.record_id)
    return ids.complaint_id(id_key, source, submission.identity.record_id)


def numbered(id_key: bytes, source: str, kept: Iterable[Submission]) -> dict[int, tuple[Identity, UUID]]:
    """By number in its delivery: which submission it is, and about which complaint."""
    return {number: (item.identity, subject_of(id_key, source, item)) for number, item in enumerate(kept)}


def _size(delivery: Delivery, items: Sequence[Item] | Unread) -> int:
    """How much of what may be remembered this takes: a large mail as much as many small items."""
    return (1 if isinstance(items, Unread) else len(items)) + len(delivery.body) // 8_192
