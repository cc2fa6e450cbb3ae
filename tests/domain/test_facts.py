"""The facts that conditions may read, each filled from what really happens: a rule that reads it fires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from services.escalation import domain as escalation
from services.escalation.domain import Book, EscalationState, ExtendLimit, handling
from services.escalation.domain.handling import Desk
from services.escalation.domain.handoffs import AcceptHandOff
from services.escalation.domain.teams import Team, Teams
from services.followup import domain as followup
from services.followup.domain import FollowUpState, MakePromise
from shared.calendar.zones import to_instant
from shared.contracts.complaints import ComplaintReceived, ContactAdded, EarlierComplaint, ReplySent
from shared.contracts.decision import Decision, Due, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import ClockMissed, DecisionMade, Escalated, HandOffLapsed, LimitExtended
from shared.contracts.followups import CheckInAnswered, PromiseBroken
from shared.frozen import replace
from shared.policy import schemas
from shared.policy.commands import PACKS
from shared.policy.complaint import ComplaintFacts
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from tests.domain.examples import START, contact, policy, status

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RETAIL = Book(policy("escalation"))
DESK = Desk(Teams({
    "front": Team("Front line", tier=1, members={"fay": "fay"}),
    "supervisors": Team("Supervisors", tier=2, members={"sam": "sam"}),
    "managers": Team("Managers", tier=3, members={"mo": "mo"}),
}))  # fmt: skip


@cache
def reading_rule(condition: str, kind: str = "EscalationPolicy") -> Policy:
    """A policy whose only rule is `HIT`, when the condition holds."""
    then, default = {
        "EscalationPolicy": ("{next_update_within: 1h}", "{tier: 1, acknowledge_within: 1d, final_response_within: 10d}"),
        "FollowUpPolicy": ("{action: progress_update, every: 1d}", "{action: progress_update, every: 9d}"),
    }[kind]
    return load_policy(
        f"apiVersion: complaints.policy/v1\nkind: {kind}\n"
        "metadata: {id: facts.test, version: 1, owner: ops, reason: a test}\n"
        "spec:\n  language: cel-subset/1\n  facts: complaint-facts/4\n  calendar: Europe/London\n  hit_policy: FIRST\n"
        f"  rules: [{{id: HIT, when: '{condition}', then: {then}}}]\n  default: {default}\n",
        origin="test",
    )


class Case:
    """A complaint in escalation, told event by event."""

    def __init__(self, book: Book, *, history: tuple[EarlierComplaint, ...] = (), **fields: Any) -> None:
        self.book, self.now = book, START
        self.state: EscalationState | None = None
        self.told: list[EventData] = []
        self.due: dict[str, Any] = {}
        self.event(ComplaintReceived(contact=contact(**fields), history=history))

    def event(self, data: EventData) -> list[EventData]:
        decided = escalation.on_event(self.state, data, self.now, self.book)
        return self._take(handling.follow(self.state, decided, data, self.now, self.book, DESK))

    def do(self, command: Any) -> list[EventData]:
        assert self.state is not None
        if isinstance(command, handling.COMMANDS):
            done = handling.on_command(self.state, command, self.now, self.book, DESK)
        else:
            done = escalation.on_command(self.state, command, self.now, self.book)
            assert not isinstance(done, Refused), done
            done = handling.follow(self.state, done, None, self.now, self.book, DESK)
        assert not isinstance(done, Refused), done
        return self._take(done)

    def until(self, seen: Callable[[list[EventData]], bool]) -> list[EventData]:
        """Let the timers fire, the earliest first, until what is told satisfies `seen`."""
        told: list[EventData] = []
        while not seen(told):
            name = min(self.due, key=lambda each: self.due[each])
            self.now = self.due.pop(name)
            due = Due(name, self.now)
            if name in handling.TIMERS:
                told += self._take(handling.on_timer(self.state, due, self.now, self.book, DESK))
            else:
                fired = escalation.on_timer(self.state, due, self.now, self.book)
                told += self._take(handling.follow(self.state, fired, None, self.now, self.book, DESK))
        return told

    def _take(self, decision: Decision[EscalationState]) -> list[EventData]:
        self.state = TypeAdapter(EscalationState).validate_json(TypeAdapter(EscalationState).dump_json(decision.state))
        for timer in decision.timers:
            self.due[timer.name] = timer.due_at
        for name in decision.cancel:
            if name not in {timer.name for timer in decision.timers}:
                self.due.pop(name, None)
        self.told += decision.events
        return list(decision.events)

    @property
    def rules(self) -> set[str]:
        """Every rule of the service's own policy that a decision of it cites."""
        return {rule for each in self.told if isinstance(each, DecisionMade) for rule in each.policy.rules}


