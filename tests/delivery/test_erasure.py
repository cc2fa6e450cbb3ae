"""Erasing a complaint in a service: nothing of it stays in any table, and whatever comes late ends there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
import pytest

from shared.contracts import ids
from shared.contracts.codec import encode_headers, write_data
from shared.contracts.decision import Decision
from shared.contracts.privacy import ComplaintErased, EscalationErasureConfirmed
from shared.postgres.dead_letters import save_batch
from shared.postgres.inputs import Input
from tests.delivery.bench import Bench, Running, command, until
from tests.delivery.parts import ID_KEY, State, subject_number, token_of

A, B = subject_number(1), subject_number(2)
CANARY = "canary-of-the-customer"


def erased(bench: Bench, sequence: int = 1) -> Input:
    data = ComplaintErased(reason="request of the person", by="privacy-desk")
    headers = encode_headers(
        event_id=ids.event_id(ID_KEY, "records", A, sequence), event_type=data.TYPE, service="records", subject=A,
        sequence=sequence, time=datetime.fromisoformat("2031-05-05T09:00+00:00"), causation_id="", correlation_id="",
        traceparent="",
    )  # fmt: skip
    start = bench.kafka.length("records")
    bench.kafka.append("records", A.bytes, headers, write_data(data))
    return bench.kafka.read("records", start, 1)[0]


async def all_tables(bench: Bench) -> str:
    names = await bench.conn.fetch(
        "select table_name from information_schema.tables where table_schema = current_schema()"
    )
    found = ""
    for row in names:
        for each in await bench.conn.fetch(f"select t::text as line from {row[0]} as t"):
            found += each["line"]
    return found


async def test_nothing_stays_but_the_numbers(bench: Bench) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, bench.incoming(A, CANARY, "two", CANARY + "!decide:escalation"))
    await save_batch(replica.saves, bench.incoming(A, CANARY, first=6))  # held: 3 is parked, 4 and 5 are missing
    await command(replica, A, CANARY, key="once")
    await save_batch(replica.saves, bench.incoming(B, "another"))
    assert CANARY in await all_tables(bench)
    assert await bench.count("held") == await bench.count("dead_letter") == 1

    await save_batch(replica.saves, [erased(bench)])
    await bench.conn.execute("delete from outbox")  # on its way to Kafka, which forgets in six days
    assert CANARY not in await all_tables(bench)
    assert await bench.tokens(B) == ["another"]
    row = await bench.conn.fetchrow("select * from complaint_state where complaint_id = $1", A)
    assert row["state"] is None
    assert row["erased_at"] is not None
    assert orjson.loads(row["seen"]) == {"intake": 6, "records": 1}  # nobody waits for what was parked or held


async def test_it_is_confirmed_once_and_late_events_end_there(bench: Bench) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, bench.incoming(A, "one"))
    event = erased(bench)
    await save_batch(replica.saves, [event])
    await save_batch(replica.saves, [event])
    await save_batch(replica.saves, bench.incoming(A, CANARY, CANARY, first=2))
    await save_batch(replica.saves, bench.incoming(A, CANARY, first=9))
    async with Running(replica.relay.sweep):
        await bench.advance(10)
        await until(lambda: _sent(bench))
    confirmed = [item for item in bench.kafka.read("escalations", 0, 100) if item.body.type.endswith("confirmed.v1")]
    assert [item.body.type for item in confirmed] == [EscalationErasureConfirmed.TYPE]
    assert CANARY not in await all_tables(bench)
    assert await bench.count("held") == 0
    answer = await command(replica, A, CANARY)
    assert (answer.status, answer.body["title"]) == (410, "Erased")


async def _sent(bench: Bench) -> bool:
    return await bench.count("outbox") == 0


async def test_timers_of_an_erased_complaint_do_not_fire(bench: Bench) -> None:
    replica = bench.replica()
    await save_batch(replica.saves, bench.incoming(A, "one", "two", "three"))  # the third sets a timer
    assert await bench.count("timer") == 1
    await save_batch(replica.saves, [erased(bench)])
    assert await bench.count("timer") == 0


@pytest.mark.parametrize("first", ["event", "erasure"])
async def test_a_service_that_never_knew_the_complaint_confirms_too(bench: Bench, first: str) -> None:
    replica = bench.replica()
    batch = [erased(bench), *bench.incoming(A, CANARY)]
    await save_batch(replica.saves, batch if first == "erasure" else batch[::-1])
    await bench.conn.execute("delete from outbox")
    assert CANARY not in await all_tables(bench)
    assert await bench.conn.fetchval("select erased_at is not null from complaint_state where complaint_id = $1", A)


async def test_a_submission_about_an_erased_complaint_is_still_decided(bench: Bench) -> None:
    seen: list[tuple[Any, bool]] = []

    def decide(state: State | None, item: Input, now: datetime) -> Decision[State]:
        seen.append((state, item.erased))
        return Decision(State(log=(("x", token_of(item)[1] if item.event else "s"),)))

    replica = bench.replica(decide=decide)
    await save_batch(replica.saves, [erased(bench)])
    item = bench.incoming(A, "late")[0]._replace(kind="submission", event=None)

    async def take(_: Any) -> list[Input]:
        return [item]

    replica.saves._also = None
    await replica.saves.act(take)
    assert seen == [(None, True)]
    assert await bench.conn.fetchval("select state from complaint_state where complaint_id = $1", A) is None
