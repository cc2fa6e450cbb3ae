"""Intake's two steps on a real PostgreSQL: accepted is kept, normalized once, and what cannot be saved is parked alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from services.intake.accepting import REMEMBERED, STALE_S, Accepting, Remembered
from services.intake.handlers import BUSY_ITEMS, Handlers
from services.intake.store import REQUEUE, Stored
from services.intake.submissions import Delivery
from shared.contracts import ids
from shared.contracts.envelope import Position, Undecodable
from shared.postgres import dead_letters
from shared.postgres.migrate import migrate
from shared.postgres.pool import Connection, Pool, make_pool
from shared.telemetry import tracing
from shared.telemetry.health import Progress
from shared.vault import MasterKeys
from tests.intake.parts import KEY, saves
from tests.intake.policies import POLICIES

CARRIER = tracing.Carrier("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")


class Bed:
    """Intake's handlers on an empty database."""

    def __init__(self, pool: Pool, limit: int = 100) -> None:
        self.pool, self.progress = pool, Progress()
        self.accepting = Accepting(pool, KEY, MasterKeys({"test": bytes(32)}))
        self.handlers = Handlers(self.accepting, KEY, self.progress, MasterKeys({"test": bytes(32)}), policies=POLICIES)
        self.handlers.saves = saves(self.handlers, pool, self.progress, limit=limit, also=self._settle)
        self.unsaveable = ""

    async def _settle(self, conn: Connection, work: Any) -> None:
        if any(item.body.submission.identity.event_id == self.unsaveable for item, _ in work.handled):
            raise asyncpg.DataError("a value that no column takes")
        await self.handlers.settle(conn, work)

    async def accept(self, *items: dict[str, Any]) -> list[Any]:
        delivery = Delivery(
            ids.time_ordered_id(), "shop-eu", datetime.now(UTC), "application/json", {}, orjson.dumps(list(items))
        )
        return await self.accepting.accept(delivery, "canonical", CARRIER)

    async def outcomes(self) -> dict[str, str | None]:
        async with self.pool.acquire() as conn:
            rows = await conn.fetch("select event_id, outcome from submission")
        return {row[0]: row[1] for row in rows}

    async def until(self, wanted: dict[str, str]) -> None:
        deadline = asyncio.get_running_loop().time() + 15
        while await self.outcomes() != wanted:
            assert asyncio.get_running_loop().time() < deadline, await self.outcomes()
            await asyncio.sleep(0.02)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await migrate(database, "intake")
    made = await make_pool(database, service="intake")
    yield made
    await made.close()


@pytest.fixture
async def bed(pool: Pool) -> AsyncIterator[Bed]:
    made = Bed(pool)
    tasks = [asyncio.create_task(made.accepting.commits.run())]
    yield made
    for task in tasks:
        task.cancel()


def item(number: int, **fields: Any) -> dict[str, Any]:
    return {"event_id": f"m-{number}", "record_id": f"T-{number}", "text": "It leaks.", **fields}


async def test_accepted_survives_a_restart_and_is_normalized_from_what_was_stored(bed: Bed, pool: Pool) -> None:
    await bed.accept(item(1), item(2, kind="reply", record_id="T-1"), item(3, author_kind="bot"))
    again = Bed(pool)  # a new process: nothing remembered
    assert await again.handlers._normalize_once() == 3
    assert await bed.outcomes() == {"m-1": "complaint", "m-2": "reply", "m-3": "set_aside"}
    assert await again.handlers._normalize_once() == 0


async def test_the_same_event_id_is_accepted_once_whatever_comes_together(bed: Bed) -> None:
    tries = await asyncio.gather(*(bed.accept(item(1)) for _ in range(20)), bed.accept(item(1, text="Other words.")))
    answers = sorted(answered[0].answer for answered in tries)
    assert answers in (["accepted", "conflict", *["duplicate"] * 19], ["accepted", *["conflict"] * 20])
    assert await bed.handlers._normalize_once() == 1