def missed(count: int) -> Callable[[list[EventData]], bool]:
    return lambda told: sum(isinstance(each, ClockMissed) for each in told) >= count


def earlier(*days: int, category: str = "delivery") -> tuple[EarlierComplaint, ...]:
    return tuple(
        EarlierComplaint.model_validate({"complaint_id": UUID(int=day), "category": category, "opened_at": START - day * DAY})
        for day in days
    )


def broken(number: int) -> PromiseBroken:
    return PromiseBroken(promise=f"p{number}", kind="callback", what="Call back", owner="anna", due_at=START, broken_at=START)


def read(heat: str = "calm", *wanted: str) -> dict[str, Any]:
    return {"rules": "reading.retail/1", "language": "en", "language_confidence": 0.9, "heat": heat, "wanted": wanted}


def test_the_third_complaint_about_the_same_thing_in_90_days() -> None:
    assert "ESC-070" not in Case(RETAIL, category="delivery", history=earlier(5)).rules
    assert "ESC-070" not in Case(RETAIL, category="delivery", history=earlier(5, 91)).rules
    third = Case(RETAIL, category="delivery", history=earlier(5, 80, 91))
    assert third.rules == {"ESC-070"}
    assert third.state is not None
    assert third.state.tiers.tier == 2
    # No id of another complaint among the facts: they hold no identifiers.
    assert isinstance(third.told[0], DecisionMade)
    assert str(UUID(int=5)) not in third.told[0].model_dump_json(include={"policy"})


def test_a_person_asks_for_somebody_above() -> None:
    case = Case(RETAIL)
    told = case.do(escalation.Escalate(reason="wants a manager", by="anna"))
    risen = [(each.tier, each.cause) for each in told if isinstance(each, Escalated)]
    assert risen == [(2, "request")], "one tier up for the request, and the rule asks for no more"
    assert case.rules == {"ESC-090"}
    assert case.state is not None
    assert case.state.tiers.remedy_authority["goodwill_payment"] == "150 GBP"
    assert case.state.case.guidance, "whoever takes it over is told what the rule says"


def test_a_customer_who_asks_for_somebody_above_is_heard() -> None:
    asks = read() | {"escalation": True}
    at_once = Case(RETAIL, reading=asks)
    later = Case(RETAIL, reading=read())
    assert (at_once.rules, later.rules) == ({"ESC-090"}, set())
    later.event(ContactAdded(contact=contact(HOUR, reading=asks)))
    later.event(ContactAdded(contact=contact(2 * HOUR, reading=read("calm", "refund"))))
    for case in (at_once, later):
        assert case.state is not None
        assert case.state.tiers.tier == 2
        assert case.state.facts.escalation_requested, "what was asked for stays asked for"
    assert at_once.state is not None
    assert at_once.state.case.wanted == "somebody above"


@pytest.mark.parametrize(
    "opened_again",
    [
        lambda case: case.event(ContactAdded(contact=contact(3 * HOUR))),
        lambda case: case.event(status("open", 3 * HOUR)),
        lambda case: case.do(escalation.Reopen(reason="the refund did not arrive", by="anna")),
        lambda case: case.event(CheckInAnswered(number=1, answer="no", by="customer", occurred_at=START + 3 * HOUR)),
    ],
    ids=["wrote again", "reported", "command", "check-in"],
)
def test_it_was_thought_solved_and_is_open_again(opened_again: Callable[[Case], Any]) -> None:
    case = Case(RETAIL)
    case.event(status("resolved", 2 * HOUR))
    opened_again(case)
    assert case.rules == {"ESC-090"}
    assert case.state is not None
    assert (case.state.facts.status, case.state.tiers.tier) == ("open", 2), "one tier up, not two"


