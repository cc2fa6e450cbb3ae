"""What comes back to a letter of ours, an answer or a bounce, finds the complaint by the letter's Message-ID."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.intake.submissions import Delivery
from shared.clock import utc_now
from shared.contracts import ids, letters
from shared.contracts.codec import decode, read_data
from shared.contracts.complaints import SubmissionSetAside
from shared.contracts.envelope import Event
from shared.postgres import outbox
from shared.telemetry import tracing
from tests.delivery.parts import Record
from tests.intake.beds import Bed, bed_on
from tests.intake.parts import KEY
from tests.mail.mails import mail, multipart

CARRIER = tracing.Carrier("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
ADA = "ada@example.org"
LETTER = UUID(int=77)


class Desk:
    """A complaint that came by a form, and the mailbox to which our letters about it return."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.complaint = UUID(int=0)

    async def complain(self) -> None:
        body = b'{"event_id": "f", "record_id": "F", "text": "Leaks", "channel": "web_form", "customer": {"emails": ["ada@example.org"]}}'
        delivery = Delivery(ids.time_ordered_id(), "form", utc_now(), "application/json", {}, body)
        (answer,) = await self.bed.accepting.keep(delivery, "canonical", CARRIER)
        self.complaint = answer.complaint_id
        await self.bed.settle()

    def letter(self, to: str = ADA, key: bytes = KEY) -> str:
        return f"<{letters.left_side(key, LETTER, self.complaint, to)}@shop.example>"

    async def comes(self, raw: bytes) -> Event:
        """A mail comes; the event that it became."""
        delivery = Delivery(ids.time_ordered_id(), "post", utc_now(), "message/rfc822", {}, raw, options=self.bed.sources.options("post"))
        await self.bed.accepting.keep(delivery, "email", CARRIER)
        await self.bed.settle()
        async with self.bed.pool.acquire() as conn:
            packed = await conn.fetchval("select events from outbox order by id desc limit 1")
        last = outbox.unpack(packed)[-1]
        event: Any = decode(Record("complaints", 0, 0, last.key, last.value, last.headers), "complaints")
        return event  # type: ignore[no-any-return]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with bed_on(database) as bed:
        await bed.add("post", "email", own="shop.example")
        made = Desk(bed)
        await made.complain()
        yield made


@pytest.mark.parametrize("header", ["In_Reply_To", "References"])
async def test_an_answer_to_a_letter_belongs_to_its_complaint_whatever_channel_that_came_by(desk: Desk, header: str) -> None:
    event = await desk.comes(mail("Yes\r\n", From=f"Ada <{ADA.upper()}>", Message_ID="<a@x>", **{header: desk.letter()}))
    assert (event.subject, event.type) == (desk.complaint, "amends.complaint.contact_added.v1")
    later = await desk.comes(mail("And one more thing.\r\n", Message_ID="<b@x>", In_Reply_To="<a@x>"))
    assert later.subject == desk.complaint, "what answers the answer, too"


async def test_who_was_not_written_to_has_a_complaint_of_their_own(desk: Desk) -> None:
    forwarded = await desk.comes(mail("Yes\r\n", From="eve@example.net", Message_ID="<a@x>", In_Reply_To=desk.letter()))
    assert forwarded.subject != desk.complaint
    made_up = await desk.comes(mail("Yes\r\n", Message_ID="<b@x>", In_Reply_To=desk.letter(key=bytes(32))))
    assert made_up.subject != desk.complaint


def report(letter: str, to: str = ADA, action: str = "failed", status: str = "5.1.1") -> bytes:
    """As RFC 3464 has it: words, fields, and the headers of what was sent."""
    kind, body = multipart(
        ("Content-Type: text/plain", "I'm sorry to have to inform you"),
        ("Content-Type: message/delivery-status", f"Final-Recipient: rfc822; {to}\nAction: {action}\nStatus: {status}"),
        ("Content-Type: text/rfc822-headers", f"From: care@shop.example\nTo: {ADA}\nMessage-ID: {letter}\nSubject: Is it solved?"),
        kind="report",
    )
    return mail(body, From="MAILER-DAEMON@mx.example", Content_Type=f"{kind}; report-type=delivery-status", Message_ID=f"<{uuid4()}@mx>")


def gmail(letter: str) -> bytes:
    return mail(
        "Address not found. Your message wasn't delivered to ada@example.org because the address couldn't be found. 550 5.1.1\r\n",
        From="Mail Delivery Subsystem <mailer-daemon@googlemail.com>", X_Failed_Recipients=ADA, In_Reply_To=letter, References=letter,
    )  # fmt: skip


def exim(letter: str) -> bytes:
    return mail(
        f"A message that you sent could not be delivered.\r\n\r\n  {ADA}\r\n    Unrouteable address\r\n\r\n"
        f"------ This is a copy of the message, including all the headers. ------\r\n\r\nTo: {ADA}\r\nMessage-ID: {letter}\r\n",
        From="Mail Delivery System <Mailer-Daemon@mx.example>", X_Failed_Recipients=ADA, Subject="Mail delivery failed: returning message",
    )  # fmt: skip


def qmail(letter: str) -> bytes:
    return mail(
        f"Hi. This is the qmail-send program at mx.\r\n\r\n<{ADA}>:\r\nno mailbox here (#5.1.1)\r\n\r\n"
        f"--- Below this line is a copy of the message.\r\n\r\nMessage-ID: {letter}\r\n",
        From="MAILER-DAEMON@mx.example", Subject="failure notice",
    )  # fmt: skip


@pytest.mark.parametrize(("bounce", "status"), [(report, "5.1.1"), (gmail, "5.1.1"), (exim, None), (qmail, "5.1.1")])
async def test_a_bounce_is_about_the_complaint_of_the_letter_that_it_brings_back(desk: Desk, bounce: Any, status: str | None) -> None:
    event = await desk.comes(bounce(desk.letter()))
    aside = read_data(SubmissionSetAside, event.data)
    assert event.subject == desk.complaint
    assert aside.returned is not None
    assert (aside.returned.letter, aside.returned.status) == (LETTER, status)
    assert aside.reason.startswith("bounce")
    async with desk.bed.pool.acquire() as conn:
        rows = await conn.fetch("select complaint_id, outcome from submission where source = 'post'")
    assert [(row["complaint_id"], row["outcome"]) for row in rows] == [(desk.complaint, "set_aside")]


async def test_where_a_mailbox_forwards_the_report_names_another_address_and_is_known_all_the_same(desk: Desk) -> None:
    assert (await desk.comes(report(desk.letter(), to="ada@elsewhere.example"))).subject == desk.complaint


@pytest.mark.parametrize("action", ["delayed", "relayed", "delivered"])
async def test_a_letter_that_is_still_tried_or_has_arrived_did_not_bounce(desk: Desk, action: str) -> None:
    event = await desk.comes(report(desk.letter(), action=action, status="4.4.7"))
    assert event.subject != desk.complaint
    assert read_data(SubmissionSetAside, event.data).returned is None


async def test_a_bounce_of_what_we_did_not_write_is_set_aside_alone(desk: Desk) -> None:
    for letter in ("<somebody@else>", desk.letter(key=bytes(32)), desk.letter(to="eve@example.net")):
        event = await desk.comes(report(letter))
        assert event.subject != desk.complaint
        assert read_data(SubmissionSetAside, event.data).returned is None


