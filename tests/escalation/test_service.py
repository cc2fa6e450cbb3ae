"""Escalation's clocks on a real PostgreSQL: fired once by several replicas, told over HTTP, worked out again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.escalation import api
from shared.contracts.complaints import ReplySent
from shared.contracts.escalations import ClockMissed, ClocksSet, ClockWarned, Escalated
from shared.http.app import make_app
from shared.http.keys import Authenticator, mint
from shared.postgres.pool import Pool
from shared.telemetry.health import Progress
from tests.domain.clock_stories import OWN
from tests.domain.examples import contact
from tests.escalation.beds import Replica, advance, emitted, until
from tests.http.conftest import serving

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@contextlib.asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_two_replicas_warn_and_miss_each_clock_once_of_all_complaints_and_nobody_owns_them(pool: Pool) -> None:
    """More than any page of a list: none is overlooked."""
    one, two = Replica(pool), Replica(pool)
    await one.receive(*range(1, 701))
    await one.take(UUID(int=5), ReplySent(contact=contact(HOUR)), 2, HOUR)

    async def idle() -> bool:
        async with pool.acquire() as conn:
            return not await conn.fetchval("select count(*) from timer where due_at <= app_now()")

    async with running(one.timers.run(), two.timers.run()):
        await asyncio.sleep(0.05)
        assert not [each for each in await emitted(pool) if isinstance(each, ClockWarned)], "nothing is due yet"
        for hour in (3, 4):
            await advance(pool, hour * HOUR)
            await until(idle)
    told = await emitted(pool)
    assert len([each for each in told if isinstance(each, ClockWarned)]) == 699
    missed = [each for each in told if isinstance(each, ClockMissed)]
    assert len(missed) == 699
    assert {each.deadline.clock for each in missed} == {"acknowledge"}
    assert len([each for each in told if isinstance(each, Escalated)]) == 699
    assert not [each for each in await emitted(pool, 5) if isinstance(each, ClockMissed | Escalated)]


async def test_a_changed_policy_moves_deadlines_of_old_complaints_earlier_and_never_later(pool: Pool) -> None:
    await Replica(pool).receive(*range(1, 1201))
    before = len(await emitted(pool))
    sooner = OWN.replace("version: 4", "version: 5").replace("final_response_within: 10d", "final_response_within: 8d")
    for_all = "  rollout: {applies_to: all_complaints}\n"
    await Replica(pool, sooner + for_all).recompute.turn()
    moved = [each for each in (await emitted(pool))[before:] if isinstance(each, ClocksSet)]
    assert len(moved) == 1200
    assert {(each.deadlines[0].clock, each.deadlines[0].target, each.deadlines[0].version) for each in moved} == {
        ("final_response", "8d", 5)
    }
    again = len(await emitted(pool))
    await Replica(pool, sooner + for_all).recompute.turn()  # another replica, or after a restart
    later = OWN.replace("version: 4", "version: 6").replace("final_response_within: 10d", "final_response_within: 12d")
    await Replica(pool, later + for_all).recompute.turn()
    # A holiday that was not known when it was promised: what was promised stands.
    holiday = OWN.replace("version: 4", "version: 7").replace("    zone:", "    holidays: ['2026-03-02']\n    zone:")
    await Replica(pool, holiday + for_all).recompute.turn()
    assert len(await emitted(pool)) == again
    # A policy for new complaints only is not even looked at, unless somebody asks.
    new_only = OWN.replace("version: 4", "version: 8").replace("final_response_within: 10d", "final_response_within: 1d")
    replica = Replica(pool, new_only)
    await replica.recompute.turn()
    assert len(await emitted(pool)) == again
    await replica.recompute.ask("anna")
    await replica.recompute.turn()
    assert len(await emitted(pool)) == again + 1200
    async with pool.acquire() as conn:
        sweeps = await conn.fetch("select seen, changed, done_at from clock_recompute order by id")
    assert [(row["seen"], row["changed"]) for row in sweeps] == [(1200, 1200), (1200, 0), (1200, 0), (1200, 1200)]
    assert all(row["done_at"] for row in sweeps)


async def test_a_sweep_that_was_cut_short_is_finished_by_another_replica(pool: Pool) -> None:
    await Replica(pool).receive(*range(1, 601))
    sooner = OWN.replace("final_response_within: 10d", "final_response_within: 8d") + "  rollout: {applies_to: all_complaints}\n"
    one = Replica(pool, sooner)
    task = asyncio.ensure_future(one.recompute.turn())

    async def begun() -> bool:
        async with pool.acquire() as conn:
            return bool(await conn.fetchval("select count(*) from clock_recompute where seen > 0"))

    await until(begun)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await advance(pool, HOUR)  # its claim is over
    await Replica(pool, sooner).recompute.turn()
    moved = [each for each in await emitted(pool) if isinstance(each, ClocksSet)]
    assert len(moved) == 600


async def test_the_clocks_over_http(pool: Pool) -> None:
    replica = Replica(pool)
    await replica.receive(1)
    key, record = mint("reader", ("cases:read", "cases:write", "ops"))
    keys = Authenticator(_only(record), refresh_s=10.0)
    app = make_app("Test", service="escalation", progress=Progress())
    app.include_router(api.routes(replica.handlers, replica.recompute, pool, keys))
    headers = {"authorization": f"Bearer {key}"}
    path = f"/v1/complaints/{UUID(int=1)}"
    await advance(pool, 2 * HOUR)
    async with serving(app) as client:
        assert (await client.get(f"{path}/clocks")).status_code == 401
        listed = (await client.get(f"{path}/clocks", headers=headers)).json()
        assert [each["name"] for each in listed["clocks"]] == ["acknowledge", "next_update", "final_response"]
        assert listed["clocks"][0]["state"] == "running"
        assert listed["clocks"][0]["counted_s"] == 7200
        why = (await client.get(f"{path}/clocks/acknowledge", headers=headers)).json()
        assert [(each["counted_s"], each["to_count_s"]) for each in why["segments"]] == [(7200, 0), (0, 7200)]
        assert why["promised"][0]["rules"] == ["default"]
        unknown = await client.get(f"{path}/clocks/nothing", headers=headers)
        assert (unknown.status_code, "it has: acknowledge, next_update, final_response" in unknown.text) == (404, True)
        assert (await client.get(f"/v1/complaints/{UUID(int=9)}/clocks", headers=headers)).status_code == 404
        waiting = await client.post(f"{path}/wait", headers=headers, json={"reason": "asked for the receipt"})
        assert waiting.json()["status"] == "waiting"
        listed = (await client.get(f"{path}/clocks", headers=headers)).json()
        assert {each["state"] for each in listed["clocks"]} == {"paused"}
        assert listed["paused_since"] == "2026-03-02T11:30:00Z"
        raised = await client.post(f"{path}/escalate", headers=headers, json={"reason": "asks for the manager", "tier": 2})
        assert raised.json()["tier"] == 2
        asked = (await client.post("/v1/clocks/recompute", headers=headers)).json()
        sweeps = (await client.get("/v1/clocks/recompute", headers=headers)).json()["sweeps"]
        assert sweeps[0]["id"] == asked["sweep"]


def _only(record: Any) -> Any:
    async def load() -> list[Any]:
        return [record]

    return load