def test_two_broken_promises() -> None:
    case = Case(RETAIL)
    case.event(broken(1))
    assert case.state is not None
    assert (case.rules, case.state.tiers.tier) == (set(), 2)
    told = case.event(broken(2))
    assert case.rules == {"ESC-100"}
    assert case.state.tiers.tier == 3
    assert [type(each) for each in told][:2] == [DecisionMade, Escalated]


def test_a_promise_that_breaks_before_the_complaint_is_known_or_after_it_is_solved_counts_and_raises_nothing() -> None:
    alone = escalation.on_event(None, broken(1), START, RETAIL)
    assert (alone.events, alone.state.facts.broken_promises) == ((), 1)
    case = Case(RETAIL)
    case.event(status("resolved", HOUR))
    assert case.event(broken(1)) == []


def test_two_missed_clocks() -> None:
    case = Case(RETAIL)
    case.until(missed(1))
    assert case.rules == set()
    case.until(missed(1))
    assert case.rules == {"ESC-100"}
    assert case.state is not None
    assert set(case.state.facts.missed_clocks) == {"acknowledge", "next_update"}


def test_news_of_a_timely_reply_takes_the_miss_back() -> None:
    case = Case(RETAIL)
    case.until(missed(1))
    case.event(ReplySent(contact=contact(2 * HOUR)))
    assert case.state is not None
    assert case.state.facts.missed_clocks == ()


def test_a_late_reply_does_not_and_the_next_update_stays_missed_when_it_is_set_anew() -> None:
    case = Case(RETAIL)
    case.until(missed(2))
    case.event(ReplySent(contact=contact(case.now - START)))
    assert case.state is not None
    assert set(case.state.facts.missed_clocks) == {"acknowledge", "next_update"}


def test_hand_offs_that_nobody_answers_until_one_is_accepted() -> None:
    case = Case(Book(reading_rule("has(complaint.lapsed_handoffs) && complaint.lapsed_handoffs >= 2")))
    case.do(escalation.Escalate(reason="difficult", by="anna"))
    case.until(lambda told: any(isinstance(each, HandOffLapsed) for each in told))
    assert case.rules == set()
    told = case.until(lambda told: any(isinstance(each, HandOffLapsed) for each in told))
    assert case.rules == {"HIT"}
    assert next(each for each in told if isinstance(each, DecisionMade)).trigger == HandOffLapsed.TYPE
    assert case.state is not None
    next_update = next(each for each in case.state.clocks.running if each.name == "next_update")
    assert next_update.due is not None
    assert case.due["clocks"] <= to_instant(next_update.due), "the timer stands for the clock that was set"
    case.do(AcceptHandOff(by="mo"))
    assert case.state.facts.lapsed_handoffs == 0


@pytest.mark.parametrize("kind", ["EscalationPolicy", "FollowUpPolicy"])
@pytest.mark.parametrize(
    ("condition", "reading"),
    [
        ('has(complaint.heat) && complaint.heat == "angry"', read("angry")),
        ('"refund" in complaint.wanted && "apology" in complaint.wanted', read("calm", "apology")),
    ],
)
def test_what_was_read_in_the_words(kind: str, condition: str, reading: dict[str, Any]) -> None:
    first = ComplaintReceived(contact=contact(reading=read("frustrated", "refund")))
    then = ContactAdded(contact=contact(HOUR, reading=reading))
    given = reading_rule(condition, kind)
    facts = ComplaintFacts().after_receipt(first)
    assert given.decide(facts.as_of(START)).rules == ()
    assert given.decide(facts.after_contact(then.contact).as_of(START)).rules == ("HIT",)
    if kind == "EscalationPolicy":
        case = Case(Book(given), reading=read("frustrated", "refund"))
        case.event(then)
        assert case.rules == {"HIT"}


