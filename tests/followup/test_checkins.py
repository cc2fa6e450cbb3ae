"""Check-ins: the fact first, then the question; answers, silence, bounces, and what cancels them."""

from __future__ import annotations

import pytest

from services.followup.domain import (
    CHECK_IN,
    UPDATE,
    AllowContact,
    AnswerCheckIn,
    Bounced,
    CheckFact,
    FinishTask,
    MakePromise,
    StopContact,
)
from shared.contracts.decision import Refused
from tests.domain.examples import START
from tests.followup.stories import ANNA, DAY, HOUR, Story


def asked(remedy: str | None = None) -> Story:
    """A story up to the question."""
    story = Story()
    story.resolved(remedy)
    while story.state is not None and story.state.question is None:
        story.until(CHECK_IN)
    story.settle()
    return story


def answer(said: str, **fields: object) -> AnswerCheckIn:
    return AnswerCheckIn.model_validate({"answer": said, **fields})


def test_a_refund_is_looked_up_before_the_customer_is_asked() -> None:
    story = Story()
    assert story.resolved("Refund of 40 GBP") == ["update_cancelled", "check_in_scheduled"]
    scheduled = story.last("check_in_scheduled")
    assert (scheduled.kind, scheduled.fact, scheduled.policy.rules) == ("verify", "refund_booked", ("FUP-012",))
    assert story.until(CHECK_IN) == ["check_in_due", "task_created", "check_in_scheduled"]
    assert story.now == START + 3 * DAY
    assert story.sent[-1].to == "contact-centre"
    story.command(CheckFact(fact="refund_booked", evidence="payment 4711"))
    story.command(FinishTask(task="t1", result="booked"))
    assert story.until(CHECK_IN) == ["check_in_due", "check_in_scheduled"]
    mail = story.sent[-1]
    assert (mail.route, mail.to) == ("email", "anna@example.com")
    assert mail.body["values"]["proved"] is True
    assert story.settle() == ["check_in_sent"]


def test_a_question_waits_for_its_fact_then_asks_about_it() -> None:
    story = Story()
    story.resolved("refund")
    story.until(CHECK_IN)
    first = story.timers[CHECK_IN]
    assert story.until(CHECK_IN) == ["check_in_scheduled"], "not booked: nobody is asked yet"
    assert story.last("check_in_scheduled").moved_because == ("not proved yet: refund booked",)
    assert story.timers[CHECK_IN] >= first + 2 * DAY
    assert story.until(CHECK_IN) == ["check_in_scheduled"]
    story.until(CHECK_IN)
    assert story.sent[-1].body["values"]["proved"] is False


def test_proof_while_the_question_waits_brings_it_forward() -> None:
    story = Story()
    story.resolved("refund")
    story.until(CHECK_IN)
    story.until(CHECK_IN)
    story.now += HOUR
    assert story.command(CheckFact(fact="refund_booked")) == ["fact_checked"]
    assert story.timers[CHECK_IN] == story.now
    assert story.command(CheckFact(fact="refund_booked")) == [], "the same again says nothing new"


@pytest.mark.parametrize(("said", "outcome"), [("yes", "solved"), ("partly", "partly"), ("no", "not_solved")])
def test_an_answer_is_an_event_for_escalation_and_an_outcome(said: str, outcome: str) -> None:
    story = asked()
    events = story.command(answer(said, comment="the lid still leaks"))
    assert isinstance(events, list)
    assert events == ["check_in_answered", "check_in_cancelled", "outcome_recorded"]
    told = story.last("check_in_answered")
    assert (told.answer, told.comment, told.number) == (said, "the lid still leaks", 1)
    assert story.last("outcome_recorded").outcome == outcome
    assert CHECK_IN not in story.timers
    assert (story.sent[-1].name == "thanks:1:email") is (said == "yes"), "only for a yes we write again"


def test_the_same_answer_twice_is_one_and_only_a_worse_one_replaces_it() -> None:
    story = asked()
    story.command(answer("yes"))
    assert story.command(answer("yes")) == []
    assert story.command(answer("no")) == ["check_in_answered", "outcome_recorded"]
    assert story.last("check_in_answered").previous == "yes"
    refused = story.command(answer("yes"))
    assert isinstance(refused, Refused)
    assert (refused.status, refused.title) == (409, "Answered already")


def test_an_answer_to_nothing_is_refused() -> None:
    refused = Story().command(answer("yes"))
    assert isinstance(refused, Refused)
    assert refused.status == 404
    later = asked().command(answer("yes", number=7))
    assert isinstance(later, Refused)


