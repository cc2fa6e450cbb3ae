"""What goes wrong around a hand-off: crashes at each step, two answers at once, people and teams that are gone, clocks that
jump, a mail server that hangs. On a real PostgreSQL and a real SMTP server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest

from services.escalation import store
from services.escalation.domain import EscalationState
from services.escalation.domain.handoffs import AcceptHandOff, HandOver
from shared import failpoints
from shared.contracts.complaints import ComplaintReceived, ReplySent
from shared.contracts.envelope import EventData
from shared.contracts.escalations import ClockMissed, ClockWarned, HandOffAccepted, HandOffLapsed, HandOffRequested
from shared.delivery import sender as sending
from shared.delivery.email import Email
from shared.delivery.sender import Sender
from shared.delivery.settings import DeliverySettings
from shared.postgres import commands, messages
from shared.postgres.commands import Answer
from shared.postgres.pool import Pool
from shared.telemetry.health import Progress
from tests.delivery.bench import Once
from tests.delivery.parts import Crash
from tests.domain.examples import contact
from tests.escalation.beds import KEY, Replica, advance, emitted, until
from tests.outside.conftest import Mailbox, mailbox  # noqa: F401 - a fixture

SUBJECT = UUID(int=1)
HOUR, LEASE = timedelta(hours=1), timedelta(seconds=121)
POINTS = [name for name in failpoints.POINTS if name.partition(".")[0] in ("save", "timers", "messages")]
TEAMS = """
tiers: [front line, supervisor, manager]
fallback: managers
teams:
  - {id: front, tier: 1}
  - {id: supervisors, tier: 2, email: supervisors@shop.example, members: [anna, bo]}
  - {id: managers, tier: 3, email: managers@shop.example}
