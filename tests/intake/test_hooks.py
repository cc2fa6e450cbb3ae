"""Webhooks from outside: what is answered, and that everything authentic is kept, whatever is in it."""

from __future__ import annotations

import base64
from typing import Any

import asyncpg
import orjson
import pytest

from services.intake import sources
from services.intake.adapters import ADAPTERS
from services.intake.store import REQUEUE
from services.intake.submissions import Delivery, Item
from shared.postgres import dead_letters
from tests.intake.hook_bed import EVENTS, SOAP, ZENDESK, Bed, bed

__all__ = ["bed"]


async def test_every_system_is_let_in_and_its_event_is_stored_once(bed: Bed) -> None:
    for adapter, body in EVENTS.items():
        for _ in range(2):
            answer = await bed.send(adapter, body)
            assert answer.status_code in (200, 202), (adapter, answer.text)
    assert [row["source"] for row in await bed.rows()] == sorted(EVENTS)
    assert await bed.handlers._normalize_once() == len(EVENTS)
    assert {row["outcome"] for row in await bed.rows()} == {"complaint"}


async def test_each_sender_gets_the_answer_that_it_takes_for_yes(bed: Bed) -> None:
    soap = await bed.send("salesforce", SOAP)
    assert (soap.status_code, soap.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert "<Ack>true</Ack>" in soap.text
    twiml = await bed.send("twilio", EVENTS["twilio"])
    assert (twiml.status_code, twiml.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert twiml.text.endswith("<Response/>")
    challenge = await bed.send(
        "front", b'{"type":"sync","authorization":{"id":"cmp_1"}}', **{"x-front-challenge": "echo me"}
    )
    assert (challenge.status_code, challenge.text) == (200, "echo me")
    ping = await bed.send(
        "intercom", b'{"type":"notification_event","topic":"ping","id":"notif_2","data":{"item":{"type":"ping"}}}'
    )
    assert ping.status_code == 202
    assert (await bed.client.head("/v1/hooks/intercom")).status_code == 200
    asked = await bed.client.options(
        "/v1/hooks/cloudevents", headers={"WebHook-Request-Origin": "eventemitter.example.com"}
    )
    assert asked.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    firehose = await bed.send("amazon-connect", EVENTS["amazon-connect"], **{"x-amz-firehose-request-id": "r-1"})
    assert (firehose.status_code, firehose.json()["requestId"]) == (200, "r-1")


async def test_what_cannot_be_read_is_2xx_then_a_dead_letter_and_read_after_a_fix(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await bed.send("zendesk", b"{oops")).status_code == 202
    assert (await bed.send("zendesk", b"{oops")).status_code == 202
    assert (await bed.send("salesforce", b"<oops")).status_code == 200
    assert await bed.handlers._normalize_once() == 2
    rows = {row["source"]: row for row in await bed.rows()}
    assert {row["outcome"] for row in rows.values()} == {"dead_letter"}
    assert rows["zendesk"]["reason"].startswith("unreadable: the body is not JSON")

    real = ADAPTERS["zendesk"].read

    class Mended:
        name = "zendesk"

        def read(self, delivery: Delivery) -> Any:
            items: list[Item] = []
            for number in range(2):  # what could not be read turns out to hold two
                event = ZENDESK | {"id": f"m{number}", "subject": f"zen:ticket:{number}"}
                items += real(Delivery(delivery.id, delivery.source, delivery.received_at, "", {}, orjson.dumps(event)))
            return items

    monkeypatch.setitem(ADAPTERS, "zendesk", Mended())
    async with bed.pool.acquire() as conn:
        letter = await conn.fetchval("select id from dead_letter where reason like '%not JSON%'")
    assert await dead_letters.replay(bed.handlers.saves, letter, REQUEUE) == "queued"
    assert await bed.handlers._normalize_once() == 2
    after = [(row["event_id"], row["item"], row["outcome"]) for row in await bed.rows() if row["source"] == "zendesk"]
    assert after == [("m0", 0, "complaint"), ("m1", 1, "complaint")]


async def test_a_sender_of_garbage_stops_nobody_else(bed: Bed) -> None:
    for number in range(10):  # the limit of dead letters here is 3
        await bed.send("zendesk", b"{garbage %d" % number)
    await bed.send("zammad", EVENTS["zammad"])
    assert await bed.handlers._normalize_once() == 11
    assert (await bed.progress.ready()).ok


async def test_an_adapter_that_fails_loses_nothing_and_answers_no_500(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "zendesk"

        def read(self, delivery: Delivery) -> Any:
            raise KeyError("a defect")

    monkeypatch.setitem(ADAPTERS, "zendesk", Broken())
    assert (await bed.send("zendesk", EVENTS["zendesk"])).status_code == 202
    await bed.handlers._normalize_once()
    (row,) = await bed.rows()
    assert (row["outcome"], row["reason"]) == ("dead_letter", "unreadable: the adapter zendesk failed on it (KeyError)")


async def test_an_item_that_lacks_what_it_needs_is_rejected_and_told_as_an_event(bed: Bed) -> None:
    body = orjson.dumps(
        [{"subscriptionType": "ticket.creation", "eventId": 5, "portalId": 1}, orjson.loads(EVENTS["hubspot"])[0]]
    )
    assert (await bed.send("hubspot", body)).status_code == 202
    await bed.handlers._normalize_once()
    assert [(row["item"], row["outcome"]) for row in await bed.rows()] == [(0, "rejected"), (1, "complaint")]
    async with bed.pool.acquire() as conn:
        packed = b"".join(row[0] for row in await conn.fetch("select events from outbox"))
    assert b"amends.submission.rejected.v1" in packed


async def test_disabled_and_unknown_sources_are_404_and_a_large_body_is_413(bed: Bed) -> None:
    assert (await bed.client.post("/v1/hooks/nobody", content=b"{}")).status_code == 404
    assert (await bed.client.post("/v1/hooks/", content=b"{}")).status_code == 404
    assert (await bed.send("zammad", b" " * 1_048_577)).status_code == 413
    async with bed.pool.acquire() as conn:
        await conn.execute(sources.DISABLE, "zammad")
    bed.sources._tried_at = float("-inf")
    await bed.sources.refresh()
    assert (await bed.send("zammad", EVENTS["zammad"])).status_code == 404


async def test_while_the_database_is_away_known_sources_get_503_and_nothing_is_acknowledged(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise asyncpg.PostgresConnectionError

    monkeypatch.setattr("services.intake.store.store", away)
    answer = await bed.send("zammad", EVENTS["zammad"])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_one_request_that_carries_several_events_of_one_message_makes_one_contact(bed: Bed) -> None:
    """HubSpot, Firehose and Salesforce send lists; the same message may be in it twice, and come again in the next."""
    said = {"Id": "1", "ParticipantRole": "CUSTOMER", "Content": "It leaks."}
    lens = {"ContactId": "k7", "Channel": "VOICE", "Segments": [{"Transcript": said}]}
    began = {"eventType": "INITIATED", "contactId": "k7", "initiationMethod": "INBOUND", "channel": "VOICE"}
    events = [{"id": f"e{n}", "detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": began} for n in range(3)]
    records = [{"data": base64.b64encode(orjson.dumps(each)).decode()} for each in (*events, lens, lens)]
    for request in ("r-1", "r-2"):
        body = orjson.dumps({"requestId": request, "timestamp": 1, "records": records})
        answer = await bed.send("amazon-connect", body, **{"x-amz-firehose-request-id": request})
        assert answer.status_code == 200
        while await bed.handlers._normalize_once():
            pass
    outcomes = sorted(row["outcome"] for row in await bed.rows())
    assert [each for each in outcomes if each != "set_aside"] == ["complaint", "contact"]


async def test_events_of_several_records_in_one_request_are_a_complaint_each(bed: Bed) -> None:
    created = orjson.loads(EVENTS["hubspot"])[0]
    changed = created | {"subscriptionType": "ticket.propertyChange", "eventId": 2, "propertyName": "content", "propertyValue": "It leaks."}
    body = orjson.dumps([created, changed, changed, created | {"objectId": 78}])
    assert (await bed.send("hubspot", body)).status_code == 202
    await bed.handlers._normalize_once()
    assert sorted(row["outcome"] for row in await bed.rows()) == ["complaint", "complaint", "contact"]
