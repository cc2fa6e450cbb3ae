"""A customer who complains again: known by address, number or reference, told to people, never merged by us, and forgotten."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import cli
from services.intake import repeats
from services.intake.domain import decide
from services.intake.repeats import LIVE, Earlier
from services.intake.submissions import ContactSubmission, Delivery, Identity
from shared.contracts import ids
from shared.postgres import outbox
from tests.domain.examples import contact
from tests.intake.beds import erase
from tests.intake.test_merges import CARRIER, Desk, desk
from tests.intake.test_normalize import item

__all__ = ["desk"]
NOW = datetime.now(UTC)
ADA, BOB = {"emails": ["Ada@Example.org"]}, {"emails": ["bob@example.org"]}
SAME = Identity("e", "r", b"")
LEAK = "The washing machine leaks all over the kitchen floor, and nobody answers the phone."


async def data(desk: Desk, kind: str) -> list[dict[str, Any]]:
    """The events of one kind, with the complaint that each is about."""
    async with desk.bed.pool.acquire() as conn:
        rows = await conn.fetch("select events from outbox order by id")
    found = []
    for row in rows:
        for event in outbox.unpack(row["events"]):
            headers = dict(event.headers)
            if headers["ce_type"].decode() == f"amends.complaint.{kind}.v1":
                found.append({"about": headers["ce_subject"].decode(), **orjson.loads(event.value)})
    return found


async def listed(desk: Desk, query: str = "") -> list[tuple[str, str]]:
    answer = await desk.client.get(f"/v1/repeats{query}")
    assert answer.status_code == 200, answer.text
    return [(each["complaint_id"], each["of"]) for each in answer.json()["repeats"]]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_second_complaint_carries_the_history_and_is_proposed(desk: Desk, at_once: bool) -> None:
    first = item(1, customer=ADA | {"phones": ["+44 7700 900123"]}, text=LEAK, channel="email")
    second = item(2, customer={"emails": ["ada@example.org"]}, text=f"Again: {LEAK}", channel="chat")
    third = item(3, customer={"phones": ["+447700900123"]}, text="My parcel is late.", channel="voice")
    if at_once:
        one, two, three = await desk.send(first, second, third)
    else:
        (one,), (two,), (three,) = [await desk.send(each) for each in (first, second, third)]
    told = {each["about"]: [h["complaint_id"] for h in each["history"]] for each in await data(desk, "received")}
    assert told == {one: [], two: [one], three: [one]}, "three is known by the number, that two has not"
    mail, call = await data(desk, "repeat_suspected")
    assert (mail["about"], mail["of"], mail["matched"]) == (two, one, ["email"])
    assert mail["similarity"] > 0.5
    assert (call["about"], call["of"], call["matched"]) == (three, one, ["phone"])
    assert set(await listed(desk)) == {(two, one), (three, one)}


async def test_never_across_customers_and_never_by_words_alone(desk: Desk) -> None:
    await desk.send(item(1, customer=ADA, text=LEAK, subject="Leak"), item(2, customer=BOB, text=LEAK, subject="Leak"))
    await desk.send(item(3, text=LEAK, subject="Leak"), item(4, customer={"name": "Ada"}, text=LEAK))
    assert [each["history"] for each in await data(desk, "received")] == [[], [], [], []]
    assert await listed(desk) == []


async def test_a_reference_is_a_person_only_in_its_own_source(desk: Desk) -> None:
    await desk.send(item(1, customer={"ref": "77"}))
    body = orjson.dumps([item(2, customer={"ref": "77"})])
    await desk.bed.accepting.accept(Delivery(ids.time_ordered_id(), "bank", NOW, "application/json", {}, body), "canonical", CARRIER)
    await desk.bed.settle()
    assert await listed(desk) == []
    (third,) = await desk.send(item(3, customer={"ref": "77"}))
    assert [pair[0] for pair in await listed(desk)] == [third]


async def test_only_of_live_complaints_and_the_one_most_alike(desk: Desk) -> None:
    old = NOW - LIVE - timedelta(days=10)
    one, two, three = await desk.send(
        item(1, customer=ADA, text=LEAK, occurred_at=old.isoformat()),
        item(2, customer=ADA, text=LEAK, occurred_at=(NOW - timedelta(days=9)).isoformat()),
        item(3, customer=ADA, text="The bill charges me twice for May and June.", occurred_at=(NOW - timedelta(days=2)).isoformat()),
    )
    (four,) = await desk.send(item(4, customer=ADA, text=LEAK))
    assert (four, two) in await listed(desk)
    history = (await data(desk, "received"))[-1]["history"]
    assert [each["complaint_id"] for each in history] == [three, two, one]
    assert [datetime.fromisoformat(each["opened_at"]) for each in history][-1] == old
    # It is live again when its customer writes about it.
    await desk.send(item(5, record_id="T-1", customer=ADA, text="Any news?"))
    (six,) = await desk.send(item(6, customer=ADA, text=LEAK))
    assert six in dict(await listed(desk))


async def test_what_nobody_can_own_is_history_and_proposes_nothing(desk: Desk) -> None:
    await desk.send(*(item(n, customer=ADA) for n in range(repeats.SHARED)))
    proposed = len(await listed(desk, "?limit=200"))
    assert proposed == repeats.SHARED - 1
    await desk.send(*(item(n, customer=ADA) for n in range(repeats.SHARED, repeats.SHARED + 5)))
    assert len(await listed(desk, "?limit=200")) == proposed + 1
    assert len((await data(desk, "received"))[-1]["history"]) == repeats.MOST_HISTORY


async def test_merging_confirms_and_dismissing_ends_it(desk: Desk) -> None:
    one, two, three = await desk.send(*(item(n, customer=ADA) for n in (1, 2, 3)))
    pairs = dict(await listed(desk))
    assert set(pairs) == {two, three}
    dismissed = await desk.post(three, "not-a-repeat", reason="another machine")
    assert dismissed.status_code == 200
    (event,) = await data(desk, "repeat_dismissed")
    assert event == {"about": three, "of": pairs[three], "by": "lead-uk", "reason": "another machine"}
    assert (await desk.post(three, "not-a-repeat")).status_code == 409
    assert (await desk.post(two, "merge", into=one)).status_code == 200
    assert await listed(desk) == []
    (four,) = await desk.send(item(4, customer=ADA))
    assert two not in [each["complaint_id"] for each in (await data(desk, "received"))[-1]["history"]], "it is a part of one"
    assert [pair[0] for pair in await listed(desk)] == [four]


def test_who_the_customer_is_may_come_later() -> None:
    other = Earlier(UUID(int=7), "other", NOW - timedelta(days=3), NOW - timedelta(days=3), ("email",))
    at = {"occurred_at": NOW, "received_at": NOW}
    first = contact(text_status="pending_fetch", message_id="x", **at)
    delivery = Delivery(first.raw.delivery_id, "shop", NOW, "application/json", {}, b"")
    begun = decide(None, ContactSubmission(SAME, first), delivery, 0, NOW)
    rest = ContactSubmission(SAME, contact(message_id="x", completes="x", **at))
    told = decide(begun.state, rest, delivery, 1, NOW, [other])
    assert [event.TYPE.split(".")[2] for event in told.events] == ["contact_added", "repeat_suspected"]
    another = ContactSubmission(SAME, contact(message_id="y", **at))
    assert len(decide(begun.state, another, delivery, 2, NOW, [other]).events) == 1, "a later message says nothing new of who it is"


async def test_pages(desk: Desk) -> None:
    for number in range(5):
        await desk.send(item(number, customer=ADA))
    found, after = [], ""
    for _ in range(3):
        page = (await desk.client.get(f"/v1/repeats?limit=2{after}")).json()
        found += [each["complaint_id"] for each in page["repeats"]]
        after = f"&before={page['next']}"
    assert len(set(found)) == 4
    assert page["next"] is None
    for wrong in ("limit=0", "limit=x", "before=x", "before=2026-01-01_x", "before=0001-01-01T00:00:00%2B14:00_x"):
        assert (await desk.client.get(f"/v1/repeats?{wrong}")).status_code == 422, wrong
    assert (await desk.client.get("/v1/repeats", headers={"Authorization": "x"})).status_code == 401


async def test_the_commands(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    async def amends(*arguments: str) -> tuple[int, str]:
        command = ["repeats", *arguments, "--url", desk.bed.url, "--key", desk.bed.key]
        code = await asyncio.to_thread(cli.run, command)
        said = capsys.readouterr()
        return code, said.out + said.err

    assert await amends("list") == (0, "no complaint is suspected to repeat another\n")
    one, two, three = await desk.send(*(item(n, customer=ADA, text=LEAK) for n in (1, 2, 3)))
    code, told = await amends("list")
    assert code == 0
    assert f"{two} may be {one} of {NOW:%Y-%m-%d}: same email; same category; 100% of the words" in told
    assert [each["complaint_id"] for each in json.loads((await amends("list", "--limit", "1", "--json"))[1])] == [three]
    assert await amends("merge", two, "--into", one, "--reason", "one machine") == (0, f"{two} merged into {one}\n")
    assert await amends("unmerge", two) == (0, f"{two} stands for itself again\n")
    assert "undo that first" not in (await amends("merge", two, "--into", one))[1]
    code, told = await amends("dismiss", two)
    assert (code, "Nothing is suspected" in told) == (1, True), "it was merged: that was the decision"


async def test_nothing_stays_of_an_erased_complaint_and_no_address_is_there_before(desk: Desk) -> None:
    one, two = await desk.send(item(1, customer=ADA | {"ref": "c-77"}), item(2, customer=ADA))
    async with desk.bed.pool.acquire() as conn:
        rows = str(await conn.fetch("select * from customer_complaint"))
    assert "example.org" not in rows.lower()
    assert "c-77" not in rows
    await erase(desk.bed, UUID(one))
    async with desk.bed.pool.acquire() as conn:
        for table in ("customer_complaint", "suspected_repeat", "thread_link"):
            assert one not in str(await conn.fetch(f"select * from {table}")), table
    assert await listed(desk) == []
    (three,) = await desk.send(item(3, customer=ADA))
    assert [h["complaint_id"] for h in (await data(desk, "received"))[-1]["history"]] == [two]
    assert await listed(desk) == [(three, two)]


SAID = ["kettle", "boiled", "over", "parcel", "is", "late", "Straße", "заказ", "水漏れ"]
WORDS = st.lists(st.sampled_from(SAID), max_size=8).map(" ".join)


@given(WORDS, WORDS)
def test_similarity_is_a_share_the_same_both_ways(one: str, other: str) -> None:
    here, there = repeats.words([one]), repeats.words([other])
    found = repeats.similarity(here, there)
    assert found == repeats.similarity(there, here)
    assert found is None or 0 <= found <= 1
    assert repeats.similarity(here, here) in (None, 1.0)


@given(st.lists(st.integers(-100, 100), max_size=6))
def test_a_proposal_looks_back_and_never_further_than_a_complaint_lives(days: list[int]) -> None:
    earlier = [
        Earlier(UUID(int=n), "other", NOW + timedelta(days=d), NOW + timedelta(days=d), ("email",)) for n, d in enumerate(days)
    ]
    found = repeats.suspected(contact(), NOW, earlier)
    live = [d for d in days if -LIVE.days <= d <= 0]
    assert (found is None) == (not live)
    if found is not None:
        assert found.opened_at == NOW + timedelta(days=max(live)), "of equals the newest"
