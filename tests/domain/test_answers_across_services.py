"""What customers say to "is it solved?" passes through three services: the outcome may not hang on who reads what first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.escalation import domain as escalation
from services.escalation.domain import Book, EscalationState, Resolve
from services.followup import domain as followup
from services.followup.domain import CHECK_IN, AnswerCheckIn, CheckFact, Command, FollowUpState
from services.intake import reading
from services.intake.adapters.comments import COMPLAINT, EVENT, SOURCE, Comments
from services.intake.submissions import ContactSubmission, Delivery
from shared.contracts.codec import write_data
from shared.contracts.complaints import ComplaintReceived, ContactAdded
from shared.contracts.decision import Decision, Due, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Escalated, StatusChanged
from shared.contracts.followups import CheckInAnswered
from tests.domain.examples import START, contact, policy

ESCALATION, FOLLOW_UP = Book(policy("escalation")), policy("followup")
COMPLAINT_ID = UUID(int=1)
E = TypeVar("E", bound=EventData)


class World:
    """One complaint in three services. `pending`: what each has not read yet, by who wrote it, in order."""

    def __init__(self) -> None:
        self.now = START
        self.escalation: EscalationState | None = None
        self.followup: FollowUpState | None = None
        self.timers: dict[str, datetime] = {}
        self.pending: dict[tuple[str, str], list[tuple[EventData, datetime]]] = {}
        self.events: list[EventData] = []

    def send(self, writer: str, *events: EventData) -> None:
        readers = {"intake": ("escalation", "followup"), "escalation": ("followup",), "followup": ("intake", "escalation")}
        for reader in readers[writer] if events else ():
            self.pending.setdefault((reader, writer), []).extend((event, self.now) for event in events)

    def step(self, reader: str, writer: str) -> None:
        """The next event of `writer` that `reader` has not read."""
        event, at = self.pending[reader, writer].pop(0)
        if not self.pending[reader, writer]:
            del self.pending[reader, writer]
        if reader == "escalation":
            self.decided(escalation.on_event(self.escalation, event, at, ESCALATION))
        elif reader == "followup":
            self.planned(followup.on_event(self.followup, event, at, FOLLOW_UP))
        elif isinstance(event, CheckInAnswered) and event.comment:
            headers = {COMPLAINT: str(COMPLAINT_ID), EVENT: str(UUID(int=2))}
            delivery = Delivery(UUID(int=3), SOURCE, at, "application/json", headers, write_data(event))
            (said,) = Comments().read(delivery)
            assert isinstance(said, ContactSubmission)
            self.send("intake", ContactAdded(contact=reading.read(said.contact)))

    def decided(self, decision: Decision[EscalationState]) -> None:
        self.escalation = decision.state
        self.events += decision.events
        self.send("escalation", *decision.events)

    def planned(self, decision: Decision[FollowUpState]) -> None:
        self.followup = decision.state
        self.timers |= {timer.name: timer.due_at for timer in decision.timers}
        self.send("followup", *decision.events)

    def settle(self, choose: Any = None, without: str = "") -> None:
        """Everybody reads everything, in the order that `choose` makes up; `without`: that one is away."""
        while ways := sorted(way for way in self.pending if way[0] != without):
            self.step(*(choose(ways) if choose else ways[0]))

    def writes(self, text: str) -> None:
        self.now += timedelta(hours=1)
        self.send("intake", ContactAdded(contact=reading.read(contact(self.now - START, text=text))))

    def answers(self, said: str, comment: str | None = None) -> None:
        """On the customer page."""
        self.command(AnswerCheckIn.model_validate({"answer": said, "comment": comment, "via": "link", "by": "customer"}))

    def command(self, given: Command) -> None:
        self.now += timedelta(hours=1)
        done = followup.on_command(self.followup, given, self.now, FOLLOW_UP, lambda at: "")
        assert not isinstance(done, Refused)
        self.planned(done)

    def of(self, kind: type[E]) -> list[E]:
        """What escalation has said."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def statuses(self) -> list[str]:
        return [event.status for event in self.of(StatusChanged)]

    @property
    def status(self) -> str:
        assert self.escalation is not None
        return self.escalation.facts.status

    @property
    def tier(self) -> int:
        assert self.escalation is not None
        return self.escalation.tiers.tier or 1


def resolved(remedy: str | None = None) -> World:
    world = World()
    world.send("intake", ComplaintReceived(contact=contact()))
    world.settle()
    world.now += timedelta(hours=1)
    done = escalation.on_command(world.escalation, Resolve(resolution="Put right", remedy=remedy, by="ben"), world.now, ESCALATION)
    assert not isinstance(done, Refused)
    world.decided(done)
    world.settle()
    return world


def asked(*, behind: bool = False) -> World:
    """The customer was asked. `behind`: escalation has not read of it yet."""
    world = resolved()
    due_at = world.timers[CHECK_IN]
    world.now = due_at
    world.planned(followup.on_timer(world.followup, Due(CHECK_IN, due_at), due_at, FOLLOW_UP))
    if not behind:
        world.settle()
        assert world.escalation is not None
        assert world.escalation.asked.number == 1
    world.events.clear()
    return world


# As `shared/text/answers.py` reads them.
WORDS = {
    "yes": ("Yes", "yes, thanks!", "Ja", "Oui merci", "Sí", "Tak", "1"),
    "partly": ("Partly", "teilweise", "en partie", "2"),
    "no": ("No.", "Nein", "Pas du tout", "nee", "3"),
}
SAID = [(answer, word) for answer, words in WORDS.items() for word in words]
choices = st.data()
any_order = settings(deadline=None, max_examples=15)  # the first one loads the reading rules


