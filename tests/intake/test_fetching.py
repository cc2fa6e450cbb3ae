"""Texts that webhooks do not carry: asked of an API that answers as each vendor documents, until they are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import orjson
import pytest
from starlette.responses import JSONResponse, Response

from services.intake import fetching, sources
from services.intake.adapters.fetched import Asked, Fetched, envelope
from services.intake.fetching import Fetcher, NotFetched
from services.intake.submissions import Unreadable
from shared.clock import utc_now
from shared.http.server import Server
from shared.postgres.migrate import migrate
from shared.postgres.outbox import unpack
from shared.postgres.pool import make_pool
from tests.intake.hook_bed import VAULT, Bed, secret_of
from tests.intake.vendor_apis import EVENTS, TOKENS, Api


class Fetching(Bed):
    api: Api
    url: str

    def fetcher(self) -> Fetcher:
        return Fetcher(self.pool, self.sources, self.accepting.keep)

    async def hook(self, adapter: str, *, token: bool = True) -> None:
        await self.add(adapter, adapter, secret_of(adapter), api_url=self.url)
        if token:
            await self.give_token(adapter)
        assert (await self.send(adapter, orjson.dumps(EVENTS[adapter]))).status_code in (200, 202)
        await self.handlers._normalize_once()

    async def give_token(self, adapter: str) -> None:
        async with self.pool.acquire() as conn:
            await sources.add_secret(conn, VAULT, adapter, "token", TOKENS[adapter], live=1)
            await conn.execute(sources.ASK_AGAIN, adapter)
        self.sources._tried_at = float("-inf")
        await self.sources.refresh()

    async def ask(self) -> int:
        async with httpx2.AsyncClient() as client:
            asked = await self.fetcher().fetch_due(client)
        await self.handlers._normalize_once()
        return asked

    async def due_now(self) -> None:
        async with self.pool.acquire() as conn:
            await conn.execute("update text_fetch set due_at = app_now() where due_at < 'infinity'")

    async def waiting(self) -> list[Any]:
        async with self.pool.acquire() as conn:
            return await conn.fetch(
                "select attempts, problem, extract(epoch from due_at - app_now()) as wait_s from text_fetch"
            )

    async def contacts(self) -> list[dict[str, Any]]:
        async with self.pool.acquire() as conn:
            rows = await conn.fetch("select events from outbox order by id")
        return [
            orjson.loads(event.value)["contact"]
            for row in rows
            for event in unpack(row["events"])
            if event.topic == "complaints"
        ]


@pytest.fixture
async def bed(database: str) -> AsyncIterator[Fetching]:
    await migrate(database, "intake")
    pool = await make_pool(database, service="intake")
    made = Fetching(pool)
    made.api = Api()
    server = Server(made.api.app, "127.0.0.1", 0)
    await server.start()
    made.url = server.url
    running = asyncio.create_task(made.accepting.commits.run())
    yield made
    running.cancel()
    await server.stop(1.0)
    await made.client.aclose()
    await pool.close()


@pytest.mark.parametrize("adapter", sorted(EVENTS))
async def test_the_text_comes_as_a_contact_that_completes_the_earlier_one(bed: Fetching, adapter: str) -> None:
    await bed.hook(adapter)
    (pending,) = await bed.contacts()
    assert pending["text_status"] == "pending_fetch"
    assert await bed.ask() == 1
    first, rest = await bed.contacts()
    assert (rest["text"], rest["text_status"]) == ("It leaks.", "complete")
    assert rest["completes"] == first["message_id"]
    assert rest["message_id"] == {"chatwoot": "22", "zammad": "4"}.get(adapter, first["message_id"])
    assert rest["source"]["record_id"] == first["source"]["record_id"]
    assert rest["source"]["event_id"] == f"fetched:{first['source']['event_id']}"
    if adapter not in ("hubspot", "genesys"):
        assert rest["customer"]["emails"] == ["sam@example.com"]
    assert [row["outcome"] for row in await bed.rows()] == ["complaint", "contact"]
    assert await bed.waiting() == []
    scheme, _, given = bed.api.asked[0][1].partition(" ")
    schemes = {"zendesk": "Basic", "freshdesk": "Basic", "zammad": "Token", "chatwoot": "Own"}
    assert (scheme, bool(given)) == (schemes.get(adapter, "Bearer"), True)


@pytest.mark.parametrize(("conversation", "media"), [("c2", "EMAIL"), ("c3", "MESSAGE")])
async def test_genesys_has_mails_and_messages_elsewhere_than_calls(bed: Fetching, conversation: str, media: str) -> None:
    event = orjson.dumps(EVENTS["genesys"]).replace(b'"c1"', b'"%s"' % conversation.encode()).replace(b"VOICE", media.encode())
    await bed.add("genesys", "genesys", secret_of("genesys"), api_url=bed.url)
    await bed.give_token("genesys")
    assert (await bed.send("genesys", event)).status_code == 202
    await bed.handlers._normalize_once()
    assert await bed.ask() == 1
    assert [contact["text"] for contact in await bed.contacts()] == ["", "It leaks."]


async def test_a_signed_address_elsewhere_gets_no_token(bed: Fetching) -> None:
    await bed.hook("genesys")
    await bed.ask()
    told = [(path.rpartition("/")[2], given.split()[0]) for path, given in bed.api.asked]
    assert told == [("transcripturl", "Bearer"), ("c1.json", "Own")]
    with pytest.raises(NotFetched, match="not https"):
        await fetching._follow(httpx2.AsyncClient(), bed.url, "http://169.254.169.254/latest", {})


@pytest.mark.parametrize("fetched_first", [True, False])
async def test_a_message_that_is_fetched_and_also_comes_as_an_event_counts_once(bed: Fetching, fetched_first: bool) -> None:
    await bed.hook("chatwoot")
    event = {"event": "message_created", "id": 22, "content": "It leaks.", "message_type": "incoming", "conversation": {"id": 8}}
    if fetched_first:
        await bed.ask()
    await bed.send("chatwoot", orjson.dumps(event))
    await bed.handlers._normalize_once()
    if not fetched_first:
        await bed.ask()
    assert sorted(row["outcome"] for row in await bed.rows()) == ["complaint", "contact", "set_aside"]


async def test_an_api_that_fails_is_asked_again_later_and_later(bed: Fetching) -> None:
    await bed.hook("hubspot")
    bed.api.failing = [
        Response(status_code=500),
        Response(b"<html>", 200),
        JSONResponse({}, 429, {"Retry-After": "7"}),
        Response(status_code=401),
    ]
    problems = []
    for _ in range(4):
        await bed.ask()
        (row,) = await bed.waiting()
        problems.append((row["problem"], row["attempts"], row["wait_s"]))
        await bed.due_now()
    assert [problem for problem, _, _ in problems] == [
        "the API answers 500", "the API's answer is not JSON", "the API asks for patience (429)", "the API refuses the token (401)",
    ]  # fmt: skip
    assert [attempts for _, attempts, _ in problems] == [1, 2, 3, 4]
    assert 1 < problems[0][2] <= 5
    assert 4 < problems[1][2] <= 10
    assert 5 < problems[2][2] <= 7
    assert problems[3][2] > 800
    await bed.ask()
    assert [contact["text"] for contact in await bed.contacts()] == ["", "It leaks."]


async def test_what_is_asked_in_vain_for_days_is_given_up_and_stays_to_be_seen(bed: Fetching) -> None:
    await bed.hook("hubspot")
    async with bed.pool.acquire() as conn:
        await conn.execute("update text_fetch set attempts = $1", fetching.MAX_ATTEMPTS)
    bed.api.failing = [Response(status_code=503)]
    await bed.ask()
    (row,) = await bed.waiting()
    assert (row["problem"], row["wait_s"]) == ("the API answers 503", float("inf"))


async def test_without_a_token_it_waits_for_one(bed: Fetching) -> None:
    await bed.hook("hubspot", token=False)
    assert await bed.ask() == 0
    assert (await bed.waiting())[0]["problem"] == "the source has no API token"
    await bed.give_token("hubspot")
    assert await bed.ask() == 1
    assert len(await bed.contacts()) == 2


async def test_an_answer_that_was_stored_before_a_crash_counts_once(bed: Fetching) -> None:
    await bed.hook("hubspot")
    async with bed.pool.acquire() as conn:
        noted = await conn.fetch("select * from text_fetch")
    await bed.ask()
    async with bed.pool.acquire() as conn:  # the note was not deleted
        row = noted[0]
        await conn.execute(
            "insert into text_fetch (source, event_id, asked) values ($1, $2, $3)",
            row["source"],
            row["event_id"],
            row["asked"],
        )
    assert await bed.ask() == 1
    assert len(await bed.contacts()) == 2
    assert await bed.waiting() == []


def read(asked: Asked, answer: Any) -> Any:
    from services.intake.trying import delivery_of

    (item,) = Fetched().read(delivery_of("fetched", envelope(asked, answer), {}, {}, utc_now()))
    return item


def test_a_message_of_the_organisation_that_was_fetched_is_its_reply() -> None:
    asked = Asked("hubspot", "8", "e", "conversation.newMessage", "m1")
    outgoing = read(
        asked,
        {"id": "m1", "type": "MESSAGE", "text": "Sorry", "direction": "OUTGOING", "createdAt": "2026-03-02T08:00:00Z"},
    )
    assert type(outgoing).__name__ == "ReplySubmission"
    incoming = read(
        asked, {"id": "m1", "type": "MESSAGE", "text": "Hm", "direction": "INCOMING", "senders": [{"name": "Sam"}]}
    )
    assert incoming.contact.text == "Hm"


def test_the_comment_that_was_asked_for_not_another() -> None:
    asked = Asked("zendesk", "zen:ticket:9", "e", "zen:event-type:ticket.comment_added", "78")
    answer = {
        "comments": [
            {"id": 79, "body": "Newer", "public": True, "author_id": 4},
            {"id": 78, "body": "This one", "public": True, "author_id": 4, "created_at": "2026-03-02T08:00:00Z"},
        ],
        "users": [{"id": 4, "role": "end-user", "name": "Sam", "email": "sam@example.com"}],
    }
    item = read(asked, answer)
    assert (item.contact.text, item.contact.customer.name) == ("This one", "Sam")
    with pytest.raises(Unreadable):
        read(asked, {"comments": []})


def test_of_a_messaging_ticket_the_description_is_nobodys_words() -> None:
    asked = Asked("zendesk", "zen:ticket:9", "e", "zen:event-type:ticket.created", "ticket:9")
    ticket = {
        "id": 9,
        "description": "Conversation with Sam",
        "via": {"channel": "native_messaging"},
        "requester_id": 4,
    }
    item = read(asked, {"ticket": ticket, "users": [{"id": 4, "email": "sam@example.com"}]})
    assert (item.contact.text, item.contact.text_status, item.contact.customer.emails) == (
        "",
        "empty",
        ("sam@example.com",),
    )
