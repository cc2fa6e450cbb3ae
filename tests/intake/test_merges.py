"""Two complaints that are one: merged by a command, contacts follow, and the undoing of it is an event too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import orjson
import pytest

from services.intake import merges
from shared.http.app import make_app
from shared.http.keys import Authenticator, mint
from shared.postgres import api_keys, outbox
from shared.telemetry import tracing
from tests.intake.beds import Bed, bed_on
from tests.intake.test_normalize import item

CARRIER = tracing.Carrier("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")


class Desk:
    """A team lead, and what is in the outbox."""

    def __init__(self, bed: Bed, client: httpx2.AsyncClient) -> None:
        self.bed, self.client = bed, client

    async def send(self, *items: dict[str, Any]) -> list[str]:
        from datetime import UTC, datetime

        from services.intake.submissions import Delivery
        from shared.contracts import ids

        delivery = Delivery(ids.time_ordered_id(), "shop", datetime.now(UTC), "application/json", {}, orjson.dumps(list(items)))
        answered = await self.bed.accepting.accept(delivery, "canonical", CARRIER)
        await self.bed.settle()
        return [str(each.complaint_id) for each in answered]  # type: ignore[union-attr]

    async def post(self, complaint: str, command: str, **body: Any) -> httpx2.Response:
        return await self.client.post(f"/v1/complaints/{complaint}/{command}", json=body)

    async def events(self) -> list[tuple[str, str]]:
        """(complaint, type) of all events, in order."""
        async with self.bed.pool.acquire() as conn:
            rows = await conn.fetch("select events from outbox order by id")
        found = []
        for row in rows:
            for event in outbox.unpack(row["events"]):
                headers = dict(event.headers)
                found.append((headers["ce_subject"].decode(), headers["ce_type"].decode().split(".")[2]))
        return found


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with bed_on(database) as bed:
        key, record = mint("lead-uk", {"cases:read", "cases:write"}, None)
        async with bed.pool.acquire() as conn:
            await api_keys.add(conn, record)
        app = make_app("Intake", service="intake", progress=bed.progress)
        app.include_router(merges.routes(bed.handlers.saves, bed.pool, Authenticator(lambda: api_keys.load(bed.pool), refresh_s=10.0)))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers={"Authorization": f"Bearer {key}"}) as client:
            yield Desk(bed, client)


async def test_contacts_follow_a_merge_and_stand_alone_again_after_it_was_undone(desk: Desk) -> None:
    mail, ticket = await desk.send(item(1), item(2))
    merged = await desk.post(ticket, "merge", into=mail, reason="same order")
    assert (merged.status_code, merged.json()["merged_into"]) == (200, mail)
    await desk.send(item(3, record_id="T-2"), item(4, record_id="T-2", kind="reply"))
    await desk.send({"kind": "status", "event_id": "s", "record_id": "T-2", "status": "closed"})
    undone = await desk.post(ticket, "unmerge", reason="two kettles")
    assert (undone.status_code, undone.json()["merged_into"]) == (200, None)
    await desk.send(item(5, record_id="T-2"))
    assert await desk.events() == [
        (mail, "received"), (ticket, "received"), (ticket, "merged"), (mail, "contact_added"), (mail, "reply_sent"),
        (ticket, "status_reported"), (ticket, "merge_undone"), (ticket, "contact_added"),
    ]  # fmt: skip


async def test_a_chain_of_merges_is_followed_to_its_end(desk: Desk) -> None:
    one, two, three = await desk.send(item(1), item(2), item(3))
    assert (await desk.post(one, "merge", into=two)).status_code == 200
    assert (await desk.post(two, "merge", into=three)).status_code == 200
    await desk.send(item(4, record_id="T-1"))
    assert (await desk.events())[-1] == (three, "contact_added")


async def test_what_cannot_be_merged_says_why(desk: Desk) -> None:
    one, two = await desk.send(item(1), item(2))
    nobody = str(uuid4())
    for complaint, command, body, status in (
        (one, "merge", {"into": one}, 422),
        (one, "merge", {"into": nobody}, 404),
        (nobody, "merge", {"into": one}, 404),
        (one, "unmerge", {}, 409),
        (one, "merge", {"into": "x"}, 422),
        (one, "merge", {"into": two, "extra": 1}, 422),
    ):
        assert (await desk.post(complaint, command, **body)).status_code == status, (command, body)
    assert (await desk.post(one, "merge", into=two)).status_code == 200
    assert (await desk.post(one, "merge", into=two)).status_code == 409
    back = await desk.post(two, "merge", into=one)
    assert (back.status_code, back.json()["into"]) == (409, two), "no circle"
    assert (await desk.client.post(f"/v1/complaints/{one}/merge", json={"into": two}, headers={"Authorization": "x"})).status_code == 401


async def test_a_command_sent_again_is_done_once(desk: Desk) -> None:
    one, two = await desk.send(item(1), item(2))
    for _ in range(2):
        answer = await desk.client.post(f"/v1/complaints/{one}/merge", json={"into": two}, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200
    assert [kind for _, kind in await desk.events()].count("merged") == 1
    assert UUID(answer.json()["merged_into"]) == UUID(two)
