"""Commands: each once by its idempotency key, whatever happens between the caller and the commit."""

from __future__ import annotations

import asyncio

import pytest

from shared.postgres.commands import KeyReused
from tests.delivery.bench import Bench, Gate, command
from tests.delivery.parts import subject_number

A, B = subject_number(1), subject_number(2)


async def test_the_same_key_gets_the_same_answer_and_does_nothing_more(bench: Bench) -> None:
    first = await command(bench.replica(), A, "close", key="k1")
    await command(bench.replica(), A, "other")
    again = await command(bench.replica(), A, "close", key="k1")
    assert (first.status, first.body, first.replayed) == (200, {"place": 1}, False)
    assert (again.status, again.body, again.replayed) == (200, {"place": 1}, True)
    assert await bench.tokens(A) == ["close", "other"]


@pytest.mark.parametrize(("subject", "token"), [(A, "reopen"), (B, "close")])
async def test_the_same_key_for_another_command_is_refused(bench: Bench, subject: object, token: str) -> None:
    replica = bench.replica()
    await command(replica, A, "close", key="k1")
    with pytest.raises(KeyReused):
        await command(replica, subject, token, key="k1")  # type: ignore[arg-type]
    assert (await bench.tokens(A), await bench.tokens(B)) == (["close"], [])


async def test_keys_belong_to_their_caller(bench: Bench) -> None:
    replica = bench.replica()
    await command(replica, A, "one", key="k1", caller="phone")
    await command(replica, A, "two", key="k1", caller="mail")
    assert await bench.tokens(A) == ["one", "two"]


@pytest.mark.parametrize("point", ["save.before_load", "save.before_write", "save.before_commit"])
async def test_the_same_key_twice_at_the_same_time_is_done_once(bench: Bench, point: str) -> None:
    with Gate(point) as gate:
        first = asyncio.ensure_future(command(bench.replica(), A, "close", key="k1"))
        await gate.reached.wait()
        second = asyncio.ensure_future(command(bench.replica(), A, "close", key="k1"))
        await asyncio.wait([second], timeout=0.2)  # it is done, or waits for the first one's commit
        gate.opened.set()
        answers = [await first, await second]
    assert [answer.body for answer in answers] == [{"place": 1}] * 2
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert await bench.tokens(A) == ["close"]


async def test_the_same_key_at_the_same_time_for_another_complaint_is_refused(bench: Bench) -> None:
    with Gate("save.before_write") as gate:
        first = asyncio.ensure_future(command(bench.replica(), A, "close", key="k1"))
        await gate.reached.wait()
        await command(bench.replica(), B, "close", key="k1")
        gate.opened.set()
        with pytest.raises(KeyReused):
            await first
    assert (await bench.tokens(A), await bench.tokens(B)) == ([], ["close"])


async def test_a_refused_command_changes_nothing_and_leaves_its_key_free(bench: Bench) -> None:
    refused = await command(bench.replica(), A, "refuse", key="k1")
    assert (refused.status, refused.body["title"]) == (409, "Refused")
    assert (await command(bench.replica(), A, "close", key="k1")).status == 200
    assert await bench.tokens(A) == ["close"]


async def test_a_failing_command_is_told_and_nothing_is_parked(bench: Bench) -> None:
    with pytest.raises(ValueError, match="!decide"):
        await command(bench.replica(), A, "close!decide:escalation", key="k1")
    assert (await bench.letters(), await bench.count("command"), await bench.tokens(A)) == ([], 0, [])
