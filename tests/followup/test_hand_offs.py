"""A team has accepted the complaint: the customer is told who has it, why, and by when they hear again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.escalation.domain import Book, handling
from services.escalation.domain import on_event as escalated
from services.escalation.domain.handoffs import AcceptHandOff, HandOver
from services.escalation.domain.teams import Team, Teams
from services.followup.domain import StopContact
from services.followup.words import Templates
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.decision import Decision
from shared.contracts.escalations import HandOffAccepted
from shared.contracts.followups import HandOffTold
from tests.domain.examples import START, contact, policy
from tests.followup.conftest import Desk, working
from tests.followup.stories import DAY, HOUR, Story

TEAMS = Teams({
    "front": Team("Front line", 1),
    "legal": Team("Legal desk", 3, "legal", members={"cleo": "cleo"}),
})  # fmt: skip


def accepted(number: int = 1, **more: Any) -> HandOffAccepted:
    return HandOffAccepted(number=number, team="legal", by="cleo", at=START, title="Legal desk", **more)


def taken_over(**asked: Any) -> HandOffAccepted:
    """What escalation emits when an agent hands a complaint to the legal desk and Cleo accepts it."""
    book, desk = Book(policy("escalation")), handling.Desk(TEAMS)
    data = ComplaintReceived(contact=contact())
    received = handling.follow(None, escalated(None, data, START, book), data, START, book, desk)
    asking = HandOver(team="legal", reason="asks for damages", by="agent-7", **asked)
    asks = handling.on_command(received.state, asking, START, book, desk)
    assert isinstance(asks, Decision)
    takes = handling.on_command(asks.state, AcceptHandOff(by="cleo"), START, book, desk)
    assert isinstance(takes, Decision)
    return next(event for event in takes.events if isinstance(event, HandOffAccepted))


async def test_a_mail_says_who_has_it_why_and_by_when_they_hear_again(desk: Desk) -> None:
    subject = uuid4()
    anna = {"emails": ["anna@example.com"], "locale": "en-GB", "zone": "UTC"}
    await desk.tell(subject, "intake", ComplaintReceived(contact=contact(await desk.now() - START, customer=anna)))
    event = taken_over(tell_customer=True, customer_reason="They may decide about damages.")
    await desk.tell(subject, "escalation", event)
    await desk.advance(days=1)  # the night in between is no time to write
    async with working(desk):
        await desk.until(lambda: "hand_off_told" in desk.events())
    (mail,) = desk.post.mails
    assert (mail["To"], mail["Subject"]) == ("anna@example.com", "Who deals with your complaint now")
    text = mail.get_content()
    assert "Your complaint is now with: Legal desk." in text
    assert "Why: They may decide about damages." in text
    update = (await desk.state(subject)).update
    assert update is not None
    assert f"You will hear from us again by {update.due_at.day} {update.due_at:%B %Y}, news or no news." in text
    assert "cleo" not in text, "no names of our people"
    assert "asks for damages" not in text, "the reason for the team is not for the customer"


@pytest.mark.parametrize(
    ("asked", "told"), [(None, True), (True, True), (False, False)], ids=["as the policy says", "asked for", "not wanted"]
)
def test_the_policy_tells_unless_whoever_hands_over_says_otherwise(asked: bool | None, told: bool) -> None:
    story = Story()
    story.event(accepted(tell_customer=asked))
    assert ("hand_off" in story.timers) is told


def test_it_waits_for_the_morning_and_for_the_budget_of_the_week() -> None:
    story = Story()
    story.now += timedelta(hours=14)  # half past eleven in the evening
    story.event(accepted())
    assert story.timers["hand_off"] == START + timedelta(hours=23, minutes=30), "at nine in the morning"
    for _ in range(3):
        story.replied("We are on it.")
    story.event(accepted(2))
    assert story.timers["hand_off"] >= START + 7 * DAY, "they heard from us three times this week"


def test_the_next_update_counts_from_it_and_a_broken_promise_is_owned() -> None:
    story = Story()
    story.event(accepted(cause="missed_clock"))
    story.now += HOUR
    names = story.until("hand_off")
    assert names == ["update_scheduled"], "the planned update has moved"
    message = story.sent[-1]
    assert (message.name, message.body["template"]) == ("hand_off:1:email", "hand_off")
    assert message.body["values"]["by"] == story.timers["update"].isoformat()
    assert message.body["values"]["why"] == "missed_clock"
    assert story.settle() == ["hand_off_told"]
    told = story.last("hand_off_told")
    assert told == HandOffTold(number=1, channel="email", message="hand_off:1:email")


def test_only_the_newest_is_told_and_none_when_it_is_over_or_nobody_may_write() -> None:
    story = Story()
    story.event(accepted(1))
    story.event(accepted(2))
    story.until("hand_off")
    assert [message.name for message in story.sent] == ["hand_off:2:email"]
    over = Story()
    over.event(accepted())
    over.resolved()
    assert "hand_off" not in over.timers
    assert over.event(accepted(2)) == []
    assert "hand_off" not in over.timers
    quiet = Story()
    quiet.event(accepted())
    quiet.command(StopContact(reason="asked"))
    assert "hand_off" not in quiet.timers
    quiet.event(accepted(2, tell_customer=True))
    assert "hand_off" not in quiet.timers, "the quiet list goes before what an agent wants"
    none = Story(customer={"emails": ["anna@example.com"], "contact_preference": "none"})
    none.event(accepted(tell_customer=True))
    assert "hand_off" not in none.timers


def test_without_an_address_a_person_tells_it() -> None:
    story = Story(customer={"name": "Anna"}, channel="voice")
    story.event(accepted())
    assert "task_created" in story.until("hand_off")
    assert story.last("task_created").what == "Tell the customer who deals with their complaint now"


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
@pytest.mark.parametrize("why", ["rule", "request", "missed_clock", "lapsed_hand_off", "broken_promise", "not_solved", "other"])
def test_there_is_a_sentence_for_each_cause_and_a_way_to_say_it_without_a_team(language: str, why: str) -> None:
    values = {
        "team": "", "why": why, "said": "", "by": None, "owns_what": [], "late": False, "zone": "UTC", "sender": "Care"
    }  # fmt: skip
    text = Templates().render("hand_off", language, values).text
    reason = next(line for line in text.splitlines() if line.startswith(("Why:", "Der Grund:", "La raison :", "El motivo:")))
    assert len(reason) > 20
    assert "None" not in text
