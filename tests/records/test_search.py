"""Search on a real PostgreSQL, over a ledger of sealed payloads: found by words and filters, rebuilt identical, erased."""

from __future__ import annotations

import csv
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.records import store
from services.records.payloads import CaseKeys
from services.records.search import commands, query
from services.records.search.fold import Case, fold
from services.records.search.projector import BATCH, LOOP, Projector, config_of, rebuild
from services.records.search.query import Search
from services.records.search.recent import MOST_BYTES, Recent
from shared.contracts import ids
from shared.contracts.codec import write_data
from shared.contracts.complaints import ComplaintReceived, Contact
from shared.contracts.envelope import Event, EventData, Position
from shared.contracts.escalations import StatusChanged
from shared.contracts.privacy import ComplaintErased
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, make_pool
from shared.telemetry.health import Progress
from shared.telemetry.metrics import REGISTRY
from shared.vault import MasterKeys
from tests.domain.examples import START, contact

KEY = bytes(range(32))
ACTORS = {name: UUID(int=number) for number, name in enumerate(("intake", "escalation", "followup", "records"), 1)}


def subject(number: int) -> UUID:
    return UUID(int=random.Random(number).getrandbits(128))


INDEXES = "select indexname, indexdef from pg_indexes where tablename = 'case_index' order by 1"


