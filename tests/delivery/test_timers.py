"""Timers fire exactly once: with competitors, against cancelling, after a crash, and when one cannot be handled."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from shared.postgres import timers
from shared.postgres.dead_letters import Limit, NotReplayable, replay
from tests.delivery.bench import Bench, Gate, Once, Running, command, planner, until
from tests.delivery.parts import Crash, Replica, subject_number

A = subject_number(1)


async def no_timer_due(bench: Bench) -> bool:
    due: int = await bench.conn.fetchval("select count(*) from timer where due_at <= app_now()")
    return due == 0


def planning(bench: Bench) -> Replica:
    return bench.replica(decide=planner)


async def test_two_replicas_fire_each_timer_once_and_none_early(bench: Bench) -> None:
    one, two = planning(bench), planning(bench)
    subjects = [subject_number(number) for number in range(8)]
    for subject in subjects:
        await command(one, subject, "set early 60")
        await command(one, subject, "set late 3600")
    with mock.patch.object(timers, "BATCH", 3):
        one, two = planning(bench), planning(bench)
        async with Running(one.timers.run, two.timers.run):
            await asyncio.sleep(0.1)
            assert await bench.count("timer") == 16, "nothing was due yet"
            await bench.advance(61)
            await until(lambda: no_timer_due(bench))
    assert await bench.count("timer") == 8
    for subject in subjects:
        assert await bench.tokens(subject) == ["set early 60", "set late 3600", "early"]


async def test_setting_a_timer_again_moves_it(bench: Bench) -> None:
    replica = planning(bench)
    await command(replica, A, "set check-in 10")
    await command(replica, A, "set check-in 100")
    async with Running(replica.timers.run):
        await bench.advance(50)
        await asyncio.sleep(0.1)
        assert await bench.count("timer") == 1
        await bench.advance(51)
        await until(lambda: no_timer_due(bench))
    assert (await bench.tokens(A)).count("check-in") == 1


async def test_a_timer_that_is_being_fired_when_it_is_cancelled_fires_and_the_command_decides_again(bench: Bench) -> None:
    replica = planning(bench)
    await command(replica, A, "set check-in 1")
    await bench.advance(2)
    with Gate("save.before_commit") as gate:
        async with Running(planning(bench).timers.run):
            await gate.reached.wait()
            cancelling = asyncio.ensure_future(command(replica, A, "cancel check-in"))
            await asyncio.wait([cancelling], timeout=0.1)
            assert not cancelling.done(), "it waits for the one who fires"
            gate.opened.set()
            await cancelling
    assert await bench.tokens(A) == ["set check-in 1", "check-in", "cancel check-in"]


async def test_a_timer_that_is_being_cancelled_when_it_comes_due_never_fires(bench: Bench) -> None:
    replica = planning(bench)
    await command(replica, A, "set check-in 1")
    await bench.advance(2)
    with Gate("save.before_commit") as gate:
        cancelling = asyncio.ensure_future(command(replica, A, "cancel check-in"))
        await gate.reached.wait()
        async with Running(planning(bench).timers.run):
            await asyncio.sleep(0.1)
            gate.opened.set()
            await cancelling
            await asyncio.sleep(0.1)
    assert await bench.tokens(A) == ["set check-in 1", "cancel check-in"]
    assert await bench.count("timer") == 0


async def test_a_timer_that_another_replica_is_firing_holds_no_other_up(bench: Bench) -> None:
    other = subject_number(2)
    await command(planning(bench), A, "set first 1")
    await command(planning(bench), other, "set second 10")
    await bench.advance(2)
    with Gate("timers.after_claim") as gate:
        async with Running(planning(bench).timers.run):
            await gate.reached.wait()
            await bench.advance(10)

            async def fired() -> bool:
                return "second" in await bench.tokens(other)

            async with Running(planning(bench).timers.run):
                await until(fired)
            assert "first" not in await bench.tokens(A)
            gate.opened.set()
            await until(lambda: no_timer_due(bench))
    assert await bench.tokens(A) == ["set first 1", "first"]


@pytest.mark.parametrize("point", ["timers.after_claim", "save.before_write", "save.before_commit", "save.after_commit"])
async def test_a_timer_whose_firing_crashed_fires_once(bench: Bench, point: str) -> None:
    async def crash() -> None:
        raise Crash

    await command(planning(bench), A, "set check-in 1")
    await bench.advance(2)
    with Once(point, crash), pytest.raises(Crash):
        await planning(bench).timers.run()
    async with Running(planning(bench).timers.run):
        await until(lambda: no_timer_due(bench))
    assert await bench.tokens(A) == ["set check-in 1", "check-in"]


async def test_a_timer_that_cannot_be_saved_is_parked_alone_and_fires_when_replayed(bench: Bench) -> None:
    replica = planning(bench)
    subjects = [subject_number(number) for number in range(7)]
    for number, subject in enumerate(subjects):
        await command(replica, subject, f"set t{'!sql:escalation' if number == 3 else ''} 1")
    await bench.advance(2)
    async with Running(replica.timers.run):
        await until(lambda: no_timer_due(bench))
        (letter,) = await bench.letters()
        assert (letter["kind"], letter["complaint_id"]) == ("timer", subjects[3])
        assert letter["reason"] == "saving failed: DivisionByZeroError"
        for number, subject in enumerate(subjects):
            assert ("t" in await bench.tokens(subject)) == (number != 3)
        bench.faulty.on = False
        assert await replay(replica.saves, letter["id"]) == "queued"
        await until(lambda: no_timer_due(bench))
    assert (await bench.tokens(subjects[3]))[1:] == ["t!sql:escalation"]
    assert await bench.letters() == []


@pytest.mark.parametrize("afterwards", ["cancel t!sql:escalation", "set t!sql:escalation 1000"])
async def test_a_parked_timer_that_is_cancelled_or_moved_cannot_be_replayed(bench: Bench, afterwards: str) -> None:
    replica = planning(bench)
    await command(replica, A, "set t!sql:escalation 1")
    await bench.advance(2)
    async with Running(replica.timers.run):
        await until(lambda: no_timer_due(bench))
    (letter,) = await bench.letters()
    bench.faulty.on = False
    await command(replica, A, afterwards)
    with pytest.raises(NotReplayable):
        await replay(replica.saves, letter["id"])


async def test_too_many_dead_letters_halt_the_timers_and_end_nothing(bench: Bench) -> None:
    replica = planning(bench)
    await command(replica, A, "set t!sql:escalation 1")
    await bench.advance(2)
    halted = bench.replica(decide=planner, limit=Limit(0).check)
    with mock.patch.object(halted.timers._progress, "halt") as halt:
        async with Running(halted.timers.run):

            async def twice() -> bool:
                return halt.call_count >= 2

            await until(twice)
            assert halt.call_args[0][0] == "timers"
            assert "AMENDS_DEAD_LETTER_LIMIT" in halt.call_args[0][1]
            assert await bench.count("timer") == 1
            bench.faulty.on = False
            await until(lambda: no_timer_due(bench))
    assert await bench.tokens(A) == ["set t!sql:escalation 1", "t!sql:escalation"]


async def test_a_replayed_timer_keeps_its_due_time(bench: Bench) -> None:
    replica = planning(bench)
    await command(replica, A, "set t!sql:escalation 1")
    due = await bench.conn.fetchval("select due_at from timer")
    await bench.advance(2)
    async with Running(replica.timers.run):
        await until(lambda: no_timer_due(bench))
    await replay(replica.saves, (await bench.letters())[0]["id"])
    assert await bench.conn.fetchval("select due_at from timer") == due
