"""Who is let in: each system's signature over the raw bytes, its time, two live secrets; a malformed one is 401, never 500."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake import signatures, sources
from tests.intake import signing
from tests.intake.hook_bed import EVENTS, HOST, SOAP, VAULT, Bed, bed, secret_of

__all__ = ["bed"]
HEADER_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=80)


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
