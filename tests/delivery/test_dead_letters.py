"""Dead letters: what cannot be handled is parked alone, limited in number, and handled in order when it is replayed."""

from __future__ import annotations

import asyncio

import pytest

from shared.contracts.envelope import Position, Undecodable
from shared.errors import TooManyDeadLetters
from shared.postgres.dead_letters import Limit, NotReplayable, replay, save_batch
from shared.postgres.fold import from_undecodable
from tests.delivery.bench import Bench, Gate
from tests.delivery.parts import subject_number

A = subject_number(1)
POISON = ["two!decide:escalation", "two!sql:escalation"]
GARBAGE = Undecodable("header ce_id is missing", Position("complaints", 0, 7), b"k", (("h", None), ("g", b"\xff")), b"\x00")


@pytest.mark.parametrize("poison", POISON)
async def test_poison_is_parked_alone_and_the_rest_of_its_batch_is_saved(bench: Bench, poison: str) -> None:
    replica = bench.replica()
    neighbours = [subject_number(number) for number in range(10, 17)]
    batch = bench.incoming(A, "one", poison, "three")
    for number, subject in enumerate(neighbours):
        batch[number % 3 : number % 3] = bench.incoming(subject, "only")
    await save_batch(replica.saves, batch)
    assert [await bench.tokens(subject) for subject in neighbours] == [["only"]] * len(neighbours)
    assert (await bench.tokens(A), await bench.count("held")) == (["one"], 1)
    (letter,) = await bench.letters()
    assert (letter["complaint_id"], letter["service"], letter["sequence"]) == (A, "intake", 2)
    assert letter["reason"] == ("saving failed: DivisionByZeroError" if "sql" in poison else "handling failed: ValueError")
    assert poison.encode() in letter["data"]


@pytest.mark.parametrize("poison", POISON)
async def test_replaying_an_event_handles_it_and_what_waited_behind_it(bench: Bench, poison: str) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, bench.incoming(A, "one", poison, "three", "four"))
    (letter,) = await bench.letters()
    if "decide" in poison:
        assert await replay(replica.saves, letter["id"]) == "parked", "the fault is not fixed yet"
        (letter,) = await bench.letters()
    bench.faulty.on = False
    assert await replay(replica.saves, letter["id"]) == "handled"
    assert await bench.tokens(A) == ["one", poison, "three", "four"]
    assert (await bench.letters(), await bench.count("held")) == ([], 0)
    with pytest.raises(NotReplayable):
        await replay(replica.saves, letter["id"])


async def test_poison_behind_poison_is_parked_when_its_turn_comes(bench: Bench) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, bench.incoming(A, "one!decide:escalation", "two", "three!decide:records", "four"))
    (letter,) = await bench.letters()
    bench.faulty.hits = lambda kind, service, token: kind == "decide" and token.startswith("three")  # type: ignore[method-assign]
    assert await replay(replica.saves, letter["id"]) == "handled"
    assert await bench.tokens(A) == ["one!decide:escalation", "two"]
    assert [letter["sequence"] for letter in await bench.letters()] == [3]


async def test_a_letter_that_two_replay_at_the_same_time_is_handled_once(bench: Bench) -> None:
    one, two = bench.replica(), bench.replica()
    await save_batch(one.saves, bench.incoming(A, "one!decide:escalation"))
    (letter,) = await bench.letters()
    bench.faulty.on = False
    with Gate("save.before_commit") as gate:
        first = asyncio.ensure_future(replay(one.saves, letter["id"]))
        await gate.reached.wait()
        second = asyncio.ensure_future(replay(two.saves, letter["id"]))
        await asyncio.wait([second], timeout=0.1)
        gate.opened.set()
        assert await first == "handled"
        with pytest.raises(NotReplayable):
            await second
    assert await bench.tokens(A) == ["one!decide:escalation"]


async def test_a_letter_whose_event_was_handled_meanwhile_is_a_duplicate(bench: Bench) -> None:
    replica = bench.replica()
    batch = bench.incoming(A, "one!decide:escalation")
    await save_batch(replica.saves, batch)
    bench.faulty.on = False
    await save_batch(replica.saves, batch)  # a rebalance brought it again, after the fix
    (letter,) = await bench.letters()
    assert await replay(replica.saves, letter["id"]) == "duplicate"
    assert (await bench.tokens(A), await bench.letters()) == (["one!decide:escalation"], [])


async def test_a_record_that_is_no_event_keeps_its_bytes_and_is_read_again_when_replayed(bench: Bench) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, [from_undecodable(GARBAGE)])
    (letter,) = await bench.letters()
    assert (letter["reference"], letter["key"], letter["data"]) == ("complaints/0/7", b"k", b"\x00")
    assert await replay(replica.saves, letter["id"]) == "parked"
    (parked,) = await bench.letters()
    assert (parked["input"], parked["data"]) == (letter["input"], letter["data"])
    assert parked["reason"] != GARBAGE.reason, "it was read again, by the codec of today"


async def test_a_record_that_can_be_read_after_a_fix_is_handled_in_its_order(bench: Bench) -> None:
    replica = bench.replica()
    bench.incoming(A, "one", "two")
    one, two = (
        from_undecodable(Undecodable("a defect", Position("complaints", 0, r.offset), r.key, tuple(r.headers), r.value))
        for r in bench.kafka.topics["complaints"]
    )
    await save_batch(replica.saves, [one, two])
    first, second = await bench.letters()
    assert await replay(replica.saves, second["id"]) == "queued"
    assert (await bench.tokens(A), await bench.count("held")) == ([], 1)
    assert await replay(replica.saves, first["id"]) == "handled"
    assert (await bench.tokens(A), await bench.count("held")) == (["one", "two"], 0)


async def test_too_many_dead_letters_stop_the_batch_and_save_nothing_of_it(bench: Bench) -> None:
    replica = bench.replica(limit=Limit(2).check)
    two = [*bench.incoming(A, "one!decide:escalation"), *bench.incoming(subject_number(2), "one!decide:escalation")]
    await save_batch(replica.saves, two)
    await save_batch(replica.saves, two)  # what comes again is no new dead letter
    assert len(await bench.letters()) == 2
    more = [*bench.incoming(subject_number(3), "good"), *bench.incoming(subject_number(4), "one!sql:escalation")]
    with pytest.raises(TooManyDeadLetters, match="the limit is 2"):
        await save_batch(replica.saves, [*bench.incoming(subject_number(5), "one!decide:escalation"), *more])
    assert (len(await bench.letters()), await bench.tokens(subject_number(3))) == (2, [])
    await bench.advance(601)
    await save_batch(replica.saves, more)
    assert (len(await bench.letters()), await bench.tokens(subject_number(3))) == (3, ["good"])


async def test_every_dead_letter_is_announced_without_its_content(bench: Bench) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, [*bench.incoming(A, "secret!decide:escalation"), from_undecodable(GARBAGE)])
    relay = asyncio.ensure_future(replica.relay.run())
    await replica.relay.drain()
    relay.cancel()
    notices = bench.kafka.topics["dead-letters"]
    assert [record.key for record in notices] == [A.bytes, b"k"]
    assert all(b"secret" not in record.value for record in notices)
