"""Webhooks from outside: who is let in, what is answered, and that everything authentic is kept, whatever is in it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.intake import hooks, signatures, sources
from services.intake.accepting import Accepting
from services.intake.adapters import ADAPTERS
from services.intake.domain import IntakeState
from services.intake.handlers import Handlers
from services.intake.sources import Sources
from services.intake.store import REQUEUE
from services.intake.submissions import Delivery, Item, Unreadable
from shared.http.app import make_app
from shared.postgres import dead_letters
from shared.postgres.dead_letters import Limit
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, connection, make_pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Saves
from shared.telemetry.health import Progress
from shared.vault import MasterKeys
from tests.intake import signing
from tests.intake.policies import POLICIES
from tests.intake.test_normalize import KEY, Nowhere

HOST = "https://hooks.example.com"
VAULT = MasterKeys({"first": bytes(32)})
SECRETS = {
    "zendesk": "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=",
    "standard-webhooks": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
}
ZENDESK = {
    "type": "zen:event-type:ticket.created", "account_id": 7, "id": "01J", "time": "2026-03-02T09:30:00.123456789Z",
    "subject": "zen:ticket:9", "zendesk_event_version": "2022-11-06",
    "detail": {"id": "9", "description": "It leaks.", "requester_id": "4", "tags": None, "priority": None},
    "event": {},
}  # fmt: skip
SOAP = b"""<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">
<OrganizationId>00D000000000001</OrganizationId><ActionId>04k</ActionId><SessionId xsi:nil="true"/>
<Notification><Id>04l1</Id><sObject xsi:type="sf:Case" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>500000000000001</sf:Id>
<sf:Subject>Late</sf:Subject></sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"""
EVENTS: dict[str, bytes] = {
    "zendesk": orjson.dumps(ZENDESK),
    "freshdesk": orjson.dumps({"freshdesk_webhook": {"ticket_id": 3, "ticket_description": "<p>It leaks.</p>", "ticket_status": "Open"}}),
    "chatwoot": orjson.dumps({"event": "message_created", "id": 5, "content": "It leaks.", "message_type": "incoming",
                              "conversation": {"id": 8}, "account": {"id": 1}, "created_at": "2020-03-03 13:05:57 UTC"}),
    "zammad": orjson.dumps({"ticket": {"id": 2, "state": "new"}, "article": {"id": 4, "body": "It leaks.", "sender": "Customer"}}),
    "intercom": orjson.dumps({"type": "notification_event", "topic": "conversation.user.created", "id": "notif_1",
                              "data": {"item": {"id": "1", "source": {"body": "<p>It leaks.</p>", "author": {"type": "user"}}}}}),
    "front": orjson.dumps({"type": "inbound", "id": "evt_1", "conversation": {"id": "cnv_1"}, "emitted_at": 1700000000.5}),
    "hubspot": orjson.dumps([{"eventId": 1, "subscriptionType": "ticket.creation", "objectId": 77, "portalId": 1, "occurredAt": 1}]),
    "salesforce": SOAP,
    "genesys": orjson.dumps({"id": "e1", "detail-type": "v2.detail.events.conversation.{id}.customer.start", "detail": {
        "topicName": "v2.detail.events.conversation.c1.customer.start", "eventBody": {"conversationId": "c1", "direction": "INBOUND"}}}),
    "amazon-connect": orjson.dumps({"id": "e2", "detail-type": "Amazon Connect Contact Event", "source": "aws.connect", "detail": {
        "eventType": "INITIATED", "contactId": "k1", "initiationMethod": "INBOUND", "channel": "VOICE"}}),
    "twilio": b"MessageSid=SM1&From=%2B4915112345678&To=%2B4930123456&Body=It+leaks.&SmsStatus=received",
    "cloudevents": orjson.dumps({"specversion": "1.0", "id": "1", "source": "/crm", "type": "t", "subject": "r", "data": {"text": "x"}}),
    "standard-webhooks": orjson.dumps({"type": "complaint.created", "data": {"record_id": "r", "text": "It leaks."}}),
    "canonical": orjson.dumps({"event_id": "1", "record_id": "2", "text": "It leaks."}),
}  # fmt: skip


def secret_of(adapter: str) -> str:
    return SECRETS.get(adapter, f"a long secret of {adapter}")


class Bed:
    """Intake's webhooks on a database of their own: one source for each adapter, named like it."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.progress = pool, Progress()

        async def load() -> Any:
            async with connection(pool) as conn:
                return await sources.load(conn, VAULT)

        self.sources = Sources(load)
        self.accepting = Accepting(pool, KEY, MasterKeys({"test": bytes(32)}))
        self.handlers = Handlers(self.accepting, KEY, self.progress, MasterKeys({"test": bytes(32)}), self.sources, policies=POLICIES)
        state = TypeAdapter(IntakeState)
        self.handlers.saves = Saves(
            service="intake", pool=pool, relay=Relay(service="intake", pool=pool, sender=Nowhere(), progress=self.progress), id_key=KEY,
            read=state.validate_json, write=lambda value: state.dump_json(value).decode(), decide=self.handlers.decide,
            also=self.handlers.settle, dead_letter_check=Limit(3).check,
        )  # fmt: skip
        app = make_app("Intake", service="intake", progress=self.progress)
        hooks.add_routes(app, self.accepting, self.sources)
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=HOST)

    async def add(self, name: str, adapter: str, *secrets: str, auth: str | None = None, **options: Any) -> None:
        async with self.pool.acquire() as conn:
            await sources.add(conn, name, adapter, signatures.scheme_of(adapter, auth), options)
            for secret in secrets:
                await sources.add_secret(conn, VAULT, name, "signing", secret)
        self.sources._tried_at = float("-inf")
        await self.sources.refresh()

    async def send(
        self, adapter: str, body: bytes, *, secret: str | None = None, now: datetime | None = None, **more: str
    ) -> httpx2.Response:
        signed = signing.headers(adapter, secret or secret_of(adapter), body, f"{HOST}/v1/hooks/{adapter}", now)
        return await self.client.post(f"/v1/hooks/{adapter}", content=body, headers=signed | more)

    async def rows(self) -> list[Any]:
        async with self.pool.acquire() as conn:
            return await conn.fetch(
                "select source, event_id, item, outcome, reason from submission order by source, item"
            )


