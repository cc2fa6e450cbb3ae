"""Real SMTP and HTTP servers on the loopback: what arrives there, and what their answers mean."""

from __future__ import annotations

import asyncio
import email
import json
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import uuid4

import pytest
from aiosmtplib.email import flatten_message
from pydantic import SecretStr
from standardwebhooks import Webhook

from shared.delivery import email as delivery_email
from shared.delivery import guard
from shared.delivery.email import Email, ToFolder, compose
from shared.delivery.routes import Permanent, Temporary
from shared.delivery.settings import DeliverySettings, Endpoint, load_endpoints
from shared.delivery.web import Caller, Chats, Webhooks
from shared.errors import StartRefused
from shared.postgres.messages import Letter
from tests.delivery.parts import ID_KEY as KEY
from tests.outside.conftest import LOOPBACK, Mailbox, Web

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_" + "b2xkIHNlY3JldCBvbGQgc2VjcmV0"


def letter(route: str = "email", to: str = "ann@example.com", **body: Any) -> Letter:
    content = {"subject": "Ihr Anliegen – wir melden uns", "text": "Guten Tag,\n\nwir kümmern uns darum."}
    return Letter(uuid4(), uuid4(), "hello", route, route, to, body or content, 1, 0.0, "")


def smtp(mailbox: Mailbox, **more: Any) -> Email:
    given = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_tls": "none", "mail_from": "Care <care@shop.example>"}
    return Email(DeliverySettings.model_validate({**given, **more}), KEY)


async def test_a_mail_arrives_whole_with_its_stable_id(mailbox: Mailbox) -> None:
    sent = letter()
    await smtp(mailbox).send(sent)
    (raw,) = mailbox.mails
    mail = email.message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    assert mail["Message-ID"].startswith(f"<{sent.id}.{sent.complaint_id.hex}.")
    assert mail["Message-ID"].endswith("@shop.example>")
    assert (mail["Subject"], mail["To"], mail["Auto-Submitted"]) == (
        "Ihr Anliegen – wir melden uns", "ann@example.com", "auto-generated",
    )  # fmt: skip
    assert mail.get_content().split() == ["Guten", "Tag,", "wir", "kümmern", "uns", "darum."]


@pytest.mark.parametrize(
    ("answer", "expected", "endpoint"),
    [("451 try later", Temporary, True), ("552 mailbox full", Permanent, False), ("421 closing", Temporary, True)],
)
async def test_what_the_mail_server_says_decides(
    mailbox: Mailbox, answer: str, expected: type[Exception], endpoint: bool
) -> None:
    mailbox.answer = answer
    with pytest.raises(expected) as raised:
        await smtp(mailbox).send(letter())
    assert answer[:3] in str(raised.value)
    assert getattr(raised.value, "endpoint", False) is endpoint
    assert "ann@example.com" not in str(raised.value)


async def test_no_mail_server_is_temporary() -> None:
    with pytest.raises(Temporary, match="cannot be reached"):
        await Email(DeliverySettings(smtp_host="127.0.0.1", smtp_port=1, smtp_tls="none"), KEY).send(letter())


SAYS = ("220 mx\r\n", "250 mx\r\n", "250 sender\r\n", "250 recipient\r\n", "354 go on\r\n")