@pytest.mark.parametrize(("answer", "word"), SAID)
@any_order
@given(choices)
def test_a_reply_of_a_word_is_an_answer_and_reopens_only_by_what_it_says(answer: str, word: str, data: st.DataObject) -> None:
    world = asked()
    tier = world.tier
    world.writes(word)
    world.settle(lambda ways: data.draw(st.sampled_from(ways)))
    assert world.statuses == (["closed"] if answer == "yes" else ["open"]), "once, and never open for a yes"
    assert world.tier == tier + (answer != "yes")


@any_order
@given(choices, st.sampled_from(SAID))
def test_so_it_is_where_escalation_was_away_when_the_customer_was_asked(data: st.DataObject, said: tuple[str, str]) -> None:
    world = asked(behind=True)
    tier = world.tier
    world.writes(said[1])
    world.settle(without="escalation")
    world.settle(lambda ways: data.draw(st.sampled_from([way for way in ways if way[0] == "escalation"] or ways)))
    assert world.status == ("closed" if said[0] == "yes" else "open")
    if said[0] != "yes":
        assert world.tier == tier + 1


def test_a_word_to_nothing_that_was_asked_is_a_contact_like_any_other() -> None:
    world = asked(behind=True)
    assert world.pending.pop(("escalation", "followup"))
    world.writes("No")
    world.settle(without="followup")
    assert world.status == "open"


def test_a_worse_word_after_the_answer_opens_it_again() -> None:
    world = asked()
    world.answers("yes")
    world.settle()
    assert world.status == "closed"
    world.writes("No")
    world.settle()
    assert world.status == "open"


def test_more_than_a_word_is_a_contact_that_opens_it_again() -> None:
    world = asked()
    world.writes("No, and I will see you in court.")
    world.settle()
    assert (world.status, world.tier) == ("open", 3)


@any_order
@given(choices)
def test_a_friendly_comment_does_not_open_what_the_yes_closes(data: st.DataObject) -> None:
    world = asked()
    world.answers("yes", "Thanks, the new lid fits and Ben was very kind.")
    world.settle(lambda ways: data.draw(st.sampled_from(ways)))
    assert world.statuses == ["closed"]


@pytest.mark.parametrize("answer", ["yes", "no"])
@any_order
@given(choices)
def test_a_threat_in_a_comment_raises_the_tier_as_a_mail_would(answer: str, data: st.DataObject) -> None:
    mail = asked()
    mail.writes("The new lid came off and the boiling water burned my hand, I had to go to hospital.")
    mail.settle()
    world = asked()
    tier = world.tier
    world.answers(answer, "The new lid came off and the boiling water burned my hand, I had to go to hospital.")
    world.settle(lambda ways: data.draw(st.sampled_from(ways)))
    assert world.status == "open"
    assert world.tier == mail.tier > tier
    assert world.escalation is not None
    assert mail.escalation is not None
    assert set(mail.escalation.facts.tags) == set(world.escalation.facts.tags)
    assert world.escalation.facts.severity == mail.escalation.facts.severity
    assert world.followup is not None
    assert world.followup.facts.severity == mail.escalation.facts.severity


def test_a_remedy_that_was_not_carried_out_opens_the_complaint_one_tier_up_once() -> None:
    world = resolved("Refund of 40 GBP")
    tier = world.tier
    for _ in range(2):
        world.command(CheckFact(fact="refund_booked", proved=False, evidence="no payment in the books", by="accounts"))
        world.settle()
    assert (world.statuses, world.tier) == (["resolved", "open"], tier + 1)
    (raised,) = world.of(Escalated)
    assert (raised.cause, raised.detail) == ("failed_remedy", "refund_booked")
    (opened,) = [event for event in world.of(StatusChanged) if event.status == "open"]
    assert (opened.by, opened.reason) == ("accounts", "the refund was not carried out: not refund booked")
    assert world.followup is not None
    assert world.followup.check_in is None, "nobody is asked whether it is solved"
    assert world.followup.update is not None, "but told what happens next"


def test_a_fact_that_the_remedy_does_not_rest_on_opens_nothing() -> None:
    world = resolved("refund")
    world.command(CheckFact(fact="customer_returned", proved=False, by="shop"))
    world.command(CheckFact(fact="refund_booked", by="accounts"))
    world.settle()
    assert world.statuses == ["resolved"]


def test_a_proof_that_was_taken_back_after_the_case_was_closed_opens_it_too() -> None:
    world = resolved("replacement")
    world.command(CheckFact(fact="parcel_delivered", by="carrier"))
    world.settle()
    world.timers[CHECK_IN] += timedelta(days=10)
    world.send("escalation", closed := StatusChanged(status="closed", previous="resolved", by="ben", occurred_at=world.now))
    assert world.escalation is not None
    world.escalation = replace(world.escalation, facts=world.escalation.facts.after_status(closed))
    world.settle()
    world.command(CheckFact(fact="parcel_delivered", proved=False, evidence="it came back", by="carrier"))
    world.settle()
    assert world.status == "open"


def test_the_policy_may_say_that_it_raises_nothing() -> None:
    world = resolved("refund")
    assert world.escalation is not None
    world.escalation = replace(world.escalation, tiers=replace(world.escalation.tiers, raise_on=("missed_clock",)))
    world.command(CheckFact(fact="refund_booked", proved=False, by="accounts"))
    world.settle()
    assert world.status == "resolved"
