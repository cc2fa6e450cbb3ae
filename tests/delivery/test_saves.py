"""Saves on a real PostgreSQL: conflicts, lost connections, holes. Every effect once, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Any
from unittest import mock

import asyncpg
import pytest

from shared.contracts.decision import Decision, Refused
from shared.postgres import gaps, outbox, pool
from shared.postgres.dead_letters import save_batch
from shared.postgres.inputs import Input, Inputs, Work
from shared.postgres.pool import Connection, make_pool
from shared.turns import TURN_S
from tests.delivery.bench import SERVICE, Bench, Gate, Once, Running, command, until
from tests.delivery.parts import Crash, ListSender, State, decide_for, subject_number

A, B = subject_number(1), subject_number(2)


async def kill_connections(bench: Bench) -> None:
    killed = await bench.conn.fetch(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where application_name = $1 and datname = current_database()",
        f"amends-{SERVICE}",
    )
    assert killed


@pytest.mark.parametrize("known", [False, True])
async def test_of_two_saves_at_the_same_time_both_effects_stay(bench: Bench, known: bool) -> None:
    one, two = bench.replica(), bench.replica()
    before = ["before"] if known else []
    for token in before:
        await command(one, A, token)
    with Gate("save.before_write") as gate:  # the first has loaded, and waits while the second saves
        first = asyncio.ensure_future(command(one, A, "first"))
        await gate.reached.wait()
        await command(two, A, "second")
        gate.opened.set()
        answer = await first
    assert await bench.tokens(A) == [*before, "second", "first"]
    assert answer.body == {"place": 2 + known}


async def test_a_deadlock_is_decided_again(bench: Bench, bench_database: str) -> None:
    await bench.conn.execute(f'alter database "{bench_database.rpartition("/")[2]}" set deadlock_timeout = \'20ms\'')
    met = asyncio.Barrier(2)
    tries = 0

    def crossing(lock: Any) -> Any:
        first = True

        async def also(conn: Connection, work: Work[Any]) -> None:
            nonlocal first, tries
            tries += 1
            if first:
                first = False
                await asyncio.wait_for(met.wait(), 10)
            await conn.execute("select from complaint_state where complaint_id = $1 for update", lock)

        return also

    setup = bench.replica()
    await command(setup, A, "a0")
    await command(setup, B, "b0")
    await asyncio.gather(
        command(bench.replica(also=crossing(B)), A, "a1"), command(bench.replica(also=crossing(A)), B, "b1")
    )
    assert (await bench.tokens(A), await bench.tokens(B)) == (["a0", "a1"], ["b0", "b1"])
    assert tries >= 3, "there was no deadlock, so this tested nothing"


async def test_while_a_batch_is_decided_the_event_loop_serves_others(bench: Bench) -> None:
    plain, seen, others = decide_for(SERVICE, bench.faulty), list[int](), 0

    def slow(state: State | None, item: Input, now: datetime) -> Decision[State] | Refused:
        seen.append(others)
        time.sleep(TURN_S)
        return plain(state, item, now)

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    running = asyncio.ensure_future(other())
    await save_batch(bench.replica(decide=slow).saves, bench.incoming(A, "a1", "a2", "a3", "a4"))
    running.cancel()
    assert await bench.tokens(A) == ["a1", "a2", "a3", "a4"]
    assert len(set(seen)) == 4, "nobody else had a turn"


@pytest.mark.parametrize("point", ["save.before_load", "save.before_write", "save.before_commit"])
async def test_a_killed_connection_is_replaced_and_the_effect_is_there_once(bench: Bench, point: str) -> None:
    replica = bench.replica()
    await command(replica, A, "before")
    with Once(point, lambda: kill_connections(bench)):
        await save_batch(replica.saves, bench.incoming(A, "one", "two"))
    assert await bench.tokens(A) == ["before", "one", "two"]


async def test_a_commit_whose_answer_is_lost_is_not_done_again(bench: Bench) -> None:
    async def lose() -> None:
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    replica = bench.replica()
    with Once("save.after_commit", lose):
        await save_batch(replica.saves, bench.incoming(A, "one"))
    with Once("save.after_commit", lose):
        assert (await command(replica, A, "with a key", key="k")).body == {"place": 2}
    with Once("save.after_commit", lose):
        answer = await command(replica, A, "without a key")
    assert (answer.body, answer.replayed) == ({"place": 3}, False)
    assert await bench.tokens(A) == ["one", "with a key", "without a key"]


async def test_a_frozen_transaction_blocks_others_for_a_moment_only(bench: Bench, bench_database: str) -> None:
    short = pool.SERVER_SETTINGS | {"idle_in_transaction_session_timeout": "200ms"}
    with mock.patch.object(pool, "SERVER_SETTINGS", short):
        freezing = await make_pool(bench_database, service=SERVICE)
    await command(bench.replica(), A, "before")
    try:
        with Gate("save.before_commit") as gate:
            frozen = asyncio.ensure_future(command(bench.replica(freezing), A, "frozen"))
            await gate.reached.wait()
            started = time.monotonic()
            await command(bench.replica(), A, "other")
            assert time.monotonic() - started < 4.0
            assert not frozen.done()
            gate.opened.set()
            await frozen
    finally:
        freezing.terminate()
    assert await bench.tokens(A) == ["before", "other", "frozen"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_cancelled_save_ends_also_when_its_connection_is_lost(bench: Bench, lost: bool) -> None:
    """The error of rolling back must not pass for a reason to try again: a shutdown would never end."""
    with Gate("save.before_write") as gate:
        saving = asyncio.ensure_future(command(bench.replica(), A, "late"))
        await gate.reached.wait()
        if lost:
            await kill_connections(bench)
            await asyncio.sleep(0.05)  # the client has to notice
        saving.cancel()
        await asyncio.wait([saving], timeout=30)
        assert saving.cancelled()
    assert await bench.tokens(A) == []


@pytest.mark.parametrize(("error", "kept"), [(Crash(), False), (TimeoutError(), False), (ZeroDivisionError(), True)])
async def test_after_a_doubt_about_a_connection_it_is_thrown_away(bench: Bench, error: BaseException, kept: bool) -> None:
    pids = []
    for fails in (True, False):
        with contextlib.suppress(type(error)):
            async with pool.connection(bench.pool) as conn:
                pids.append(await conn.fetchval("select pg_backend_pid()"))
                if fails:
                    raise error
    assert (pids[0] == pids[1]) == kept


async def test_no_client_may_hold_locks_or_run_for_long(bench: Bench) -> None:
    for setting, most in (("idle_in_transaction_session_timeout", 5), ("lock_timeout", 5), ("statement_timeout", 25)):
        async with pool.connection(bench.pool) as conn:
            seconds = await conn.fetchval("select extract(epoch from current_setting($1)::interval)::float8", setting)
        assert 0 < seconds <= most, setting


async def test_an_event_is_not_held_behind_one_that_was_handled_at_the_same_moment(bench: Bench) -> None:
    first, second = bench.incoming(A, "one", "two")
    with Gate("save.before_write") as gate:  # it has seen no predecessor, and is about to hold `two`
        late = asyncio.ensure_future(save_batch(bench.replica().saves, [second]))
        await gate.reached.wait()
        await save_batch(bench.replica().saves, [first])
        gate.opened.set()
        await late
    assert await bench.tokens(A) == ["one", "two"]
    assert await bench.count("held") == 0


async def test_what_comes_early_waits_in_the_table_and_then_follows(bench: Bench) -> None:
    one, two, three = bench.incoming(A, "one", "two", "three")
    await save_batch(bench.replica().saves, [three, two])
    assert (await bench.tokens(A), await bench.count("held")) == ([], 2)
    await save_batch(bench.replica().saves, [one])
    await save_batch(bench.replica().saves, [three, one, two])
    assert (await bench.tokens(A), await bench.count("held")) == (["one", "two", "three"], 0)


async def test_what_a_crash_left_in_the_outbox_is_swept_by_another_replica(bench: Bench) -> None:
    async def crash() -> None:
        raise Crash

    doomed = bench.replica()
    with Once("save.after_commit", crash), pytest.raises(Crash):
        await save_batch(doomed.saves, bench.incoming(A, "one", "two"))
    one, two = bench.replica(), bench.replica()
    async with Running(one.relay.run, one.relay.sweep, two.relay.run, two.relay.sweep):
        await save_batch(one.saves, bench.incoming(B, "one", "two"))
        await until(lambda: outbox_has(bench, 1))
        with mock.patch.object(outbox, "claim", wraps=outbox.claim) as claim:
            await until(lambda: called(claim, 5))
        assert {record.key for record in bench.kafka.topics["escalations"]} == {B.bytes}, "nobody sweeps what is not late"
        await bench.advance(4)
        await until(lambda: outbox_has(bench, 0))
    sent = [record.key for record in bench.kafka.topics["escalations"]]
    assert sorted(sent) == sorted([A.bytes, A.bytes, B.bytes, B.bytes]), "each was claimed by one sweeper"


async def test_a_row_whose_sending_failed_stays_and_is_swept_later(bench: Bench) -> None:
    replica = bench.replica()
    with mock.patch.object(ListSender, "send", side_effect=OSError("no broker")) as send:
        async with Running(replica.relay.run, replica.relay.sweep):
            await save_batch(replica.saves, bench.incoming(A, "one", "two"))
            await bench.advance(4)
            await until(lambda: called(send, 2))  # by the saver, and by the sweep
        assert await bench.count("outbox") == 1
    await bench.advance(31)
    async with Running(replica.relay.sweep):
        await until(lambda: outbox_has(bench, 0))
    assert len(bench.kafka.topics["escalations"]) == 2


async def called(what: mock.Mock, times: int) -> bool:
    return what.call_count >= times


async def outbox_has(bench: Bench, rows: int) -> bool:
    return await bench.count("outbox") == rows


async def test_the_gap_alarm_finds_a_hole_and_not_what_waits_behind_a_dead_letter(bench: Bench) -> None:
    replica = bench.replica()
    hole = bench.incoming(A, "one", "lost", "three")
    await save_batch(replica.saves, [hole[0], hole[2]])
    await save_batch(replica.saves, bench.incoming(B, "one", "two!decide:escalation", "three"))
    assert await bench.conn.fetch(gaps.GAPS, gaps.HOLE_AFTER_S) == []
    await bench.advance(61)
    found = await bench.conn.fetch(gaps.GAPS, gaps.HOLE_AFTER_S)
    assert [(row["complaint_id"], row["service"], row["waiting"]) for row in found] == [(A, "intake", 3)]
    await save_batch(replica.saves, [hole[1]])
    assert await bench.conn.fetch(gaps.GAPS, gaps.HOLE_AFTER_S) == []


async def test_an_empty_take_changes_nothing(bench: Bench) -> None:
    async def take(_: Connection) -> Inputs:
        return []

    work = await bench.replica().saves.act(take)
    assert work.empty
    assert await bench.count("complaint_state") == 0