@pytest.mark.parametrize("then", ["hangs", "drops"])
@pytest.mark.parametrize("answers", range(len(SAYS) + 1))
async def test_a_server_that_stops_answering_is_tried_again_later_whenever_it_stops(
    answers: int, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection, gives so many of the answers of a good server, then hangs or drops the connection."""
    monkeypatch.setattr(delivery_email, "TIMEOUT_S", 0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in SAYS[:answers]:
            writer.write(said.encode())
            await reader.readline()
        if then == "hangs":
            await asyncio.sleep(60)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        with pytest.raises(Temporary) as raised:
            await asyncio.wait_for(smtp(Mailbox(port=server.sockets[0].getsockname()[1])).send(letter()), 30)
        assert raised.value.endpoint, "the server is to blame, not the letter"
    finally:
        server.close()


def test_the_id_that_a_letter_answers_stays_as_it_is_however_long() -> None:
    thread = f"<{'DB7PR04MB' * 9}@DB7PR04MB5678.eurprd04.prod.outlook.com>"
    mail = compose(letter(subject="x", text="y", headers={"In-Reply-To": thread, "References": thread}), "care@shop.example", KEY)
    assert flatten_message(mail).decode().count(f": {thread}\r\n") == 2


@pytest.mark.parametrize("to", ["ann@example.com\r\nBcc: all@example.com", "ann@example.com\nX: y"])
def test_a_header_cannot_be_smuggled_in(to: str) -> None:
    with pytest.raises(Permanent):
        compose(letter(to=to), "care@shop.example", KEY)


async def test_without_a_mail_server_mails_are_put_into_a_folder(tmp_path: Any) -> None:
    sent = letter()
    await ToFolder(tmp_path / "mails", "", KEY).send(sent)
    (file,) = (tmp_path / "mails" / "new").iterdir()
    assert f"<{sent.id}.".encode() in file.read_bytes()


def webhooks(web: Web, *secrets: str) -> Webhooks:
    endpoint = Endpoint(url=SecretStr(web.url), secrets=tuple(SecretStr(s) for s in secrets))
    return Webhooks({"crm": endpoint}, Caller(LOOPBACK), "/amends/escalation")


async def test_a_webhook_is_a_cloud_event_that_both_live_secrets_verify(web: Web) -> None:
    sent = letter("webhook", "crm", type="amends.handoff.requested.v1", data={"tier": 2})
    await webhooks(web, SECRET, OLD).send(sent)
    ((line, headers, body),) = web.requests
    assert line.startswith("POST /hook ")
    for secret in (SECRET, OLD):
        event = Webhook(secret).verify(body, headers)
        assert event["id"] == headers["webhook-id"] == str(sent.id)
        assert (event["type"], event["data"], event["subject"]) == (
            "amends.handoff.requested.v1", {"tier": 2}, str(sent.complaint_id),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"410 Gone\r\n", Permanent),
        (b"422 No\r\n", Permanent),
        (b"500 Oh\r\n", Temporary),
        (b"302 Found\r\nlocation: http://169.254.169.254/\r\n", Temporary),
        (b"429 Slow\r\nretry-after: 90\r\n", Temporary),
        (b"503 Later\r\nretry-after: next week\r\n", Temporary),
    ],
)
async def test_what_the_endpoint_says_decides(web: Web, answer: bytes, expected: type[Exception]) -> None:
    web.answers = [answer]
    with pytest.raises(expected) as raised:
        await webhooks(web).send(letter("webhook", "crm", type="t", data={}))
    assert getattr(raised.value, "after_s", None) == (90.0 if b"90" in answer else None)
    assert len(web.requests) == 1


@pytest.mark.parametrize(("form", "shown"), [("slack", "&lt;!channel&gt; late"), ("plain", "<!channel> late")])
async def test_chat_texts_are_inert(web: Web, form: Any, shown: str) -> None:
    chats = Chats({"leads": Endpoint(url=SecretStr(web.url), form=form)}, Caller(LOOPBACK))
    await chats.send(letter("chat", "leads", text="<!channel> late"))
    assert json.loads(web.requests[0][2]) == {"text": shown}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://10.1.2.3/",
        "https://169.254.169.254/latest", "https://[fd00::1]/", "https://[64:ff9b::7f00:1]/", "https://0.0.0.0/",
        "https://localhost/", "https://2130706433/", "ftp://example.com/", "https://user:pw@93.184.216.34/",
        "http://93.184.216.34/", "https://[2002:7f00:1::]/", "https://224.0.0.1/",
    ],
)  # fmt: skip
async def test_the_guard_refuses(url: str) -> None:
    with pytest.raises((guard.Refused, OSError)):
        await guard.pinned(url, ())


async def test_the_guard_lets_public_and_listed_addresses_through() -> None:
    url, headers, extensions = await guard.pinned("https://93.184.216.34:8443/hook?x=1", ())
    assert (str(url), headers["host"]) == ("https://93.184.216.34:8443/hook?x=1", "93.184.216.34:8443")
    assert extensions == {"sni_hostname": "93.184.216.34"}
    url, headers, _ = await guard.pinned("http://localhost:81/", (ip_network("127.0.0.0/8"), ip_network("::1/128")))
    assert headers["host"] == "localhost:81"
    assert ip_address(url.host).is_loopback


def test_a_wrong_endpoints_file_says_what_and_where(tmp_path: Any) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text("webhooks:\n  crm:\n    url: https://x.example\n    secret: whsec_secret\n")
    with pytest.raises(StartRefused, match=r"webhooks\.crm\.secret: extra") as refused:
        load_endpoints(file)
    assert "whsec" not in str(refused.value)
    file.write_text("webhooks: [")
    with pytest.raises(StartRefused, match="line 1: not YAML"):
        load_endpoints(file)