members: [{id: anna}, {id: bo}]
"""
TABLES = "complaint_state, held, outbox, timer, dead_letter, command, message, endpoint, hand_off"


async def do(replica: Replica, command: Any, key: str | None = None) -> Answer:
    return await commands.execute(
        replica.handlers.saves, subject=SUBJECT, command=command, key=key, caller=command.by, carrier=None,
        answer=lambda decision: {"owner": decision.state.hand_offs.owner},
    )  # fmt: skip


async def state_in(pool: Pool) -> EscalationState:
    async with pool.acquire() as conn:
        found, _ = await store.find(conn, SUBJECT)
    assert found is not None
    return found


async def begun(pool: Pool, teams: str = TEAMS) -> Replica:
    """A complaint that was answered once (so that no clock is due for days)."""
    replica = Replica(pool, teams=teams)
    await replica.take(SUBJECT, ComplaintReceived(contact=contact()), 1)
    await replica.take(SUBJECT, ReplySent(contact=contact(timedelta(minutes=1))), 2, timedelta(minutes=1))
    return replica


ASKS = HandOver(team="supervisors", reason="Too much for me", by="agent-7")


# --- a crash at each step


@dataclass
class Day:
    """An agent hands a complaint over, the team is told, nobody answers, it moves on. A step that crashed is done again."""

    pool: Pool
    box: Mailbox
    passed: timedelta = field(default_factory=timedelta)

    async def work(self, at: Callable[[str], Awaitable[None]]) -> tuple[list[str], Any]:
        """`at` is called at each step on the way. Returns what was emitted, and who has it then."""
        failpoints.arm(None)
        async with self.pool.acquire() as conn:
            await conn.execute(f"truncate {TABLES}")
        self.box.mails.clear()
        await self._until(timedelta())
        await begun(self.pool)
        failpoints.arm(at)
        await self._through(lambda replica: do(replica, ASKS, "k1"))
        await self._through(self._told)
        await self._until(4 * HOUR)
        await self._through(lambda replica: replica.timers._fire())
        await self._through(self._told)
        events = [each for each in await emitted(self.pool, 1) if isinstance(each, EventData)]
        return [each.TYPE for each in events], (await state_in(self.pool)).hand_offs

    async def _through(self, step: Callable[[Replica], Awaitable[Any]]) -> None:
        while True:
            try:
                await step(Replica(self.pool, teams=TEAMS))
            except Crash:
                continue
            return

    async def _told(self, replica: Replica) -> None:
        sender = sender_of(self.pool, replica, self.box.port)
        while await messages_in(self.pool):
            if not await sender._start_due():  # what somebody had claimed who is gone
                await self._until(self.passed + LEASE)
            await asyncio.gather(*sender._busy.values())
            sender._busy.clear()

    async def _until(self, passed: timedelta) -> None:
        self.passed = passed
        await advance(self.pool, passed)

    def ids(self) -> Counter[str]:
        return Counter(str(message_from_bytes(mail)["message-id"]) for mail in self.box.mails)


def sender_of(pool: Pool, replica: Replica, port: int) -> Sender:
    settings = DeliverySettings.model_validate({
        "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none", "mail_from": "care@shop.example",
        "allow_networks": (ip_network("127.0.0.0/8"),),
    })  # fmt: skip
    return Sender(
        service="escalation", pool=pool, saves=replica.handlers.saves, progress=Progress(),
        routes={"email": Email(settings, KEY)}, settings=settings,
    )  # fmt: skip


async def messages_in(pool: Pool) -> int:
    async with pool.acquire() as conn:
        # Within the budget nothing is held back for a digest; what is counted here is to be sent.
        await conn.execute("update message set held = false")
        found: int = await conn.fetchval("select count(*) from message")
        return found


async def test_a_crash_at_any_step_loses_no_hand_off_and_asks_nobody_under_two_ids(
    pool: Pool, mailbox: Mailbox  # noqa: F811
) -> None:
    counts: Counter[str] = Counter()

    async def count(name: str) -> None:
        counts[name] += 1

    day = Day(pool, mailbox)
    try:
        expected = await day.work(count)
        assert expected[0].count(HandOffRequested.TYPE) == 2
        assert expected[0].count(HandOffLapsed.TYPE) == 1
        assert list(day.ids().values()) == [1, 1]
        assert {name for name in POINTS if counts[name]} == set(POINTS), "every step is on the way"
        for point in POINTS:
            for turn in range(1, counts[point] + 1):
                armed = _CrashAt(point, turn)
                assert await day.work(armed) == expected, (point, turn)
                assert armed.done, (point, turn)
                ids = day.ids()
                assert len(ids) == 2, (point, turn, "one id for each hand-off, however often it is sent")
                assert max(ids.values()) <= 2, (point, turn)
    finally:
        failpoints.arm(None)


class _CrashAt:
    """The process ends the `turn`-th time that the point is reached."""

    def __init__(self, point: str, turn: int) -> None:
        self._point, self._left, self.done = point, turn, False

    async def __call__(self, name: str) -> None:
        if name == self._point and not self.done:
            self._left -= 1
            if self._left == 0:
                self.done = True
                raise Crash(name)


# --- people, teams


async def test_of_two_who_accept_at_the_same_moment_one_has_it_and_the_other_is_told_who(pool: Pool) -> None:
    one = await begun(pool)
    await do(one, ASKS)
    two = Replica(pool, teams=TEAMS)
    first: list[Answer] = []

    async def before_anna() -> None:
        first.append(await do(two, AcceptHandOff(by="bo")))

    with Once("save.before_write", before_anna):  # Anna's has been decided, and Bo's comes before it is written
        late = await do(one, AcceptHandOff(by="anna"))
    assert (first[0].status, late.status) == (200, 409)
    assert "bo has it" in late.body["detail"]
    await do(one, HandOver(team="supervisors", reason="again", by="agent-7"))
    both = await asyncio.gather(*(do(replica, AcceptHandOff(by=who)) for replica, who in ((one, "anna"), (two, "bo"))))
    assert sorted(each.status for each in both) == [200, 409]
    owner = (await state_in(pool)).hand_offs.owner
    assert any(f"{owner} has it" in str(each.body) for each in both)
    accepted = [each for each in await emitted(pool, 1) if isinstance(each, HandOffAccepted)]
    assert [each.number for each in accepted] == [1, 2]


async def test_a_deleted_member_answers_for_nobody_and_a_team_without_any_can_be_answered_for(pool: Pool) -> None:
    await do(await begun(pool), ASKS)
    without_anna = Replica(pool, teams=TEAMS.replace("members: [{id: anna}, {id: bo}]", "members: [{id: bo}]"))
    refused = await do(without_anna, AcceptHandOff(by="anna"))
    assert (refused.status, "anna is not in that team" in refused.body["detail"]) == (403, True)
    nobody = Replica(pool, teams=TEAMS.replace("members: [{id: anna}, {id: bo}]", "members: []"))
    assert (await do(nobody, AcceptHandOff(by="zoe"))).body["owner"] == "zoe", "nothing waits for people who are gone"


async def test_an_unknown_team_is_refused_with_those_there_are_and_one_that_is_gone_hangs_nothing(pool: Pool) -> None:
    replica = await begun(pool)
    refused = await do(replica, HandOver(team="supervisers", reason="x", by="agent-7"))
    assert (refused.status, refused.body["title"]) == (409, "No such team")
    assert refused.body["detail"] == "The directory has no team 'supervisers': front, managers, supervisors."
    await do(replica, ASKS)
    gone = "\n".join(line for line in TEAMS.splitlines() if "id: supervisors" not in line)
    later = Replica(pool, teams=gone)
    await advance(pool, 5 * HOUR)
    await later.timers._fire()
    pending = (await state_in(pool)).hand_offs.pending
    assert pending is not None
    assert (pending.team, pending.reason) == ("managers", "supervisors did not answer in time")


# --- time


async def test_a_clock_that_jumps_years_ahead_and_back_fires_everything_once(pool: Pool) -> None:
    replica = Replica(pool, teams=TEAMS)
    await replica.take(SUBJECT, ComplaintReceived(contact=contact()), 1)

    async def fire() -> None:
        for _ in range(20):
            await replica.timers._fire()

    await advance(pool, timedelta(days=1_000))
    await fire()
    missed = [each for each in await emitted(pool, 1) if isinstance(each, ClockMissed)]
    assert sorted(each.deadline.clock for each in missed) == ["acknowledge", "final_response", "next_update"]
    assert not [each for each in await emitted(pool, 1) if isinstance(each, ClockWarned)], "what is missed needs no warning"
    before = len(await emitted(pool, 1))
    await advance(pool, timedelta(days=-1))
    await fire()
    assert len(await emitted(pool, 1)) == before, "nothing that has happened happens again, or is taken back"
    assert (await do(replica, AcceptHandOff(by="anna"))).status == 200, "and people go on"


# --- the world outside


async def test_a_mail_server_that_hangs_holds_up_no_answer_and_has_the_mail_once_it_works(
    pool: Pool, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.setattr(sending, "ATTEMPT_S", 0.2)
    monkeypatch.setattr(sending, "LONGEST_SLEEP_S", 0.02)
    hang = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
    replica = await begun(pool)
    await do(replica, ASKS)
    task = asyncio.ensure_future(sender_of(pool, replica, hang.sockets[0].getsockname()[1]).run())

    async def tried() -> bool:
        async with pool.acquire() as conn:
            return bool(await conn.fetchval("select bool_or(last_reason is not null) from message"))

    async def empty() -> bool:
        return await messages_in(pool) == 0

    try:
        await until(tried)
        async with pool.acquire() as conn:
            (row,) = await conn.fetch(messages.LIST_ENDPOINTS)
        assert (row["name"], row["reason"], row["waiting"]) == ("email", "no answer in time", 1)
        listed = (await state_in(pool)).hand_offs.pending
        assert listed is not None, "the hand-off waits for its answer all the same"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        hang.close()
    monkeypatch.setattr(sending, "ATTEMPT_S", 30.0)  # a busy machine may need longer than the hang was given
    await advance(pool, HOUR)
    task = asyncio.ensure_future(sender_of(pool, replica, mailbox.port).run())
    try:
        await until(empty)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert mailbox.recipients == [["supervisors@shop.example"]]
