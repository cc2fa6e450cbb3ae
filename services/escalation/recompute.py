"""Works all open complaints' clocks out again after the policies, and with them the calendars, have changed.

A sweep goes through the complaints by id, a batch at a time, and says how far it is in `clock_recompute`: a crash, a
restart or another replica goes on from there. Only what changes is written, as by any other input; a deadline that was
promised never moves later (ADR 8), so most do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from services.escalation.domain import RECOMPUTE, Book, EscalationState, recomputed
from shared.contracts.decision import Decision, Due
from shared.errors import NotReady
from shared.postgres.inputs import Input, Inputs, Work
from shared.postgres.pool import Connection, Pool, connection
from shared.postgres.saves import Saves
from shared.telemetry.health import Progress

log = structlog.get_logger(__name__)

BATCH = 500
EVERY_S = 2.0
PLANNED = "insert into clock_recompute (policies, asked_by) values ($1, 'a changed policy') on conflict do nothing"
ASK = "insert into clock_recompute (policies, asked_by) values ($1 || ' asked ' || app_now(), $2) returning id"
CLAIM = """
update clock_recompute set claimed_until = app_now() + interval '30 seconds'
where id = (
    select id from clock_recompute where done_at is null and (claimed_until is null or claimed_until < app_now())
    order by id for update skip locked limit 1
)
returning id, after, seen, changed
"""
NEXT = "select complaint_id, revision, state from complaint_state where complaint_id > $1 order by complaint_id limit $2"
ADVANCE = """
update clock_recompute
set after = $2, seen = $3, changed = $4, claimed_until = app_now() + interval '30 seconds',
    done_at = case when $5 then app_now() end
where id = $1
"""
LATEST = "select id, policies, asked_by, asked_at, seen, changed, done_at from clock_recompute order by id desc limit 20"


class Books(Protocol):
    def __call__(self, now: datetime, complaint: UUID | None = None) -> Book: ...


@dataclass(slots=True)
class _Looked:
    """A batch of `seen` complaints, up to the one with the id `after`: those that change (`found`), from which revision and
    state (`known`). `last`: there are no more."""

    after: UUID
    seen: int
    last: bool
    now: datetime
    known: dict[UUID, tuple[int, EscalationState]] = field(default_factory=dict)
    found: dict[UUID, Decision[EscalationState]] = field(default_factory=dict)


class Recompute:
    """The sweeps of one process. `book` gives the policies in force now, for a complaint or in general."""

    def __init__(
        self, *, pool: Pool, saves: Saves[EscalationState], book: Books, progress: Progress
    ) -> None:
        self._pool = pool
        self._saves = saves
        self._book = book
        self._progress = progress
        self._planned = ""
        self._read = TypeAdapter(EscalationState).validate_json

    async def run(self) -> None:
        """Plan a sweep when the policies in force are others than before; take what is planned; until cancelled."""
        while True:
            try:
                await self.turn()
            except NotReady:
                pass  # no policy is known yet: nothing is decided either
            except Exception as error:
                log.warning("recompute: trying again", error=type(error).__name__)
            self._progress.beat("recompute")
            await asyncio.sleep(EVERY_S)

    async def turn(self) -> None:
        """One look: plan, and do what is planned."""
        async with connection(self._pool) as conn:
            book = self._book(await conn.fetchval("select app_now()"))
            if (wanted := policies_of(_for_all(book))) and wanted != self._planned:
                await conn.execute(PLANNED, wanted)
                self._planned = wanted
        while await self._sweep():
            pass

    async def ask(self, by: str) -> int:
        """Plan a sweep now, whatever the policies say of old complaints; its number."""
        async with connection(self._pool) as conn:
            book = self._book(await conn.fetchval("select app_now()"))
            number: int = await conn.fetchval(ASK, policies_of(book.policies), by)
        return number

    async def _sweep(self) -> bool:
        async with connection(self._pool) as conn:
            claimed = await conn.fetchrow(CLAIM)
        if claimed is None:
            return False
        seen, changed = claimed["seen"], claimed["changed"]
        ready: asyncio.Queue[_Looked] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as group:  # PostgreSQL writes one batch while the next ones are decided
            group.create_task(self._look_at_all(claimed["after"], ready))
            last = False
            while not last:
                looked = await ready.get()
                seen, changed, last = seen + looked.seen, changed + len(looked.found), looked.last
                await self._save(looked, (claimed["id"], looked.after, seen, changed, last))
                self._progress.beat("recompute")
        log.info("clocks recomputed", complaints=seen, changed=changed)
        return True

    async def _look_at_all(self, after: UUID, ready: asyncio.Queue[_Looked]) -> None:
        last = False
        while not last:
            looked = await self._look(after)
            after, last = looked.after, looked.last
            await ready.put(looked)

    async def _look(self, after: UUID) -> _Looked:
        """Decides about the next batch, without a lock."""
        async with connection(self._pool) as conn:
            rows = await conn.fetch(NEXT, after, BATCH)
            now = await conn.fetchval("select app_now()")
        looked = _Looked(rows[-1]["complaint_id"] if rows else after, len(rows), len(rows) < BATCH, now)
        for number, row in enumerate(rows):
            subject = row["complaint_id"]
            state = None if row["state"] is None else self._read(row["state"])
            if state is not None and (decision := recomputed(state, now, self._book(now, subject))).events:
                looked.known[subject], looked.found[subject] = (row["revision"], state), decision
            if number % 20 == 19:
                await asyncio.sleep(0)  # let the others go on
        return looked

    async def _save(self, looked: _Looked, advance: tuple[Any, ...]) -> None:
        """Saves what changes, and how far the sweep is; where the state is another by now, it is decided again."""

        def decide(state: EscalationState | None, item: Input, at: datetime) -> Decision[EscalationState]:
            if state is looked.known[item.subject][1]:
                return looked.found[item.subject]
            return recomputed(state or EscalationState(), at, self._book(looked.now, item.subject))

        async def note(conn: Connection, _work: Work[EscalationState]) -> None:
            await conn.execute(ADVANCE, *advance)

        if looked.found:
            subjects = list(looked.found)
            await self._saves.act(lambda conn: _inputs(conn, subjects, looked.now), decide=decide, also=note, known=looked.known)
            return
        async with connection(self._pool) as conn:
            await conn.execute(ADVANCE, *advance)


async def _inputs(conn: Connection, subjects: list[UUID], now: datetime) -> Inputs:
    return [
        Input(
            kind="timer", subject=subject, body=Due(RECOMPUTE, now), reference=f"timer/{subject}/{RECOMPUTE}", carrier=None,
            causation_id=f"timer:{RECOMPUTE}", correlation_id=str(subject),
        )
        for subject in subjects
    ]  # fmt: skip


def policies_of(policies: Iterable[Any]) -> str:
    """The policies as one text: another one means that deadlines may be others."""
    return " ".join(f"{each.id}/{each.version}/{each.digest[7:19]}" for each in policies)


def _for_all(book: Book) -> list[Any]:
    """Those whose documents say that they are for complaints that are there already, too."""
    rollouts = [(policy, policy.document.spec.rollout) for policy in book.policies]
    return [policy for policy, rollout in rollouts if rollout is not None and rollout.applies_to == "all_complaints"]