@pytest.fixture
async def bed(database: str) -> AsyncIterator[Bed]:
    await migrate(database, "intake")
    pool = await make_pool(database, service="intake")
    made = Bed(pool)
    running = asyncio.create_task(made.accepting.commits.run())
    for adapter in EVENTS:
        await made.add(adapter, adapter, secret_of(adapter))
    yield made
    running.cancel()
    await made.client.aclose()
    await pool.close()


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


@pytest.mark.parametrize("adapter", [name for name in EVENTS if name in signatures.SCHEMES])
async def test_a_body_that_was_changed_on_the_way_is_refused(bed: Bed, adapter: str) -> None:
    body = EVENTS[adapter]
    signed = signing.headers(adapter, secret_of(adapter), body, f"{HOST}/v1/hooks/{adapter}")
    changed = body.replace(b"1", b"2", 1) if b"1" in body else body + b" "
    answer = await bed.client.post(f"/v1/hooks/{adapter}", content=changed, headers=signed)
    assert answer.status_code == 401, answer.text
    assert (await bed.send(adapter, body, secret="anothersecretof20chr")).status_code == 401
    assert (await bed.client.post(f"/v1/hooks/{adapter}", content=body)).status_code == 401
    assert await bed.rows() == []


@pytest.mark.parametrize("adapter", ["zendesk", "chatwoot", "front", "hubspot", "standard-webhooks"])
@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6)])
async def test_an_old_request_that_was_captured_is_refused_though_its_signature_is_right(
    bed: Bed, adapter: str, off: timedelta
) -> None:
    body = EVENTS[adapter]
    answer = await bed.send(adapter, body, now=datetime.now(UTC) + off)
    assert (answer.status_code, "five minutes" in answer.text) == (401, True)
    assert (await bed.send(adapter, body, now=datetime.now(UTC) + off * 0.6)).status_code == 202


async def test_zendesk_signs_time_and_body_not_body_and_time(bed: Bed) -> None:
    body, time = EVENTS["zendesk"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    wrong = signing.b64(secret_of("zendesk"), body + time.encode(), "sha256")
    headers = {"x-zendesk-webhook-signature": wrong, "x-zendesk-webhook-signature-timestamp": time}
    assert (await bed.client.post("/v1/hooks/zendesk", content=body, headers=headers)).status_code == 401


async def test_two_secrets_are_live_while_one_is_replaced_and_the_third_ends_the_first(bed: Bed) -> None:
    body = EVENTS["zammad"]
    await bed.add("z2", "zammad", "the first secret....", "the second secret...")

    async def works(secret: str) -> bool:
        signed = signing.headers("zammad", secret, body, "")
        return (await bed.client.post("/v1/hooks/z2", content=body, headers=signed)).status_code == 202

    assert await works("the first secret....")
    assert await works("the second secret...")
    async with bed.pool.acquire() as conn:
        await sources.add_secret(conn, VAULT, "z2", "signing", "the third secret....")
        assert b"the third" not in await conn.fetchval("select wrapped from source_secret order by id desc limit 1")
        assert await conn.fetchval("select count(*) from source_secret where source = 'z2'") == 2
    bed.sources._tried_at = float("-inf")
    await bed.sources.refresh()
    assert not await works("the first secret....")
    assert await works("the second secret...")
    assert await works("the third secret....")


async def test_a_secret_moved_to_another_source_opens_nothing(bed: Bed) -> None:
    async with bed.pool.acquire() as conn:
        await conn.execute("update source_secret set source = 'zammad' where source = 'chatwoot'")
        found = {record.name: record for record in await sources.load(conn, VAULT)}
    assert found["zammad"].secrets == (secret_of("zammad").encode(),)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer a long secret of freshdesk"},
        {"authorization": "Basic " + base64.b64encode(b"x:a long secret of freshdesk").decode()},
        {"x-api-key": "a long secret of freshdesk"},
    ],
)
async def test_a_shared_secret_in_every_place_that_admins_can_put_it(bed: Bed, headers: dict[str, str]) -> None:
    assert (
        await bed.client.post("/v1/hooks/freshdesk", content=EVENTS["freshdesk"], headers=headers)
    ).status_code == 202
    wrong = {name: value[:-1] + "A" for name, value in headers.items()}
    assert (await bed.client.post("/v1/hooks/freshdesk", content=EVENTS["freshdesk"], headers=wrong)).status_code == 401