async def test_what_cannot_be_saved_is_parked_alone_and_can_be_replayed(bed: Bed) -> None:
    bed.unsaveable = "m-2"
    await bed.accept(*(item(number) for number in range(5)))
    running = asyncio.create_task(bed.handlers.normalize())
    wanted = {f"m-{number}": "complaint" for number in range(5)}
    await bed.until(wanted | {"m-2": "dead_letter"})
    bed.unsaveable = ""
    async with bed.pool.acquire() as conn:
        letter = await conn.fetchval("select id from dead_letter")
    assert await dead_letters.replay(bed.handlers.saves, letter, REQUEUE) == "queued"
    await bed.until(wanted)
    running.cancel()


async def test_too_many_dead_letters_stop_normalizing_until_there_are_fewer(
    pool: Pool, bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.intake.handlers.HALT_RETRY_S", 0.05)
    strict = Bed(pool, limit=1)
    async with pool.acquire() as conn:
        await conn.execute(
            "insert into dead_letter (reference, kind, reason, input) values ('x', 'event', 'test', '{}')"
        )
    strict.unsaveable = "m-1"
    await bed.accept(item(1))
    running = asyncio.create_task(strict.handlers.normalize())
    deadline = asyncio.get_running_loop().time() + 10
    while (await strict.progress.ready()).ok:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)
    assert await bed.outcomes() == {"m-1": None}, "nothing is skipped"
    strict.unsaveable = ""
    await bed.until({"m-1": "complaint"})
    running.cancel()
    assert (await strict.progress.ready()).ok


async def test_a_record_that_is_no_event_is_parked_and_the_rest_goes_on(bed: Bed) -> None:
    await bed.accept(item(1))
    await bed.handlers.handle_batch([Undecodable("no ce_id", Position("records", 0, 12), None, (), b"?")])
    async with bed.pool.acquire() as conn:
        assert await conn.fetchval("select reason from dead_letter") == "no ce_id"
    assert await bed.handlers._normalize_once() == 1


async def test_while_many_wait_for_their_answer_normalizing_takes_little_at_a_time(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    real = bed.handlers._normalize_once

    async def once(most: int) -> int:
        taken.append(most)
        return await real(most)

    monkeypatch.setattr(bed.handlers, "_normalize_once", once)
    calm = bed.accepting.commits.calm
    callers = [asyncio.create_task(bed.accept(item(number))) for number in range(40)]
    await asyncio.sleep(0)
    assert not calm.is_set()
    await asyncio.gather(*callers)
    assert calm.is_set()
    calm.clear()
    running = asyncio.create_task(bed.handlers.normalize())
    await bed.until({f"m-{number}": "complaint" for number in range(40)})
    running.cancel()
    assert set(taken) == {BUSY_ITEMS}


def test_what_is_normalized_first_is_remembered_and_what_nobody_normalized_here_goes() -> None:
    now = datetime.now(UTC)

    def stored(size: int, after_s: float = 0.0) -> Stored:
        delivery = Delivery(ids.time_ordered_id(), "shop", now + timedelta(seconds=after_s), "application/json", {}, bytes(size * 8_192))
        return Stored(delivery, "canonical", "", {0: UUID(int=1)})

    remembered = Remembered()
    first, second, late, small = stored(REMEMBERED - 10), stored(20), stored(20, STALE_S + 1), stored(1, STALE_S + 2)
    for each in (first, second):
        remembered.add(each, [])
    asked = [each.delivery.id for each in (first, second, late, small)]
    assert set(remembered.of(asked)) == {first.delivery.id}, "there is no room for the second"
    for each in (late, small):
        remembered.add(each, [])
    assert set(remembered.of(asked)) == {late.delivery.id, small.delivery.id}, "the first was settled by another replica"
    remembered.forget(late.delivery.id)
    assert set(remembered.of(asked)) == {small.delivery.id}
