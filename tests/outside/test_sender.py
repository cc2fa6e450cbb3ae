"""Messages on a real PostgreSQL: sent at least once under one id, settled exactly once; a dead endpoint blocks nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from shared.contracts.decision import Decision, Message, Settled
from shared.delivery.routes import Permanent, Temporary
from shared.postgres.dead_letters import replay
from shared.postgres.inputs import Input
from shared.postgres.messages import Letter
from tests.delivery.bench import Bench, Once, Running, command, until
from tests.delivery.parts import Crash, Noted, Replica, State, subject_number, token_of
from tests.outside.conftest import MakeSender

A, B = subject_number(1), subject_number(2)


def talker(state: State | None, item: Input, now: datetime) -> Decision[State]:
    """`say NAME ROUTE TO [PERSON]` leaves a message, `drop NAME` withdraws it; outcomes are noted."""
    before = state or State()
    if isinstance(item.body, Settled):
        if item.body.reason == "poison":
            raise ValueError
        token = f"{item.body.outcome} {item.body.name}"
        after = State(log=(*before.log, ("message", f"{token} {item.body.reason}".strip())))
        return Decision(after, (Noted(token=token),))
    verb, *rest = token_of(item)[1].split()
    after = State(log=(*before.log, token_of(item)))
    if verb == "drop":
        return Decision(after, withdraw=(rest[0],))
    name, route, to, *person = rest
    later = now + timedelta(hours=1) if verb == "later" else None
    body = {"subject": f"subject {name}", "text": f"text {name}"}
    return Decision(
        after, messages=(Message(name, route, to, body, later, person[0] if person else None),)  # type: ignore[arg-type]
    )


class Recorder:
    """A route that keeps what it is given, and fails as it is told."""

    def __init__(self, **fail: Exception) -> None:
        self.sent: list[Letter] = []
        self.tried: Counter[str] = Counter()
        self.fail = fail

    async def send(self, letter: Letter) -> None:
        self.tried[letter.to] += 1
        if letter.to in self.fail:
            raise self.fail[letter.to]
        self.sent.append(letter)


@pytest.fixture
def talking(bench: Bench) -> Replica:
    return bench.replica(decide=talker)


async def empty(bench: Bench) -> bool:
    return await bench.count("message") == 0


async def test_a_message_is_sent_and_its_outcome_is_an_input_once(
    bench: Bench, talking: Replica, make_sender: MakeSender
) -> None:
    route = Recorder()
    await command(talking, A, "say hello webhook crm")
    await command(talking, A, "say hello webhook crm")  # the same message
    two = [make_sender(talking, {"webhook": route}) for _ in range(2)]
    async with Running(*(sender.run for sender in two)):
        await until(lambda: empty(bench))
    assert [letter.name for letter in route.sent] == ["hello"]
    assert await bench.tokens(A) == ["say hello webhook crm", "say hello webhook crm", "sent hello"]


async def test_a_withdrawn_message_is_not_sent(bench: Bench, talking: Replica, make_sender: MakeSender) -> None:
    route = Recorder()
    await command(talking, A, "later hello webhook crm")
    await command(talking, A, "drop hello")
    await command(talking, A, "say other webhook crm")
    await bench.advance(7200)
    async with Running(make_sender(talking, {"webhook": route}).run):
        await until(lambda: empty(bench))
    assert [letter.name for letter in route.sent] == ["other"]


async def test_a_dead_endpoint_rests_and_blocks_nobody(bench: Bench, talking: Replica, make_sender: MakeSender) -> None:
    route = Recorder(dead=Temporary("no answer (ConnectError)"))
    for number in range(8):
        await command(talking, A, f"say d{number} webhook dead")
    async with Running(make_sender(talking, {"webhook": route}).run):

        async def resting() -> bool:
            await bench.advance(40)
            return bool(await bench.conn.fetchval("select failures >= 5 from endpoint where name = 'webhook:dead'"))

        await until(resting)
        tried = route.tried["dead"]
        await command(talking, B, "say b webhook alive")
        await until(lambda: _sent(bench, B))
        assert route.tried["dead"] <= tried + 1  # at most the one that looks whether it is back
        route.fail.clear()
        await bench.advance(3600)

        async def after_a_while() -> bool:
            await bench.advance(600)
            return await empty(bench)

        await until(after_a_while)
    assert sorted(letter.name for letter in route.sent if letter.to == "dead") == [f"d{n}" for n in range(8)]
    assert len({letter.id for letter in route.sent}) == 9


async def _sent(bench: Bench, subject: object) -> bool:
    return any(token.startswith("sent") for token in await bench.tokens(subject))  # type: ignore[arg-type]


async def test_what_will_never_be_taken_fails_with_the_reason(
    bench: Bench, talking: Replica, make_sender: MakeSender
) -> None:
    route = Recorder(gone=Permanent("the endpoint says that it is gone for good (410)"))
    await command(talking, A, "say hello webhook gone")
    await command(talking, A, "say mail email ann@example.com")
    async with Running(make_sender(talking, {"webhook": route}).run):
        await until(lambda: empty(bench))
    told = await bench.tokens(A)
    assert "failed hello the endpoint says that it is gone for good (410)" in told
    assert "failed mail no route for email is set up (AMENDS_DELIVERY_SMTP_HOST)" in told


@pytest.mark.parametrize("point", ["messages.after_claim", "messages.after_send", "save.before_commit"])
async def test_a_crash_while_sending_sends_again_under_the_same_id(
    bench: Bench, talking: Replica, make_sender: MakeSender, point: str
) -> None:
    route = Recorder()
    await command(talking, A, "say hello webhook crm")

    async def crash() -> None:
        raise Crash

    with Once(point, crash) as once:
        task = asyncio.ensure_future(make_sender(talking, {"webhook": route}).run())
        with pytest.raises(Crash):
            await asyncio.wait_for(task, 15)
        assert once.done == 1
    assert await bench.count("message") == 1
    async with Running(make_sender(talking, {"webhook": route}).run):
        await bench.advance(121)
        await until(lambda: empty(bench))
    assert len({letter.id for letter in route.sent}) == 1
    assert await bench.tokens(A) == ["say hello webhook crm", "sent hello"]


async def test_a_storm_becomes_a_digest(bench: Bench, talking: Replica, make_sender: MakeSender) -> None:
    route = Recorder()
    for number in range(30):
        await command(talking, A, f"say n{number} chat leads lead-1")
    await command(talking, B, "say other chat leads lead-2")
    sender = make_sender(talking, {"chat": route}, budget_per_hour=5, digest_minutes=10)
    async with Running(sender.run):

        async def the_rest_waits() -> bool:
            return await bench.count("message") == 25

        await until(the_rest_waits)
        assert len(route.sent) == 6
        await bench.advance(601)
        await until(lambda: empty(bench))
    digest = route.sent[-1]
    assert len(route.sent) == 7
    assert digest.body["subject"] == "25 notifications"
    assert digest.body["text"].count("subject n") == 25
    told = Counter(token.split()[0] for token in await bench.tokens(A))
    assert told == {"say": 30, "sent": 6, "digested": 25}


async def test_an_outcome_that_cannot_be_handled_is_parked_and_replayed(
    bench: Bench, talking: Replica, make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = Recorder(crm=Permanent("poison"))
    await command(talking, A, "say hello webhook crm")
    async with Running(make_sender(talking, {"webhook": route}).run):
        await until(lambda: empty(bench))
    (letter,) = await bench.letters()
    assert (letter["kind"], letter["reason"]) == ("message", "handling failed: ValueError")
    mended = bench.replica(decide=lambda s, i, n: Decision(State(log=((i.kind, i.body.name),))))
    assert await replay(mended.saves, letter["id"]) == "handled"
    assert await bench.tokens(A) == ["hello"]
