"""Clocks: one computation, a sweep over all of them, and how late timers fire while complaints flow in."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from services.escalation.domain import Book, EscalationState, on_event
from shared.calendar import clock
from shared.calendar.case_file import read_case
from shared.calendar.segments import segments
from shared.clock import utc_now
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.decision import Due
from shared.policy.document import load_policy
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from tests.bench.bed import tell
from tests.domain.clock_stories import OWN, REGIME
from tests.domain.examples import START, contact
from tests.escalation.beds import Replica, incoming
from tests.harness.cluster import Cluster, fresh_database

CASES = Path(__file__).parents[1] / "calendar" / "clocks.json"
MANY = 100_000
WINDOW_S, DUE_A_SECOND, FLOW_A_SECOND = 20, 200, 750
# Four clocks by the service's own policy and the packs, and a fifth of the service's own.
CALL_BACK = OWN.replace(
    "  hit_policy", "  clocks: {call_back: {title: Call back, pausable: true, met_by: reply}}\n  hit_policy"
).replace("final_response_within: 10d, raise", "final_response_within: 10d, clocks: {call_back: 9bh}, raise")


def computations() -> dict[str, float]:
    """Microseconds of one computation, over the worked cases: reading alone, and with its segments."""
    cases = [read_case(json.dumps(each["input"])) for each in json.loads(CASES.read_text())]

    def reading(case: Any) -> None:
        clock.read(case.calendar, case.start, case.target, case.pauses, case.now)

    def explained(case: Any) -> None:
        segments(case.calendar, case.start, case.target, case.pauses, case.now)

    alone = [_us(reading, case) for case in cases]
    told = [_us(explained, case) for case in cases]
    return {
        "median_us": statistics.median(alone), "worst_us": max(alone), "explained_median_us": statistics.median(told)
    }  # fmt: skip


def _us(step: Any, case: Any, times: int = 300) -> float:
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(times):
            step(case)
        best = min(best, time.perf_counter() - started)
    return round(best / times * 1e6, 2)


async def clocks(cluster: Cluster, complaints: int) -> dict[str, Any]:
    """All three. `complaints` are open, with five clocks each."""
    found: dict[str, Any] = {"computation": computations()}
    with fresh_database(cluster) as dsn:
        await migrate(dsn, "escalation")
        pool = await make_pool(dsn, service="escalation")
        try:
            tell(f"clocks: {complaints:,} open complaints with five clocks each")
            await _fill(pool, complaints)
            found["recompute"] = await _recompute(pool, complaints)
            found["timers"] = await _timers(pool) | {"complaints": complaints}
        finally:
            await pool.close()
    return found


def _states(received: datetime) -> tuple[str, datetime]:
    """The state of a complaint received then, and when its timer is due."""
    book = Book(load_policy(CALL_BACK, origin="bench"), (load_policy(REGIME, origin="bench"),))
    data = ComplaintReceived(contact=contact(received - START))
    decision = on_event(None, data, received, book)
    assert len(decision.state.clocks.running) == 5, [each.key for each in decision.state.clocks.running]
    return TypeAdapter(EscalationState).dump_json(decision.state).decode(), decision.timers[0].due_at


async def _fill(pool: Pool, complaints: int) -> None:
    """Complaints of the last weeks, whose next timers all lie ahead of the measured window."""
    now = utc_now()
    state, _ = _states(now)
    later = now + timedelta(hours=6)
    zeros = "00-" + "0" * 32 + "-" + "0" * 16 + "-00"
    async with pool.acquire() as conn:
        for first in range(0, complaints, 20_000):
            ids = [UUID(int=number + 1) for number in range(first, min(first + 20_000, complaints))]
            await conn.execute(
                "insert into complaint_state select id, 1, 1, '{\"intake\": 1}', $2::text::json from unnest($1::uuid[]) id", ids, state
            )
            await conn.execute("insert into timer select id, 'clocks', $2, $3 from unnest($1::uuid[]) id", ids, later, zeros)
        await conn.execute("analyze")


async def _recompute(pool: Pool, complaints: int) -> dict[str, float]:
    """Complaints a second of a sweep that changes nothing, and of one that changes every complaint."""
    rates = {}
    sooner = CALL_BACK.replace("final_response_within: 10d", "final_response_within: 9d")
    for name, policy in (("unchanged", CALL_BACK), ("all_changed", sooner)):
        replica = Replica(pool, policy.replace("version: 4", f"version: {len(rates) + 5}"))
        await replica.recompute.ask("bench")
        started, cpu = time.perf_counter(), time.process_time()
        await replica.recompute.turn()
        rates[f"{name}_s"] = round(complaints / (time.perf_counter() - started))
        rates[f"{name}_cpu_us"] = round((time.process_time() - cpu) / complaints * 1e6)
    return rates


async def _timers(pool: Pool) -> dict[str, float]:
    """How late what a timer decides is committed, while new complaints come in."""
    replica = Replica(pool, CALL_BACK)
    late: list[float] = []
    act = replica.handlers.saves.act

    async def noting(*given: Any, **more: Any) -> Any:
        work = await act(*given, **more)
        now = utc_now()
        late.extend([(now - item.body.due_at).total_seconds() for item, _ in work.handled if isinstance(item.body, Due)])
        return work

    replica.handlers.saves.act = noting  # type: ignore[method-assign]
    begin = utc_now().replace(microsecond=0) + timedelta(seconds=5)
    await _due(pool, begin)
    timers = asyncio.ensure_future(replica.timers.run())
    flow, number = 0, 1 << 100
    while utc_now() < begin + timedelta(seconds=WINDOW_S + 5):
        started = time.perf_counter()
        now = utc_now()
        data = ComplaintReceived(contact=contact(now - START))
        batch = [incoming(UUID(int=number + n), data, 1, now) for n in range(FLOW_A_SECOND // 5)]
        number, flow = number + len(batch), flow + len(batch)
        await replica.handlers.handle_batch(batch)
        await asyncio.sleep(max(0.0, 0.2 - (time.perf_counter() - started)))
    timers.cancel()
    await asyncio.gather(timers, return_exceptions=True)
    late.sort()
    return {
        "fired": len(late), "flow_s": round(flow / (WINDOW_S + 10)), "p50_ms": round(late[len(late) // 2] * 1e3, 1),
        "p99_ms": round(late[int(len(late) * 0.99)] * 1e3, 1), "early": sum(each < 0 for each in late),
    }  # fmt: skip


async def _due(pool: Pool, begin: datetime) -> None:
    """Of the complaints that are there, some come due in each second of the window."""
    async with pool.acquire() as conn:
        for second in range(WINDOW_S):
            due = begin + timedelta(seconds=second)
            ids = [UUID(int=second * DUE_A_SECOND + n + 1) for n in range(DUE_A_SECOND)]
            state = _due_at(int(due.timestamp()))
            await conn.execute(
                "update complaint_state set state = $2::text::json where complaint_id = any($1::uuid[])", ids, state
            )
            await conn.execute("update timer set due_at = $2 where complaint_id = any($1::uuid[])", ids, due)


def _due_at(at: int) -> str:
    """A state whose first clock is due then."""
    state = json.loads(_states(utc_now())[0])
    first = state["clocks"]["running"][0]
    first.update(due=at, warn=None)
    return json.dumps(state)


