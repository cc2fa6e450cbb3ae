"""Writing back to contact centres: against a local server that keeps records and answers as their vendors document."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts.decision import Decision, Message, Settled
from shared.delivery import sender as sending
from shared.delivery.contact_centres import ContactCentres
from shared.delivery.routes import Permanent, Route, Temporary
from shared.delivery.sender import routes
from shared.delivery.settings import ContactCentre, DeliverySettings, Endpoints, EndpointsFile, load_endpoints
from shared.delivery.web import Caller
from shared.errors import StartRefused
from shared.postgres import messages
from shared.postgres.inputs import Input
from shared.postgres.messages import Letter, endpoint_of
from tests.delivery.bench import Bench, Running, command, until
from tests.delivery.parts import State, subject_number, token_of
from tests.outside.conftest import LOOPBACK, MakeSender
from tests.outside.helpdesk import Helpdesk

SYSTEMS = ("zendesk", "zammad", "chatwoot", "freshdesk")
COMMENT = "Amends: tier 3, with Claims & Care, answer by Mon 02 Mar 2026 13:30 UTC."


@pytest.fixture
async def helpdesk() -> AsyncIterator[Helpdesk]:
    found = Helpdesk()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


def centre(helpdesk: Helpdesk, system: str, **more: Any) -> ContactCentre:
    account = {"account": 4} if system == "chatwoot" else {}
    url = f"http://127.0.0.1:{helpdesk.port}/"
    return ContactCentre.model_validate({"system": system, "url": url, "token": "t0ken", **account, **more})


def route(helpdesk: Helpdesk, system: str, **more: Any) -> ContactCentres:
    return ContactCentres({"desk": centre(helpdesk, system, **more)}, Caller(LOOPBACK))


def letter(system: str, *, attempts: int = 1, message: UUID | None = None, **body: Any) -> Letter:
    record = "zen:ticket:9" if system == "zendesk" else "9"
    content = {"record_id": record, **(body or {"comment": COMMENT, "priority": "urgent", "tags_add": ["amends-tier-3"]})}
    return Letter(message or uuid4(), uuid4(), "note", "contact_centre:desk", "contact_centre", "desk", content, attempts, 0.0, "")


@pytest.mark.parametrize(
    ("system", "priority", "private"),
    [
        ("zendesk", "urgent", {"public": False}),
        ("zammad", "3 high", {"internal": True, "type": "note", "content_type": "text/plain"}),
        ("chatwoot", "urgent", {"private": True, "message_type": "outgoing"}),
        ("freshdesk", 4, {"private": True}),
    ],
)
async def test_note_priority_and_tag_reach_the_record_and_what_was_there_stays(
    helpdesk: Helpdesk, system: str, priority: Any, private: dict[str, Any]
) -> None:
    sent = letter(system)
    await route(helpdesk, system).send(sent)
    assert helpdesk.tags == ["vip", "amends-tier-3"]
    assert helpdesk.priority == priority
    (note,) = helpdesk.notes
    assert private.items() <= note.items(), "customers must not see it"
    text = note["content"] if system == "chatwoot" else note["body"]
    shown = COMMENT.replace("&", "&amp;") if system == "freshdesk" else COMMENT
    assert text == f"{shown}{'<br>' if system == 'freshdesk' else chr(10)}[amends {sent.id}]"


@pytest.mark.parametrize("system", SYSTEMS)
async def test_only_what_is_given_is_written(helpdesk: Helpdesk, system: str) -> None:
    out = route(helpdesk, system)
    await out.send(letter(system, tags_add=["a"]))
    assert (helpdesk.tags, helpdesk.priority, helpdesk.notes) == (["vip", "a"], None, [])
    await out.send(letter(system, comment="Amends: resolved."))
    assert (helpdesk.tags, helpdesk.priority, len(helpdesk.notes)) == (["vip", "a"], None, 1)
    await out.send(letter(system, priority="normal"))
    assert helpdesk.priority == {"zendesk": "normal", "zammad": "2 normal", "chatwoot": "medium", "freshdesk": 2}[system]


@pytest.mark.parametrize(
    ("system", "last"), [("zendesk", "9.json"), ("zammad", "tickets/9"), ("chatwoot", "messages"), ("freshdesk", "notes")]
)
async def test_a_note_whose_answer_was_lost_is_not_left_twice(helpdesk: Helpdesk, system: str, last: str) -> None:
    helpdesk.deaf = {last}
    out, first = route(helpdesk, system), letter(system)
    with pytest.raises(Temporary):
        await out.send(first)
    assert len(helpdesk.notes) == 1
    await out.send(first._replace(attempts=2))
    assert len(helpdesk.notes) == 1
    assert helpdesk.tags == ["vip", "amends-tier-3"]
    await out.send(letter(system, attempts=2))
    assert len(helpdesk.notes) == 2, "another message, whose first attempt left nothing"


@pytest.mark.parametrize("system", SYSTEMS)
async def test_tags_of_two_messages_at_once_are_both_there(helpdesk: Helpdesk, system: str) -> None:
    helpdesk.slow = True
    out = route(helpdesk, system)
    await asyncio.gather(*(out.send(letter(system, tags_add=[f"amends-tier-{tier}"])) for tier in (2, 3, 4)))
    assert sorted(helpdesk.tags) == ["amends-tier-2", "amends-tier-3", "amends-tier-4", "vip"]


@pytest.mark.parametrize(
    ("system", "more", "header", "expected"),
    [
        ("zendesk", {"user": "ann@shop.example"}, "authorization", "ann@shop.example/token:t0ken"),
        ("zendesk", {}, "authorization", "Bearer t0ken"),
        ("zammad", {}, "authorization", "Token token=t0ken"),
        ("chatwoot", {}, "api_access_token", "t0ken"),
        ("freshdesk", {}, "authorization", "t0ken:X"),
    ],
)
async def test_each_system_is_shown_the_token_as_it_wants_it(
    helpdesk: Helpdesk, system: str, more: dict[str, Any], header: str, expected: str
) -> None:
    await route(helpdesk, system, headers={"X-Gateway": "g"}, **more).send(letter(system))
    shown = helpdesk.headers[header]
    assert (b64decode(shown.removeprefix("Basic ")).decode() if shown.startswith("Basic ") else shown) == expected
    assert helpdesk.headers["x-gateway"] == "g"


@pytest.mark.parametrize(
    ("fault", "expected", "reason"),
    [
        ("401 Unauthorized", Temporary, "refuses our token"),
        ("403 Forbidden", Temporary, "does not let our user"),
        ("404 Not Found", Permanent, "no such record"),
        ("422 Unprocessable", Permanent, "does not take"),
        ("409 Conflict", Temporary, "409"),
        ("429 Too Many Requests\r\nRetry-After: 93", Temporary, "429"),
        ("500 Oh", Temporary, "500"),
    ],
)
@pytest.mark.parametrize("system", SYSTEMS)
async def test_what_the_contact_centre_says_decides(
    helpdesk: Helpdesk, system: str, fault: str, expected: type[Exception], reason: str
) -> None:
    helpdesk.faults = {"": fault}
    with pytest.raises(expected, match=reason) as raised:
        await route(helpdesk, system).send(letter(system))
    assert getattr(raised.value, "after_s", None) == (93.0 if "429" in fault else None)
    assert getattr(raised.value, "held", False) is fault.startswith(("401", "403"))
    assert helpdesk.notes == []
    assert not re.search(r"127\.0\.0\.1|t0ken|Claims", str(raised.value))


@pytest.mark.parametrize("record", ["zen:user:9", "9/../../users/1", "sha256:aa", "", "-1", "9?x=1", "٩"])
async def test_a_record_that_is_no_number_asks_nothing(helpdesk: Helpdesk, record: str) -> None:
    odd = letter("zendesk")
    with pytest.raises(Permanent, match="not a number"):
        await route(helpdesk, "zendesk").send(odd._replace(body={**odd.body, "record_id": record}))
    assert helpdesk.calls == []


async def test_an_answer_of_something_else_is_told_apart(helpdesk: Helpdesk) -> None:
    helpdesk.faults = {"labels": "200 OK"}
    with pytest.raises(Permanent, match="does not answer as chatwoot does"):
        await route(helpdesk, "chatwoot").send(letter("chatwoot"))


async def test_an_unknown_contact_centre_says_where_it_is_to_be_named(helpdesk: Helpdesk) -> None:
    with pytest.raises(Permanent, match="no contact centre named 'other' in AMENDS_DELIVERY_ENDPOINTS_FILE"):
        await route(helpdesk, "zammad").send(letter("zammad")._replace(to="other"))


async def test_the_guard_stands_before_it(helpdesk: Helpdesk) -> None:
    out = routes(DeliverySettings(), Endpoints(contact_centres={"desk": centre(helpdesk, "zammad")}), "escalation", bytes(32))
    with pytest.raises(Permanent, match="AMENDS_DELIVERY_ALLOW_NETWORKS"):
        await out["contact_centre"].send(letter("zammad"))
    assert helpdesk.calls == []


def noter(state: State | None, item: Input, now: datetime) -> Decision[State]:
    """A command leaves a note; what became of it is noted."""
    log = (*(state or State()).log, token_of(item))
    if isinstance(item.body, Settled):
        return Decision(State(log=log))
    body = {"record_id": "9", "comment": COMMENT, "tags_add": ["amends-tier-3"]}
    return Decision(State(log=log), messages=(Message("note-1", "contact_centre", "desk", body),))


async def test_a_note_that_a_decision_leaves_is_there_once_after_a_limit_and_a_lost_answer(
    helpdesk: Helpdesk, bench: Bench, make_sender: MakeSender
) -> None:
    helpdesk.faults, helpdesk.deaf = {"/labels": "429 Too Many Requests\r\nRetry-After: 30"}, {"/messages"}
    replica, subject = bench.replica(decide=noter), subject_number(1)
    await command(replica, subject, "go")
    sender = make_sender(replica, {"contact_centre": route(helpdesk, "chatwoot")})

    async def settled() -> bool:
        await bench.advance(60)
        return await bench.count("message") == 0

    async with Running(sender.run):
        await until(settled)
    assert (helpdesk.faults, helpdesk.deaf) == ({}, set())
    assert (len(helpdesk.notes), helpdesk.tags) == (1, ["vip", "amends-tier-3"])
    assert await bench.tokens(subject) == ["go", "sent note-1"]


async def test_a_token_that_was_changed_there_holds_the_note_until_it_is_changed_here_however_long(
    helpdesk: Helpdesk, bench: Bench, make_sender: MakeSender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LOOK_EVERY_S", 0.02)
    helpdesk.token = "n3w"
    file, settings = tmp_path / "endpoints.yaml", DeliverySettings(allow_networks=LOOPBACK)

    def write(token: str) -> None:
        url = f"http://127.0.0.1:{helpdesk.port}"
        new = tmp_path / "new"
        new.write_text(f"contact_centres: {{desk: {{system: chatwoot, account: 4, url: '{url}', token: {token}}}}}\n")
        new.replace(file)

    write("0ld")
    endpoints = EndpointsFile(file)

    def reread() -> dict[str, Route] | None:
        found = endpoints.changed()
        return None if found is None else routes(settings, found, "escalation", bytes(32))

    replica, subject = bench.replica(decide=noter), subject_number(1)
    await command(replica, subject, "go")
    sender = make_sender(replica, routes(settings, endpoints.endpoints, "escalation", bytes(32)), reread=reread)

    async def rests() -> bool:
        await bench.advance(301)
        found = await endpoint()
        return bool(found["failures"] >= 5 and found["resting"])

    async def endpoint() -> Any:
        async with bench.pool.acquire() as conn:
            return await conn.fetchrow(messages.LIST_ENDPOINTS)

    async def tried_again() -> bool:
        return len(helpdesk.calls) > seen

    async def settled() -> bool:
        await bench.advance(5)
        return await bench.count("message") == 0

    async with Running(sender.run, sender.watch):
        await until(rests)
        await bench.advance(4 * 86_400)
        seen = len(helpdesk.calls)
        await until(tried_again)
        assert (await endpoint())["reason"] == "the contact centre refuses our token (401)"
        assert (await endpoint())["waiting"] == 1, "four days later it is still there"
        file.write_text("contact_centres: [")
        write("n3w")
        await until(settled)
    assert (len(helpdesk.notes), helpdesk.tags) == (1, ["vip", "amends-tier-3"])
    assert await bench.tokens(subject) == ["go", "sent note-1"]


def test_a_changed_file_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text("chats: {a: {url: 'https://chat.example/1'}}\n")
    endpoints = EndpointsFile(file)
    assert endpoints.changed() is None
    file.write_text("chats: {a: {adress: 1}}\n")
    assert endpoints.changed() is None
    file.unlink()
    assert endpoints.changed() is None
    assert list(endpoints.endpoints.chats) == ["a"]
    file.write_text("chats: {a: {url: 'https://chat.example/2'}, b: {url: 'https://chat.example/3'}}\n")
    found = endpoints.changed()
    assert found is not None
    assert list(found.chats) == ["a", "b"]


def test_each_contact_centre_fails_for_itself() -> None:
    assert endpoint_of("contact_centre", "zendesk-uk") == "contact_centre:zendesk-uk"


def test_the_endpoints_file_says_what_is_missing(tmp_path: Any) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text("contact_centres:\n  chat:\n    system: chatwoot\n    url: https://x.example\n    token: s3cret\n")
    with pytest.raises(StartRefused, match=r"contact_centres\.chat: .*chatwoot needs `account`") as refused:
        load_endpoints(file)
    assert "s3cret" not in str(refused.value)
    file.write_text(file.read_text() + "    account: 4\n")
    assert load_endpoints(file).contact_centres["chat"].account == 4