async def test_a_shared_secret_in_the_address_where_no_header_can_be_set(bed: Bed) -> None:
    answer = await bed.client.post("/v1/hooks/salesforce?key=a%20long%20secret%20of%20salesforce", content=SOAP)
    assert answer.status_code == 200
    async with bed.pool.acquire() as conn:
        row = await conn.fetchrow("select headers::text as headers from delivery")
    assert "secret" not in row["headers"]


async def test_twilio_signs_the_address_with_or_without_port_and_json_by_its_hash(bed: Bed) -> None:
    import hashlib

    body = EVENTS["twilio"]
    signed = signing.headers("twilio", secret_of("twilio"), body, f"{HOST}:443/v1/hooks/twilio")
    assert (await bed.client.post("/v1/hooks/twilio", content=body, headers=signed)).status_code == 200
    events = orjson.dumps([{"specversion": "1.0", "id": "EZ1", "type": "com.twilio.messaging.inbound-message.received",
                            "source": "/x", "data": {"messageSid": "SM9", "from": "+491511", "to": "+4930", "body": "Hi"}}])  # fmt: skip
    address = f"/v1/hooks/twilio?bodySHA256={hashlib.sha256(events).hexdigest()}"
    signed = signing.headers("twilio", secret_of("twilio"), b"[", HOST + address)
    assert (await bed.client.post(address, content=events, headers=signed)).status_code == 202
    assert (await bed.client.post(address, content=events + b" ", headers=signed)).status_code == 401
    query = "MessageSid=SM3&From=%2B491&To=%2B492&Body=Hi&SmsStatus=received"
    signed = {
        "x-twilio-signature": signing.b64(secret_of("twilio"), f"{HOST}/v1/hooks/twilio?{query}".encode(), "sha1")
    }
    assert (await bed.client.get(f"/v1/hooks/twilio?{query}", headers=signed)).status_code == 200
    assert (await bed.client.get("/v1/hooks/zammad?x=1")).status_code == 405


async def test_hubspot_signs_the_public_address_that_a_proxy_hides(bed: Bed) -> None:
    await bed.add("hs", "hubspot", "a client secret of hs", url="https://public.example.org/complaints/hook")
    signed = signing.headers(
        "hubspot", "a client secret of hs", EVENTS["hubspot"], "https://public.example.org/complaints/hook"
    )
    assert (await bed.client.post("/v1/hooks/hs", content=EVENTS["hubspot"], headers=signed)).status_code == 202


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


HEADER_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=80)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scheme=st.sampled_from(sorted(signatures.SCHEMES)),
    values=st.lists(HEADER_VALUES, min_size=3, max_size=3),
    body=st.binary(max_size=60),
)
def test_a_malformed_signature_is_a_wrong_one_never_an_error(scheme: str, values: list[str], body: bytes) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    names = [
        "x-zendesk-webhook-signature", "x-chatwoot-signature", "x-hub-signature", "x-front-signature", "x-hubspot-signature-v3",
        "x-twilio-signature", "webhook-signature", "authorization", "webhook-id",
    ]  # fmt: skip
    times = [
        "x-zendesk-webhook-signature-timestamp",
        "x-chatwoot-timestamp",
        "x-hubspot-request-timestamp",
        "webhook-timestamp",
    ]
    for time in (values[2], "2026-03-02T00:00:00Z", str(int(now.timestamp()))):
        headers = dict.fromkeys(names, values[0]) | dict.fromkeys(times, time) | {"authorization": f"Basic {values[1]}"}
        request = signatures.Signed(
            "POST", (f"{HOST}/v1/hooks/x?bodySHA256={values[1].encode().hex()}",), headers, body, now
        )
        with pytest.raises(signatures.Unverified):
            signatures.verify(scheme, request, [secret_of(scheme).encode()])


@pytest.mark.parametrize("adapter", sorted(EVENTS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_hostile_bodies_are_read_or_unreadable_in_bounded_time(adapter: str, data: st.DataObject) -> None:
    start = EVENTS[adapter]
    cut = data.draw(st.integers(0, len(start)))
    body = start[:cut] + data.draw(st.binary(max_size=30)) + start[cut + data.draw(st.integers(0, 10)) :]
    delivery = Delivery(UUID(int=1), adapter, datetime(2026, 3, 2, tzinfo=UTC), "application/json", {}, body)
    with contextlib.suppress(Unreadable):
        assert ADAPTERS[adapter].read(delivery) is not None
