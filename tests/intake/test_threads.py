"""Same complaint once: mails join the conversation that they belong to, never by subject, never across customers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.contracts import ids
from shared.telemetry import tracing
from tests.intake.beds import Bed, bed_on, erase
from tests.mail.mails import mail

CARRIER = tracing.Carrier("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")


class Post:
    """A mailbox of complaints."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    async def deliver(self, number: str, **headers: str | None) -> None:
        raw = mail(f"Words of {number}.", Message_ID=f"<{number}@x>", **headers)
        delivery = Delivery(ids.time_ordered_id(), "post", utc_now(), "message/rfc822", {}, raw, options=self.bed.sources.options("post"))
        await self.bed.accepting.keep(delivery, "email", CARRIER)

    async def complaints(self) -> list[dict[str, str]]:
        """Each complaint as {message: outcome}, in the order of its first message."""
        await self.bed.settle()
        async with self.bed.pool.acquire() as conn:
            rows = await conn.fetch("select event_id, complaint_id, outcome from submission order by delivery_id")
        found: dict[Any, dict[str, str]] = {}
        for row in rows:
            found.setdefault(row["complaint_id"], {})[row["event_id"].strip("<>").partition("@")[0]] = row["outcome"]
        return list(found.values())


@pytest.fixture
async def post(database: str) -> AsyncIterator[Post]:
    async with bed_on(database) as bed:
        await bed.add("post", "email", own="shop.example")
        yield Post(bed)


BOB = "Bob <bob@example.net>"


async def test_replies_join_by_their_references(post: Post) -> None:
    await post.deliver("a")
    await post.deliver("b", References="<a@x> <agent@shop>")
    assert await post.complaints() == [{"a": "complaint", "b": "contact"}]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_reply_that_names_only_the_last_mail_joins_by_it(post: Post, at_once: bool) -> None:
    await post.deliver("a")
    await post.deliver("answer", From="care@shop.example", To="ada@example.org", References="<a@x>", In_Reply_To="<a@x>")
    if not at_once:
        await post.complaints()
    await post.deliver("b", In_Reply_To="<answer@x>")
    assert await post.complaints() == [{"a": "complaint", "answer": "reply", "b": "contact"}]


async def test_a_customer_who_writes_from_his_other_address_joins_when_both_are_known(post: Post) -> None:
    await post.deliver("a", Reply_To="ada@home.example")
    await post.deliver("b", From="ADA@home.example", References="<a@x>")
    assert await post.complaints() == [{"a": "complaint", "b": "contact"}]


async def test_the_subject_alone_joins_nothing(post: Post) -> None:
    await post.deliver("a", Subject="Re: Your order")
    await post.deliver("b", Subject="Re: Your order")
    assert await post.complaints() == [{"a": "complaint"}, {"b": "complaint"}]


@pytest.mark.parametrize("at_once", [True, False])
async def test_two_customers_who_answer_the_same_notice_have_two_complaints(post: Post, at_once: bool) -> None:
    await post.deliver("a", References="<notice@shop>")
    if not at_once:
        await post.complaints()
    await post.deliver("b", From=BOB, References="<notice@shop>")
    await post.deliver("c", References="<notice@shop>")
    await post.deliver("d", From=BOB, References="<notice@shop> <b@x>")
    assert await post.complaints() == [{"a": "complaint", "c": "contact"}, {"b": "complaint", "d": "contact"}]


async def test_somebody_else_who_answers_a_customers_mail_does_not_join_his_complaint(post: Post) -> None:
    await post.deliver("a")
    await post.complaints()
    await post.deliver("b", From=BOB, References="<a@x>", In_Reply_To="<a@x>")
    assert await post.complaints() == [{"a": "complaint"}, {"b": "complaint"}]


async def test_one_mailbox_knows_nothing_of_another(post: Post) -> None:
    await post.bed.add("other", "email")
    await post.deliver("a")
    raw = mail("x", Message_ID="<b@x>", References="<a@x>")
    await post.bed.accepting.keep(Delivery(ids.time_ordered_id(), "other", utc_now(), "message/rfc822", {}, raw), "email", CARRIER)
    assert len(await post.complaints()) == 2


async def test_links_of_an_erased_complaint_are_forgotten(post: Post) -> None:
    await post.deliver("a", Reply_To="ada@home.example")
    await post.complaints()
    async with post.bed.pool.acquire() as conn:
        (complaint,) = [row[0] for row in await conn.fetch("select distinct complaint_id from thread_link")]
    await erase(post.bed, complaint)
    async with post.bed.pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from thread_link") == 0