def test_an_extension_lengthens_a_legal_limit_and_no_promise_of_ours() -> None:
    packs = tuple(load_policy(each.read_text(), origin=each.name) for each in PACKS)
    case = Case(replace(RETAIL, regimes=packs), product="e_money")
    assert case.state is not None
    before = {each.key: each.due for each in case.state.clocks.running}
    told = case.do(ExtendLimit(extension="disp_exceptional", reason="the other bank is closed", by="anna"))
    extended, decided = told[0], told[1]
    assert isinstance(extended, LimitExtended)
    assert isinstance(decided, DecisionMade)
    assert [(each.id, each.rules) for each in decided.regimes or ()] == [("uk-fca-disp", ("DISP-010",)), ("us-cfpb", ())]
    targets = {each.key: each.target for each in decided.deadlines}
    assert targets == {"uk-fca-disp/disp_final_response": "35bd", "uk-fca-disp/disp_holding_response": "15bd"}
    after = {each.key: each.due for each in case.state.clocks.running}
    moved = {key for key in before if after[key] != before[key]}
    assert moved == {"uk-fca-disp/disp_final_response"}
    assert after["uk-fca-disp/disp_final_response"] > before["uk-fca-disp/disp_final_response"]  # type: ignore[operator]
    for name, given, said in (
        ("disp_exceptional", {"status": "open"}, "Recorded already"), ("other", {"status": "open"}, "No such extension"),
        ("other", {"status": "closed"}, "Not open"),
    ):  # fmt: skip
        state = replace(case.state, facts=replace(case.state.facts, **given))  # type: ignore[arg-type]
        refused = escalation.on_command(state, ExtendLimit(extension=name, reason="x", by="anna"), case.now, case.book)
        assert isinstance(refused, Refused)
        assert refused.title == said


def test_follow_up_knows_them_too() -> None:
    """What escalation told, and the promises that follow-up itself saw broken, are facts of its next plan."""
    given = reading_rule(
        "has(complaint.broken_promises) && complaint.broken_promises == 1 && complaint.missed_clocks.size() == 2 && "
        "has(complaint.escalation_requested) && complaint.escalation_requested && complaint.customer.history.size() == 1",
        "FollowUpPolicy",
    )
    case = Case(RETAIL)
    case.do(escalation.Escalate(reason="wants a manager", by="anna"))
    case.until(missed(2))
    state: FollowUpState | None = None
    for event in (ComplaintReceived(contact=contact(), history=earlier(5)), *case.told):
        state = followup.on_event(state, event, START, given).state
    made = followup.on_command(
        state, MakePromise(what="Call back", due_at=START + DAY, by="anna"), START, given, lambda at: ""
    )
    assert isinstance(made, Decision)
    state = followup.on_timer(made.state, Due("promise:p1", START + DAY), START + DAY, given).state
    assert given.decide(state.facts.as_of(START + DAY)).rules == ("HIT",)
    planned = followup.on_event(state, ContactAdded(contact=contact(DAY)), START + DAY, given)
    assert [each.policy.rules for each in planned.events if hasattr(each, "policy")] == [("HIT",)]


def test_every_published_fact_is_filled_by_somebody() -> None:
    """From a complaint with everything, `as_of` gives every fact of the schema; none is published that no service fills."""
    full = ComplaintFacts().after_receipt(
        ComplaintReceived(
            contact=contact(
                product="kettle", money_claimed={"amount": "10", "currency": "GBP"}, reading=read("calm", "refund"),
                customer={"country": "GB", "support_needs": ["illness"]},
            ),
            history=earlier(5),
        )
    )  # fmt: skip
    full = replace(
        full, resolved_at=START, remedy="refund", reopened=1, escalation_requested=True, missed_clocks=("acknowledge",),
        broken_promises=1, lapsed_handoffs=1, extensions=("x",),
    )  # fmt: skip
    given = full.as_of(START)
    table = schemas.schema("escalation", "complaint-facts/4").facts["complaint"]
    assert set(given["complaint"]) == set(table.fields)
    assert set(given["complaint"]["customer"]) == set(table.fields["customer"].fields)
