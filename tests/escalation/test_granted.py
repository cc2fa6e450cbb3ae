"""On a real PostgreSQL: what one customer gets in all complaints together, also from commands at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from services.escalation.domain import EscalationState
from services.escalation.domain.remedies import AcceptOffer, OfferRemedy, RefuseOffer
from services.escalation.grants import OverCap
from services.escalation.handlers import Handlers
from shared.contracts import ids
from shared.contracts.codec import encode_headers, write_data
from shared.contracts.complaints import ComplaintReceived, Customer, Money
from shared.contracts.escalations import RemedyOption
from shared.policy.distribution.line import Fixed
from shared.policy.document import load_policy
from shared.postgres import commands
from shared.postgres.commands import Answer, Changed
from shared.postgres.dead_letters import save_batch
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Saves
from shared.telemetry.health import Progress
from tests.delivery.parts import ID_KEY, ListSender, MemoryKafka
from tests.domain.examples import contact

STATE = TypeAdapter(EscalationState)


class Desk:
    """Escalation's saves on one database, and complaints of one customer."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.kafka = pool, MemoryKafka()
        text = (files("services.escalation") / "policy" / "escalation.retail.yaml").read_text()
        policy = load_policy(text.replace("amount: 1000 GBP, window", "amount: 100 GBP, window"), origin="test")
        handlers = Handlers(Fixed(policy))
        relay = Relay(service="escalation", pool=pool, sender=ListSender(self.kafka), progress=Progress())
        self.saves: Saves[EscalationState] = Saves(
            service="escalation", pool=pool, relay=relay, id_key=ID_KEY, read=STATE.validate_json,
            write=lambda state: STATE.dump_json(state).decode(), decide=handlers.decide, also=handlers.keep_lists,
        )  # fmt: skip

    async def complaint(self, **fields: Any) -> UUID:
        subject = uuid4()
        data = ComplaintReceived(contact=contact(customer=Customer(emails=("ann@example.com",)), **fields))
        headers = encode_headers(
            event_id=ids.event_id(ID_KEY, "intake", subject, 1), event_type=data.TYPE, service="intake", subject=subject,
            sequence=1, time=datetime.now(UTC), causation_id="", correlation_id="", traceparent="",
        )  # fmt: skip
        start = self.kafka.length("complaints")
        self.kafka.append("complaints", subject.bytes, headers, write_data(data))
        await save_batch(self.saves, self.kafka.read("complaints", start, 1))
        return subject

    async def do(self, subject: UUID, command: Any, revision: int | None = None) -> Answer:
        return await commands.execute(
            self.saves, subject=subject, command=command, key=None, caller="agent-7", carrier=None,
            answer=lambda decision: {"offers": len(decision.state.remedies.offers)}, revision=revision,
        )  # fmt: skip

    async def granted(self) -> Decimal:
        amount: Decimal = await self.pool.fetchval("select coalesce(sum(amount), 0) from granted")
        return amount


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    await migrate(database, "escalation")
    pool = await make_pool(database, service="escalation")
    yield Desk(pool)
    pool.terminate()


def goodwill(amount: str) -> OfferRemedy:
    money = Money(amount=Decimal(amount), currency="GBP")
    options = (RemedyOption(remedy="goodwill_payment", amount=money), RemedyOption(remedy="workaround"))
    return OfferRemedy(options=options, by="agent-7")


async def test_the_cap_of_a_customer_holds_across_complaints_and_at_the_same_moment(desk: Desk) -> None:
    subjects = [await desk.complaint() for _ in range(6)]
    done = await asyncio.gather(*(desk.do(subject, goodwill("40")) for subject in subjects), return_exceptions=True)
    assert sum(isinstance(each, Answer) and each.status == 200 for each in done) == 2
    refused = [each for each in done if isinstance(each, OverCap)]
    assert len(refused) == 4
    assert "one customer may get 100 GBP in 365d, of which 80 are offered or granted already" in str(refused[0])
    assert await desk.granted() == 80


async def test_what_is_refused_no_longer_counts_and_what_is_taken_does(desk: Desk) -> None:
    one, two = await desk.complaint(), await desk.complaint()
    await desk.do(one, goodwill("50"))
    await desk.do(one, RefuseOffer(offer=1, by="agent-7"))
    await desk.do(two, goodwill("50"))
    await desk.do(two, AcceptOffer(offer=1, option=1, by="agent-7"))
    assert await desk.granted() == 50
    await desk.do(one, goodwill("50"))
    await desk.do(one, AcceptOffer(offer=2, option=2, by="agent-7"))
    assert await desk.granted() == 50, "the workaround was chosen: no money"


async def test_the_cap_of_a_customer_counts_the_offers_of_the_same_complaint_too(desk: Desk) -> None:
    one, two, three = await desk.complaint(), await desk.complaint(), await desk.complaint()
    for subject, amount in ((one, "50"), (two, "20"), (three, "20")):
        await desk.do(subject, goodwill(amount))
    with pytest.raises(OverCap, match="of which 90 are offered or granted already"):
        await desk.do(three, goodwill("11"))
    await desk.do(three, goodwill("10"))
    assert await desk.granted() == 100


async def test_what_has_changed_since_it_was_read_is_not_done(desk: Desk) -> None:
    subject = await desk.complaint()
    revision = await desk.pool.fetchval("select revision from complaint_state where complaint_id = $1", subject)
    await desk.do(subject, goodwill("10"), revision)
    with pytest.raises(Changed):
        await desk.do(subject, goodwill("10"), revision)
    assert await desk.granted() == 10


async def test_hand_offs_that_wait_are_listed_until_they_are_answered(desk: Desk) -> None:
    subject = await desk.complaint(tags=("injury",))
    row = await desk.pool.fetchrow("select * from hand_off")
    assert (row["complaint_id"], row["team"], row["number"]) == (subject, "safety", 1)
    from services.escalation.domain.handoffs import AcceptHandOff

    await desk.do(subject, AcceptHandOff(by="kim"))
    assert await desk.pool.fetchval("select count(*) from hand_off") == 0
    read = STATE.validate_json(await desk.pool.fetchval("select state from complaint_state where complaint_id = $1", subject))
    assert read.hand_offs.owner == "kim"