def test_silence_is_asked_once_more_and_then_unverified_never_satisfied() -> None:
    story = asked()
    assert story.until(CHECK_IN) == ["check_in_due"], "the second question"
    assert story.sent[-1].body["values"]["again"] is True
    story.settle()
    assert story.until(CHECK_IN) == ["check_in_unanswered", "outcome_recorded"]
    assert story.last("check_in_unanswered").asked == 2
    assert story.last("outcome_recorded").outcome == "unverified"
    assert story.timers == {}
    assert story.command(answer("partly")) == ["check_in_answered", "outcome_recorded"], "late answers count"


@pytest.mark.parametrize(("text", "said"), [("Yes!", "yes"), ("  nein ", "no"), ("2", "partly")])
def test_a_reply_of_a_word_is_the_answer(text: str, said: str) -> None:
    story = asked()
    assert "check_in_answered" in story.wrote(text, channel="sms")
    assert (story.last("check_in_answered").answer, story.last("check_in_answered").via) == (said, "sms")


def test_free_text_is_a_contact_and_no_answer() -> None:
    story = asked()
    assert story.wrote("Yes, but where is the second parcel?") == []
    assert story.became("open") == ["check_in_cancelled", "update_scheduled"], "escalation reopens, and the plan ends"
    assert story.state is not None
    assert story.state.reopened == 1
    assert isinstance(story.command(answer("yes")), Refused), "the question is over"


def test_a_refused_mail_goes_by_the_next_channel_and_at_last_by_a_person() -> None:
    story = Story()
    story.resolved()
    story.until(CHECK_IN)
    assert story.settle("failed", "the mail server refuses it for good (550)") == ["message_failed"]
    assert story.last("message_failed").next_channel == "sms"
    assert (story.sent[-1].route, story.sent[-1].body["data"]["to"]) == ("webhook", "+441632960001")
    events = story.settle("failed", "there is no webhook named 'contact-centre'")
    assert events == ["message_failed", "task_created", "check_in_sent"]
    assert story.last("task_created").kind == "call"
    assert story.last("check_in_sent").channel == "phone"


def test_a_bounce_that_comes_back_later_tries_the_next_channel() -> None:
    story = asked()
    assert story.command(Bounced(message="check_in:1:email", reason="mailbox full")) == ["message_failed"]
    assert story.sent[-1].name == "check_in:1:sms"
    refused = story.command(Bounced(message="check_in:9:email", reason="?"))
    assert isinstance(refused, Refused)
    assert refused.status == 404


@pytest.mark.parametrize("reason", ["died", "asked", "quiet_list"])
def test_stopped_contact_cancels_what_is_planned_and_plans_nothing_new(reason: str) -> None:
    story = Story()
    story.resolved()
    events = story.command(StopContact.model_validate({"reason": reason}))
    assert events == ["contact_stopped", "check_in_cancelled"]
    assert story.became("open") == []
    assert story.resolved("refund") == []
    assert story.timers == {}
    assert story.command(AllowContact(reason="asked for news")) == ["contact_allowed"]
    assert story.became("open") == ["update_scheduled"]


def test_who_asks_for_no_contact_in_a_message_is_left_alone() -> None:
    story = Story()
    story.resolved()
    assert story.wrote("Leave me alone", customer=ANNA | {"contact_preference": "none"}) == ["check_in_cancelled"]
    assert story.timers == {}


def test_a_message_that_has_not_left_when_the_plan_ends_is_withdrawn() -> None:
    story = Story()
    story.resolved()
    story.until(CHECK_IN)
    assert story.sent[-1].name == "check_in:1:email"
    story.became("open")
    assert [message.name for message in story.sent] == []


def test_after_an_outage_it_says_that_it_is_late_and_the_rest_keeps_its_distance() -> None:
    story = Story()
    story.resolved()
    story.until(CHECK_IN, late=10 * DAY)
    assert story.sent[-1].body["values"]["late"] is True
    assert story.timers[CHECK_IN] >= story.now + 6 * DAY
    story.settle()
    assert story.last("check_in_sent").late is True


def test_the_next_message_owns_a_broken_promise() -> None:
    story = Story()
    story.command(MakePromise(what="Call you back", due_at=START + DAY, kind="callback"))
    story.until("promise:p1")
    assert story.until("promise:p1") == ["promise_broken"]
    story.until(UPDATE)
    values = story.sent[-1].body["values"]
    assert (values["owns_what"], values["owns"]) == (["Call you back"], ["p1"])
    assert story.settle() == ["update_sent"]
    assert story.last("update_sent").owns == ("p1",)
    story.until(UPDATE)
    assert story.sent[-1].body["values"]["owns"] == [], "once is enough"


def test_the_contact_budget_moves_the_question() -> None:
    story = Story()
    for _ in range(3):
        story.now += 20 * HOUR
        story.replied("We are on it.")
    story.now += HOUR
    story.resolved()
    scheduled = story.last("check_in_scheduled")
    assert "at most 3 messages in seven days" in scheduled.moved_because
    assert scheduled.due_at >= START + 20 * HOUR + 7 * DAY, "when the first of them is a week ago"
