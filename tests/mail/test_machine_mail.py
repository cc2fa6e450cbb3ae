"""Mail that no person wrote is set aside with the reason; mail that a person wrote never is."""

from __future__ import annotations

import pytest

from services.intake.submissions import SetAside
from tests.mail.mails import contact, mail, multipart, read

MACHINES: dict[str, tuple[dict[str, str], str]] = {
    "vacation, RFC 3834": ({"Auto_Submitted": "auto-replied"}, "automatic"),
    "with parameters": ({"Auto_Submitted": "auto-replied (vacation); owner-email=x"}, "automatic"),
    "generated": ({"Auto_Submitted": "auto-generated"}, "automatic"),
    "precedence auto_reply": ({"Precedence": "auto_reply"}, "automatic"),
    "X-Autoreply": ({"X_Autoreply": "yes"}, "automatic"),
    "X-Autorespond": ({"X_Autorespond": ""}, "automatic"),
    "Exchange": ({"X_Auto_Response_Suppress": "All", "Subject": "Automatic reply: x"}, "automatic"),
    "Exchange, list of words": ({"X_Auto_Response_Suppress": "DR, OOF, AutoReply"}, "automatic"),
    "iCloud": ({"X_Apple_Action": "VACATION"}, "automatic"),
    "subject alone, as Outlook writes it": ({"Subject": "Automatic reply: The kettle leaks"}, "automatic"),
    "subject, German": ({"Subject": "Automatische Antwort: Der Kessel"}, "automatic"),
    "null return path": ({"Return_Path": "<>"}, "return path"),
    "mailer daemon": ({"From": "Mail Delivery Subsystem <MAILER-DAEMON@mx.example>", "Subject": "Returned mail"}, "bounce"),
    "postmaster": ({"From": "postmaster@corp.example", "Subject": "Undeliverable: your mail"}, "bounce"),
    "Exchange bounce": ({"From": "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.example"}, "bounce"),
    "failed recipients": ({"X_Failed_Recipients": "x@example.org"}, "bounce"),
    "no-reply with a bounce's subject": ({"From": "no-reply@mx.example", "Subject": "Delivery Status Notification (Failure)"}, "bounce"),
    "the phrase of Postfix": ({"Subject": "Undelivered Mail Returned to Sender"}, "bounce"),
    "list": ({"List_Id": "Kettles <kettles.lists.example>"}, "mailing list"),
    "newsletter": ({"List_Unsubscribe": "<https://news.example/u>"}, "newsletter"),
    "bulk": ({"Precedence": "bulk"}, "bulk"),
    "loop": ({"X_Loop": "complaints@shop.example"}, "loop"),
}
PEOPLE: dict[str, dict[str, str]] = {
    "says that it is not automatic": {"Auto_Submitted": "no"},
    "no auto-reply, said": {"X_Autoreply": "no"},
    "complains about a delivery": {"Subject": "Delivery failed again - where is my parcel?"},
    "complains about a refusal": {"Subject": "Undeliverable: so says your courier"},
    "complains about returned mail": {"Subject": "Returned to sender!!!"},
    "complains about office hours": {"Subject": "Out of office hours nobody answers"},
    "complains about an automatic reply": {"Subject": "Automatic reply is all that I get"},
    "wants to leave the newsletter": {"Subject": "Unsubscribe me from your newsletter"},
    "answers a bounce": {"Subject": "Re: Undelivered Mail Returned to Sender"},
    "bounces in the display name": {"From": "Anna Bounceback-Miller <anna@example.org>"},
    "works for a system house": {"From": "Jo System <jo@systemhaus.example>", "Subject": "Broken kettle"},
    "a shop's no-reply form": {"From": "no-reply@example.org", "Subject": "The kettle leaks"},
    "normal precedence": {"Precedence": "first-class"},
    "a return path": {"Return_Path": "<ada@example.org>"},
    "an odd suppress header": {"X_Auto_Response_Suppress": "None"},
}


@pytest.mark.parametrize(("headers", "reason"), MACHINES.values(), ids=MACHINES)
def test_machines_are_set_aside_with_the_reason(headers: dict[str, str], reason: str) -> None:
    item = read(mail(**headers))
    assert isinstance(item, SetAside), item
    assert reason in item.reason
    assert "@" not in item.reason, "no personal data in reasons"


@pytest.mark.parametrize("headers", PEOPLE.values(), ids=PEOPLE)
def test_people_are_heard(headers: dict[str, str]) -> None:
    assert contact(mail(**headers)).text == "It leaks."


@pytest.mark.parametrize(
    ("report", "part", "reason"),
    [
        ("delivery-status", "message/delivery-status", "bounce"),
        ("feedback-report", "message/feedback-report", "feedback report"),
        ("disposition-notification", "message/disposition-notification", "receipt"),
        ("", "message/delivery-status", "bounce"),
        ("delivery-status", "message/global-delivery-status", "bounce"),
    ],
)
def test_reports_are_known_by_their_structure(report: str, part: str, reason: str) -> None:
    kind, body = multipart(("Content-Type: text/plain", "Sorry."), (f"Content-Type: {part}", "Action: failed"), kind="report")
    item = read(mail(body, Content_Type=f"{kind}; report-type={report}" if report else kind.replace("report", "mixed")))
    assert isinstance(item, SetAside)
    assert reason in item.reason


def test_a_mail_that_went_round_and_round_is_a_loop() -> None:
    item = read(b"Received: from a by b; Wed, 4 Mar 2026 08:00:00 +0000\r\n" * 101 + mail())
    assert isinstance(item, SetAside)
    assert "loop" in item.reason
