"""Intake's second step: stored submissions are normalized: take -> decide -> save. The first is in accepting.py."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from services.intake import comments, customers, domain, merges, outcomes, repeats, store
from services.intake.accepting import Accepting, numbered, read_items
from services.intake.customers import Customers
from services.intake.domain import IntakeState
from services.intake.normal import Normal, about, heard, is_message, place_of
from services.intake.reading import Reader
from services.intake.sources import Sources
from services.intake.store import Stored
from services.intake.submissions import (
    WHOLE,
    ContactSubmission,
    Delivery,
    Item,
    Rejected,
    ReplySubmission,
    SetAside,
    Unread,
    keep,
)
from services.intake.threads import Joining, threaded
from shared.contracts import ids
from shared.contracts.complaints import Returned
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, Undecodable
from shared.errors import TooManyDeadLetters
from shared.frozen import replace
from shared.policy.distribution.line import Policies
from shared.postgres.dead_letters import refuse, save_batch
from shared.postgres.fold import Parked, from_record
from shared.postgres.inputs import Input, Inputs, Work
from shared.postgres.pool import Connection
from shared.postgres.saves import Saves
from shared.telemetry import tracing
from shared.telemetry.health import Progress
from shared.text.reading.rules import Rules
from shared.turns import in_turns
from shared.vault import KeyStore

log = structlog.get_logger(__name__)

BATCH_ITEMS = 250
BUSY_ITEMS = 25  # while many senders wait for their answer
IDLE_S = 1.0
# A save of one submission costs almost as much as a save of fifty: what comes within this time shares one.
GATHER_S = 0.02
HALT_RETRY_S = 15.0
KNOWN_S = 20.0


class Handlers:
    """What intake does with what was accepted. `saves` is set by app.py: it needs `decide` of this object."""

    def __init__(
        self, accepting: Accepting, id_key: bytes, progress: Progress, master_keys: KeyStore, sources: Sources | None = None,
        *, policies: Policies,
    ) -> None:  # fmt: skip
        self._policies = policies
        self._id_key = id_key
        self._master_keys = master_keys
        self._sources = sources
        self._progress = progress
        self._accepting = accepting
        self._commits = accepting.commits
        self._arrived = accepting.arrived
        self._remembered = accepting.remembered
        self.saves: Saves[IntakeState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        """Of what records writes, only that a complaint was erased concerns intake; of what follow-up writes, customers' words."""
        others = await comments.keep(self._accepting, records)
        if others:
            await save_batch(self.saves, [from_record(record) for record in others])

    async def normalize(self) -> None:
        """Normalize what is in the inbox, batch after batch; sleep when it is empty."""
        while True:
            self._arrived.clear()
            await self._know_policies()
            most = BATCH_ITEMS if self._commits.calm.is_set() else BUSY_ITEMS
            started = time.monotonic()
            try:
                done = await self._normalize_once(most)
            except TooManyDeadLetters as error:
                log.error("normalizing stopped", reason=str(error))
                self._progress.halt("normalize", str(error))
                self._progress.beat("normalize")
                await asyncio.sleep(HALT_RETRY_S)
                self._progress.resume("normalize")
                continue
            self._progress.beat("normalize")
            if not done:
                await _within(IDLE_S, self._arrived)
            else:
                await self._commits.first(time.monotonic() - started)
            if done < most:
                await asyncio.sleep(GATHER_S)

    async def _know_policies(self) -> None:
        """Wait for what is in force to be known; accepting goes on meanwhile, and so does the process."""
        known = False
        while not known:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KNOWN_S):
                    await self._policies.caught_up()
                    known = True
            self._progress.beat("normalize")

    async def _normalize_once(self, most: int = BATCH_ITEMS) -> int:
        """How many submissions were settled, of `most` or a delivery that holds more."""
        try:
            work = await self.saves.act(partial(self._take, most))
        except TooManyDeadLetters:
            raise
        except Exception as defect:
            log.error("a batch of submissions cannot be saved; taking one alone", error=type(defect).__name__)
            work = await self._normalize_one()
        return len(work.handled) + len(work.dead)

    async def _normalize_one(self) -> Work[IntakeState]:
        """The first pending submission alone; parked if it is the one that cannot be saved."""
        blamed = ""

        async def take(conn: Connection) -> Inputs:
            nonlocal blamed
            inputs = await self._take_one(conn)
            blamed = inputs[0].reference if inputs else ""
            return inputs

        try:
            return await self.saves.act(take)
        except TooManyDeadLetters:
            raise
        except Exception as defect:
            guilty, park = blamed, refuse(f"saving failed: {type(defect).__name__}")

        def decide(state: IntakeState | None, item: Input, now: datetime) -> Decision[IntakeState] | Refused:
            # Another replica may have taken the one to blame meanwhile: what is first now goes its usual way.
            return park(state, item, now) if item.reference == guilty else self.decide(state, item, now)

        return await self.saves.act(self._take_one, decide=decide)

    async def _take_one(self, conn: Connection) -> Inputs:
        """The first pending submission alone; what else its delivery holds goes back into the inbox."""
        taken = await store.take_inbox(conn, deliveries=1, items=1)
        for stored in await store.load(conn, self._master_keys, taken):
            items = await self._read_stored(conn, stored)
            if not stored.pending:
                continue
            if len(stored.pending) > 1:
                await conn.execute(store.INSERT_INBOX, [stored.delivery.id], [len(stored.pending) - 1])
            number, complaint_id = min(stored.pending.items())
            known = Customers()
            return await self._joined(conn, [self._input(stored, number, complaint_id, items, known)], known)
        return []

    async def _take(self, most: int, conn: Connection) -> Inputs:
        taken = await store.take_inbox(conn, deliveries=most, items=most)
        remembered = self._remembered.of(taken)
        loaded = (
            await store.load(conn, self._master_keys, [i for i in taken if i not in remembered])
            if len(remembered) < len(taken)
            else []
        )
        if loaded and self._sources is not None:
            await self._sources.refresh()
        inputs: list[Input] = []
        known = Customers()
        read = list(remembered.values())
        async for stored in in_turns(loaded, self._commits.first):
            read.append((stored, await self._read_stored(conn, stored)))
        pending = [(stored, each, items) for stored, items in read for each in sorted(stored.pending.items())]
        async for stored, (number, complaint_id), items in in_turns(pending, self._commits.first):
            inputs.append(self._input(stored, number, complaint_id, items, known))
        return await self._joined(conn, inputs, known)

    async def _joined(self, conn: Connection, inputs: list[Input], known: Customers) -> list[Input]:
        """With the complaints that messages join because they answer one of theirs, and what their customers complained of before."""
        places = [item.body.place for item in inputs if isinstance(item.body, Normal) and item.body.place is not None]
        if places:
            joining = await Joining.of(conn, places)
            inputs = [about(item, joining.join(place, item.subject)) if (place := place_of(item)) else item for item in inputs]
        # Not statuses: that the other ticket was closed as a double ends nothing.
        words = [item for item in inputs if is_message(item)]
        merged = await merges.targets(conn, {item.subject for item in words})
        contacts = [item.body for item in words if isinstance(item.body.submission, ContactSubmission)]
        await known.load(conn, [(each.people, repeats.opened(each.submission.contact)) for each in contacts])
        return [about(item, merged[item.subject]) if is_message(item) and item.subject in merged else item for item in inputs]

    async def _read_stored(self, conn: Connection, stored: Stored) -> Sequence[Item] | Unread:
        """The items of a stored delivery, as its adapter and its source's settings read them now.

        One that could not be read and now can is unfolded: its items become submissions.
        """
        options = {} if self._sources is None else self._sources.options(stored.delivery.source)
        items = read_items(replace(stored.delivery, options=options), stored.adapter)
        if WHOLE in stored.pending and not isinstance(items, Unread):
            kept = (keep(item, stored.delivery, number, stored.adapter) for number, item in enumerate(items))
            places = numbered(self._id_key, stored.delivery.source, kept)
            new = await store.unfold(conn, stored, [(number, *each) for number, each in places.items()])
            stored.pending.clear()
            stored.pending.update(new)
        return items

    def _input(
        self, stored: Stored, number: int, complaint_id: UUID, items: Sequence[Item] | Unread, known: Customers
    ) -> Input:
        delivery = stored.delivery
        body: Any = items
        subject = complaint_id
        if not isinstance(items, Unread) and 0 <= number < len(items):
            submission = keep(items[number], delivery, number, stored.adapter)
            body = Normal(submission, delivery, number)
            if isinstance(submission, ContactSubmission | ReplySubmission):
                people = customers.people(self._id_key, submission.contact)
                place = threaded(self._id_key, submission.contact, people)
                body = Normal(submission, delivery, number, place, people, known)
            if isinstance(submission, SetAside | Rejected):
                subject = ids.submission_id(self._id_key, delivery.source, submission.identity.event_id)
                if (ours := self._brought_back(submission)) is not None:
                    subject, returned = ours
                    body = replace(body, returned=returned)
        return Input(
            kind="submission",
            subject=subject,
            body=body,
            reference=f"{delivery.id}/{number}",
            carrier=tracing.parse(stored.traceparent),
            causation_id=f"{delivery.id}/{number}",
            correlation_id=str(complaint_id),
        )

    def _brought_back(self, submission: SetAside | Rejected) -> tuple[UUID, Returned] | None:
        """The complaint and the letter that a bounce is about, where that is a letter of ours."""
        bounced = submission.bounced if isinstance(submission, SetAside) else None
        if bounced is None:
            return None
        ours = next((each for each in bounced.letters if each.sent_to(self._id_key, bounced.addresses)), None)
        return None if ours is None else (ours.complaint, Returned(letter=ours.letter, status=bounced.status))

    def decide(self, state: IntakeState | None, item: Input, now: datetime) -> Decision[IntakeState] | Refused:
        if item.kind == "command":
            return domain.on_command(state, item.body, item.subject)
        if item.event is not None:
            return Decision(state or IntakeState())
        normal = item.body
        if isinstance(normal, Unread):
            raise Parked(f"unreadable: {normal.reason}")
        if not isinstance(normal, Normal):
            raise TypeError("the stored delivery no longer reads as it did when it was accepted")
        submission = normal.submission
        if item.erased:
            return domain.after_erasure(submission, normal.delivery, normal.item)
        if not isinstance(submission, ContactSubmission):
            return domain.decide(state, submission, normal.delivery, normal.item, now, returned=normal.returned)
        reader = self._reader(normal.delivery, now, item.subject)
        submission = ContactSubmission(submission.identity, reader.read(submission.contact))
        earlier = normal.customers.earlier(normal.people, item.subject)
        decision = domain.decide(state, submission, normal.delivery, normal.item, now, earlier)
        if (complaint := heard(decision.state, submission.contact, item.subject)) is not None:
            normal.customers.add(normal.people, complaint)
        return decision

    def _reader(self, delivery: Delivery, now: datetime, complaint: UUID) -> Reader:
        """What is read, and how severe it is, goes by what was in force when the delivery came."""
        at = delivery.received_at
        return Reader(self._policies.other(Rules, at, now, complaint), self._policies.in_force(at, now, complaint))

    async def settle(self, conn: Connection, work: Work[IntakeState]) -> None:
        """In the transaction of the save: what became of each submission."""
        for delivery_id in await outcomes.settle(conn, work, self._id_key, self._sources):
            self._remembered.forget(delivery_id)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for `event`, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