class Index:
    """Records' tables, filled as the service fills them."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.keys = CaseKeys(MasterKeys({"test": KEY}))
        self.recent = Recent()
        self.projector = Projector(pool, self.keys, Progress(), self.recent)
        self._sequence = 0

    async def record(self, *events: tuple[int, str, EventData]) -> list[Event]:
        made = []
        for number, service, data in events:
            self._sequence += 1
            made.append(Event(
                ids.event_id(KEY, service, subject(number), self._sequence), data.TYPE, service, subject(number), self._sequence,
                START + timedelta(minutes=self._sequence), "", "", "", "", write_data(data), Position("", 0, 0),
            ))  # fmt: skip
        async with self.pool.acquire() as conn, conn.transaction():
            ciphers = await self.keys.for_writing(conn, {each.subject for each in made})
            await store.append(conn, made, START + timedelta(days=1), ACTORS, ciphers)
        return made

    async def follow(self) -> None:
        while await self.projector.step():
            pass

    async def find(self, **asked: Any) -> list[UUID]:
        search, now = Search(**asked), datetime.now(UTC)
        async with self.pool.acquire() as conn:
            found = [row["complaint_id"] for row in await query.run(conn, search, now)]
            for few in (False, True):  # two ways to the same answer
                sql, values = query.build(search, now, few=few)
                assert [row["complaint_id"] for row in await conn.fetch(sql, *values)] == found
        return found

    async def all(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("select * from case_index order by complaint_id")]


@pytest.fixture
async def index(database: str) -> AsyncIterator[Index]:
    await migrate(database, "records")
    pool = await make_pool(database, service="records")
    yield Index(pool)
    pool.terminate()


def received(text: str, **fields: Any) -> ComplaintReceived:
    said: Contact = contact(text=text, **fields)
    return ComplaintReceived(contact=said)


def changed(status: Any, **why: Any) -> StatusChanged:
    return StatusChanged(status=status, previous="open", by="agent-7", occurred_at=START, **why)


async def test_found_by_words_in_their_language_and_by_what_is_known(index: Index) -> None:
    await index.record(
        (1, "intake", received("The handles of my kettle melted.", category="safety", language="en")),
        (2, "intake", received("Die Griffe meines Wasserkochers sind geschmolzen.", category="safety", language="de")),
        (3, "intake", received("My parcel O'Brien-77 never came -- delete *", category="delivery")),
        (1, "escalation", changed("resolved", resolution="Refunded the kettle", remedy="refund")),
    )
    await index.follow()
    assert await index.find(text="melting handle") == [subject(1)]
    assert await index.find(text="Griff schmelzen", language="de") == []
    assert await index.find(text="Griffe", language="de") == [subject(2)]
    assert await index.find(text="refund") == [subject(1)], "what was done is found, too"
    assert await index.find(text='"never came"') == [subject(3)]
    assert await index.find(text="O'Brien-77") == [subject(3)]
    assert await index.find(cause="safety") == [subject(1), subject(2)], "the last changed first"
    assert await index.find(cause="safety", status=("open",)) == [subject(2)]
    assert await index.find(text="kettle -melted") == []
    assert await index.find(clock="quiet", limit=1) != []
    first = await index.find(limit=2)
    position = await index.pool.fetchval("select changed_idx from case_index where complaint_id = $1", first[-1])
    assert set(first + await index.find(limit=2, after=position)) == {subject(1), subject(2), subject(3)}


@given(st.text(max_size=60))
def test_no_text_is_a_wrong_search(text: str) -> None:
    sql, values = query.build(Search(text=text), START)
    assert text not in sql or len(text) < 12
    assert len(values) >= 1


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_at_the_end_of_the_calendar_is_a_wrong_search(at: str) -> None:
    with pytest.raises(ValidationError):
        Search.model_validate({"received_from": at})


@pytest.mark.parametrize("text", ["'", '"', "a & | ! b", "(((", "\\", "-- ; drop table case_index", "\u0000x", ":*", "<->", "-"])
async def test_hostile_words_find_nothing_and_break_nothing(index: Index, text: str) -> None:
    assert await index.find(text=text) == []


async def test_what_no_column_can_hold_does_not_stop_the_index(index: Index) -> None:
    await index.record(
        (1, "intake", received("My kettle\x00leaks")),
        (1, "escalation", changed("resolved", resolution="\x00", remedy="re\x00fund")),
        (2, "intake", received("My kettle hums")),
    )
    await index.follow()
    assert set(await index.find(text="kettle")) == {subject(1), subject(2)}


async def test_rebuilt_it_is_identical_and_answers_meanwhile(index: Index) -> None:
    for start in range(0, BATCH + 80, 40):
        await index.record(*(
            (number, "intake", received(f"Complaint {number} about the kettle", category=random.choice(["safety", "delivery"])))
            for number in range(start, start + 40)
        ))  # fmt: skip
    await index.follow()
    await index.record(*((number, "escalation", changed("resolved", resolution="done and of the")) for number in range(0, 100, 3)))
    await index.follow()
    await index.record(*((number, "escalation", changed("open", resolution="again kettle")) for number in range(0, 100, 5)))
    await index.follow()
    before, indexes = await index.all(), await index.pool.fetch(INDEXES)
    seen: list[int] = []
    async with index.pool.acquire() as conn:
        total = await rebuild(conn, index.keys, lambda done, size: seen.append(done))
    assert total == seen[-1] == BATCH + 80 + 34 + 20
    assert await index.all() == before
    assert await index.pool.fetch(INDEXES) == indexes
    assert len(indexes) == 13
    await index.record((5000, "intake", received("New after the rebuild")))
    await index.follow()
    assert await index.find(text="after the rebuild") == [subject(5000)]


async def test_what_is_at_hand_makes_the_row_that_the_ledger_makes_and_what_was_not_saved_makes_none(index: Index) -> None:
    said, then = received("The kettle melted."), changed("resolved", resolution="Refunded")
    at_hand = await index.record((1, "intake", said), (1, "escalation", then))
    index.recent.add(event._replace(position=Position("complaints", 3, 77)) for event in at_hand[:1])
    lost = at_hand[0]._replace(id=UUID(int=1), subject=subject(2))
    index.recent.add([lost])
    await index.follow()
    assert index.recent.take([at_hand[0].id, lost.id]) == {lost.id: lost}, "what was indexed is not kept any longer"
    assert await index.find(text="kettle") == [subject(1)]
    before = await index.all()
    async with index.pool.acquire() as conn:
        await rebuild(conn, index.keys)
    assert await index.all() == before


def test_what_is_kept_at_hand_has_an_end() -> None:
    recent, data = Recent(), b"x" * (MOST_BYTES // 10)
    events = [
        Event(UUID(int=n), "t", "intake", subject(1), n, START, "", "", "", "", data, Position("", 0, 0)) for n in range(1, 15)
    ]  # fmt: skip
    recent.add(events)
    recent.add(events[-1:])
    assert list(recent.take(event.id for event in events)) == [event.id for event in events[-10:]]


async def test_what_is_erased_is_not_found_and_not_rebuilt(index: Index) -> None:
    await index.record((1, "intake", received("The kettle melted.")), (2, "intake", received("The kettle leaks.")))
    await index.follow()
    await index.pool.execute("delete from complaint_key where complaint_id = $1", subject(1))
    index.keys.forget([subject(1)])
    await index.record((1, "records", ComplaintErased(reason="request", by="privacy-desk")))
    await index.follow()
    assert await index.find(text="kettle") == [subject(2)]
    async with index.pool.acquire() as conn:
        await rebuild(conn, index.keys)
    assert await index.find(text="kettle") == [subject(2)]
    assert "melt" not in str(await index.all())


async def test_similar_cases_show_what_was_done(index: Index) -> None:
    await index.record(
        (1, "intake", received("The kettle handle melted in my hand", category="safety")),
        (2, "intake", received("A melted kettle handle burnt me", category="safety")),
        (3, "intake", received("The melted handle again", category="safety")),
        (4, "intake", received("The kettle handle melted", category="delivery")),
        (2, "escalation", changed("resolved", resolution="Refund and recall", remedy="refund")),
    )
    await index.follow()
    sql, values = query.similar_to(subject(1), 10)
    (found,) = await index.pool.fetch(sql, *values)
    assert (found["complaint_id"], found["resolution"], found["remedy"]) == (subject(2), "Refund and recall", "refund")


async def test_a_case_of_ten_thousand_contacts_does_not_stop_the_search(index: Index) -> None:
    """More different words than one tsvector can hold; other complaints are still found."""
    for start in range(0, 10_000, 500):
        await index.record(*(
            (1, "intake", received(" ".join(f"w{number}x{word}" for word in range(12)) + " kettle")) for number in range(start, start + 500)
        ))  # fmt: skip
    await index.record((2, "intake", received("Another kettle")))
    await index.follow()
    assert await index.find(text="kettle") == [subject(2), subject(1)]
    assert await index.find(text="w0x11") == [subject(1)], "what was said first is found"
    sql, values = query.similar_to(subject(1), 10)
    assert await index.pool.fetch(sql, *values) == []


async def test_nobody_attends_to_it_and_the_metric_says_so(index: Index) -> None:
    await index.record((1, "intake", received("One")), (2, "intake", received("Two")), (2, "escalation", changed("closed")))
    await index.follow()
    await index.projector.count()
    assert REGISTRY.get_sample_value("amends_complaints_unattended", {"service": "records"}) == 1


async def test_one_replica_at_a_time(index: Index) -> None:
    await index.record((1, "intake", received("One")))
    async with index.pool.acquire() as conn, conn.transaction():
        await conn.fetchval("select idx from case_position for update")
        assert await index.projector.step() == 0
    assert await index.projector.step() == 1
    assert LOOP == "search"


def test_the_fold_takes_anything_that_was_recorded() -> None:
    event = Event(UUID(int=1), ComplaintReceived.TYPE, "intake", UUID(int=2), 1, START, "", "", "", "", b"no json", Position("", 0, 0))
    assert fold(Case(), event) == (Case(), "")
    assert fold(Case(), event._replace(type="amends.later.v9")) == (Case(), "")
    assert (config_of("de-AT"), config_of("xx"), config_of("")) == ("german", "simple", "simple")


def test_a_formula_in_a_customers_words_is_inert_in_a_spreadsheet(tmp_path: Path) -> None:
    row = dict.fromkeys(commands.COLUMNS, "") | {"resolution": '=HYPERLINK("http://x","y")', "team": "+49 1", "owner": "-2", "cause": "@a"}
    assert commands._write_csv(tmp_path / "x.csv", iter([row])) == 1
    (line,) = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [line[name][0] for name in ("resolution", "team", "owner", "cause")] == ["'"] * 4
    assert commands._write_parquet(tmp_path / "x.parquet", iter([row | {"tier": 1, "severity": 2, "missed": True}])) == 1
