"""Intake's webhooks on a database of their own, one source for each adapter; and one event of each system."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx2
import orjson
import pytest

from services.intake import hooks, signatures, sources
from services.intake.accepting import Accepting
from services.intake.handlers import Handlers
from services.intake.sources import Sources
from shared.http.app import make_app
from shared.postgres.migrate import migrate
from shared.postgres.pool import Pool, connection, make_pool
from shared.telemetry.health import Progress
from shared.vault import MasterKeys
from tests.intake import signing
from tests.intake.parts import KEY, saves
from tests.intake.policies import POLICIES

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
        self.handlers.saves = saves(self.handlers, pool, self.progress, limit=3)
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
