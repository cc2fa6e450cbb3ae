"""Hand-offs, remedies, help and conduct: who has a complaint, what may be granted, and what is refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.escalation.domain import Book, EscalationState, handling, handoffs, on_event, remedies
from services.escalation.domain.conduct import AppealConduct, EndRestriction, HelpNow, RestrictContact, WarnAboutConduct
from services.escalation.domain.handling import Desk
from services.escalation.domain.handoffs import AcceptHandOff, HandOver, RefuseHandOff
from services.escalation.domain.remedies import AcceptOffer, AuthoriseOffer, OfferRemedy, RefuseOffer
from services.escalation.domain.teams import Team, Teams
from services.escalation.links import BadLink, Links
from shared.contracts.complaints import ComplaintReceived, ContactAdded, Money
from shared.contracts.decision import Decision, Due, Refused
from shared.contracts.escalations import (
    AlarmRaised,
    DecisionMade,
    Escalated,
    HandOffAccepted,
    HandOffLapsed,
    HandOffRequested,
    IncidentLogged,
    RemedyOffered,
    RemedyOption,
    StatusChanged,
)
from shared.policy.shape import Remedy
from tests.domain.examples import START, contact, policy

BOOK = Book(policy("escalation"))
TEAMS = Teams({
    "front": Team("Front line", 1, members={"agent-7": "agent-7"}),
    "supervisors": Team(
        "Supervisors", 2, email="sup@shop.example", chat="leads", members={"anna": "anna", "bo": "bo-key"},
        authority={"refund": "200 GBP"},
    ),
    "managers": Team("Managers", 3, webhook="crm", members={"kim": "kim"}, authority={"refund": "1000 GBP"}),
    "legal": Team("Legal", 3, "legal"),
})  # fmt: skip
DESK = Desk(TEAMS)
HOUR = timedelta(hours=1)


def received(tags: tuple[str, ...] = (), desk: Desk = DESK, **fields: Any) -> Decision[EscalationState]:
    data = ComplaintReceived(contact=contact(tags=tags, **fields))
    return handling.follow(None, on_event(None, data, START, BOOK), data, START, BOOK, desk)


def of(decision: Decision[EscalationState] | Refused, kind: type) -> Any:
    assert isinstance(decision, Decision), decision
    return [event for event in decision.events if isinstance(event, kind)]


def do(
    state: EscalationState, command: Any, at: datetime = START + HOUR, desk: Desk = DESK
) -> Decision[EscalationState] | Refused:
    return handling.on_command(state, command, at, BOOK, desk)


def state_of(decision: Decision[EscalationState] | Refused) -> EscalationState:
    assert isinstance(decision, Decision), decision
    return decision.state


def test_what_the_front_line_can_do_is_the_front_lines_at_once() -> None:
    decision = received()
    assert (decision.state.hand_offs.team, decision.state.hand_offs.pending) == ("front", None)
    assert of(decision, HandOffRequested) == []
    assert [event.team for event in of(decision, DecisionMade)] == ["front"], "records reads it from here"
    assert [event.team for event in of(received(("legal",)), DecisionMade)] == [None], "they are asked first"


def test_a_serious_complaint_is_handed_over_with_everything() -> None:
    decision = received(tags=("injury",), text="The kettle burnt my hand.", issue="burnt hand", remedy_sought="a refund")
    (asked,) = of(decision, HandOffRequested)
    assert (asked.number, asked.team, asked.tier) == (1, "managers", 3)
    package = asked.package
    assert (package.issues, package.wanted, package.missing, package.tags) == (("burnt hand",), "a refund", (), ("injury",))
    assert {clock.clock for clock in package.clocks} >= {"acknowledge", "final_response"}
    assert package.guidance
    assert [message.name for message in decision.messages] == ["hand-off-1-webhook"]
    assert "kettle" not in str(decision.messages), "a notification says no more than is needed"
    assert (handoffs.TIMER, asked.accept_by) in [(timer.name, timer.due_at) for timer in decision.timers]


def test_one_accepts_and_the_other_hears_who_has_it() -> None:
    state = state_of(do(received().state, HandOver(team="supervisors", reason="Too much for me", by="agent-7")))
    first = do(state, AcceptHandOff(by="anna"))
    (accepted,) = of(first, HandOffAccepted)
    assert (accepted.team, accepted.by) == ("supervisors", "anna")
    assert state_of(first).hand_offs.owner == "anna"
    assert handoffs.TIMER in first.cancel  # type: ignore[union-attr]
    second = do(state_of(first), AcceptHandOff(number=1, by="bo-key"))
    assert isinstance(second, Refused)
    assert "anna has it" in second.detail


def test_only_the_team_answers() -> None:
    state = state_of(do(received().state, HandOver(team="supervisors", reason="Too much", by="agent-7")))
    refused = do(state, AcceptHandOff(by="agent-7"))
    assert isinstance(refused, Refused)
    assert refused.status == 403
    assert isinstance(do(state, AcceptHandOff(by="bo-key")), Decision)
    gone = Desk(Teams({"front": Team("F", 1)}))
    assert isinstance(handling.on_command(state, AcceptHandOff(by="anyone"), START, BOOK, gone), Decision), "the team is no more"


def test_a_refusal_moves_it_up_with_the_reason() -> None:
    state = state_of(do(received().state, HandOver(team="supervisors", reason="Too much", by="agent-7")))
    decision = do(state, RefuseHandOff(reason="Not ours", by="anna"))
    assert of(decision, Escalated)[0].tier == 2
    (again,) = of(decision, HandOffRequested)
    assert "Not ours" in again.reason
    assert again.number == 2


def test_no_answer_moves_it_to_the_top_then_alarms_and_asks_again() -> None:
    decision = do(received().state, HandOver(team="supervisors", reason="Too much", by="agent-7"))
    state, seen, alarms = state_of(decision), [], 0
    for _ in range(4):
        pending = state.hand_offs.pending
        assert pending is not None
        assert pending.accept_by is not None
        due = Due(handoffs.TIMER, pending.accept_by)
        decision = handling.on_timer(state, due, pending.accept_by, BOOK, DESK)
        assert len(of(decision, HandOffLapsed)) == 1
        seen.append(of(decision, HandOffRequested)[0].team)
        alarms += len(of(decision, AlarmRaised))
        state = decision.state
    assert seen == ["supervisors", "managers", "managers", "managers"]
    assert alarms >= 1


def test_an_incomplete_package_waits_for_the_text_but_not_longer_than_is_safe() -> None:
    first = received(tags=("injury",), text="", text_status="pending_fetch")
    assert of(first, HandOffRequested) == []
    (timer,) = [timer for timer in first.timers if timer.name == handoffs.TIMER]
    assert timer.due_at == START + handoffs.SAFETY
    late = handling.on_timer(first.state, Due(handoffs.TIMER, timer.due_at), timer.due_at, BOOK, DESK)
    assert of(late, HandOffRequested)[0].package.missing == ("the customer's words",)

    data = ContactAdded(contact=contact(text="My hand is burnt."))
    at = START + timedelta(minutes=2)
    complete = handling.follow(first.state, on_event(first.state, data, at, BOOK), data, at, BOOK, DESK)
    assert of(complete, HandOffRequested)[0].package.missing == ()


def test_help_now_goes_to_a_lead_at_once_and_is_logged_apart() -> None:
    decision = do(received().state, HelpNow(kind="threat", what="Says he will come by", by="agent-7"))
    (incident,) = of(decision, IncidentLogged)
    assert (incident.incident, incident.kind) == (1, "threat")
    assert of(decision, HandOffRequested)[0].team == "supervisors"
    assert isinstance(decision, Decision)
    assert "incident-1-email" in [message.name for message in decision.messages]
    assert state_of(decision).facts.status == "open"


def test_who_was_waited_for_when_an_agent_called_for_help_is_asked_again_once_help_is_there() -> None:
    state = state_of(do(received(("legal",)).state, HelpNow(what="Shouts", by="agent-7")))
    state = state_of(do(state, HelpNow(what="Shouts again", by="agent-7")))
    assert state.hand_offs.pending is not None
    assert state.hand_offs.pending.team == "managers"
    moved = do(state, RefuseHandOff(reason="In a meeting", by="kim"))
    there = do(state_of(moved), AcceptHandOff(by="kim"))
    assert state_of(there).hand_offs.owner == "kim"
    (asked,) = of(there, HandOffRequested)
    assert (asked.team, asked.reason) == ("legal", "received")
    assert asked.policy is not None
    assert (asked.policy.id, asked.policy.rules) == ("escalation.retail", ("ESC-030",))
    assert asked.policy.facts is None, "the decision before holds them"
    assert isinstance(there, Decision)
    assert [timer.name for timer in there.timers] == ["hand_off"]
    alone = do(state_of(do(received().state, HelpNow(what="Shouts", by="agent-7"))), AcceptHandOff(by="anna"))
    assert of(alone, HandOffRequested) == []


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (HandOver, {"team": "managers", "reason": " "}), (RefuseHandOff, {"reason": ""}), (HelpNow, {"what": "\n"}),
        (WarnAboutConduct, {"reason": " "}), (AppealConduct, {"words": ""}), (EndRestriction, {"reason": " "}),
        (RestrictContact, {"scope": ["phone"], "reason": " ", "until": START}),
        (RestrictContact, {"scope": [" "], "reason": "Insults", "until": START}),
    ],
)  # fmt: skip
def test_a_reason_of_blanks_is_none(command: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        command(**fields)


def test_contact_is_limited_only_by_a_lead_after_a_warning_and_for_a_time() -> None:
    state = received().state
    limit = RestrictContact(scope=("phone",), reason="Insults", until=START + timedelta(days=90), by="anna")
    assert do(state, limit).title == "Warn first"  # type: ignore[union-attr]
    state = state_of(do(state, WarnAboutConduct(reason="Insults", by="agent-7")))
    assert do(state, limit.model_copy(update={"by": "agent-7"})).status == 403  # type: ignore[union-attr]
    everything = limit.model_copy(update={"scope": ("email", "phone", "chat", "sms", "post", "in_person")})
    assert do(state, everything).title == "Too wide"  # type: ignore[union-attr]
    for scope in (("all",), ("Email", "PHONE", "chat", "sms", "post ", "in_person")):
        wide = RestrictContact(scope=scope, reason="Insults", until=START + timedelta(days=90), by="anna")
        assert do(state, wide).title == "Too wide", scope  # type: ignore[union-attr]
    assert do(state, limit.model_copy(update={"until": START})).title == "Limit it in time"  # type: ignore[union-attr]
    limited = do(state, limit)
    state = state_of(limited)
    assert state.conduct.restriction is not None
    appeal = do(state, AppealConduct(words="I was ill", by="agent-7"))
    assert isinstance(appeal, Decision)
    assert {message.to for message in appeal.messages} == {"sup@shop.example", "leads"}, "a lead hears of it"
    assert state_of(do(state, EndRestriction(reason="fair", by="kim"))).conduct.restriction is None
    review = handling.on_timer(state, Due("conduct_review", state.conduct.restriction.review_at), START + timedelta(days=60), BOOK, DESK)
    assert review.timers[-1].due_at == state.conduct.restriction.until
    over = handling.on_timer(review.state, Due("conduct_review", START), START + timedelta(days=91), BOOK, DESK)
    assert over.state.conduct.restriction is None


CATALOGUE = {
    "refund": Remedy.model_validate({"title": "Refund", "kind": "refund", "limit": "500 GBP", "per_complaint": "600 GBP"}),
    "workaround": Remedy.model_validate({"title": "A way that helps now", "kind": "workaround", "immediate": True}),
}
AUTHORITY = {"refund": "50 GBP"}


def option(amount: str | None = None, remedy: str = "refund", currency: str = "GBP") -> RemedyOption:
    return RemedyOption(remedy=remedy, amount=None if amount is None else Money(amount=Decimal(amount), currency=currency))


NOW_ONE = option(remedy="workaround")


def offer(before: remedies.Remedies, *options: RemedyOption, by: str = "agent-7", reason: str | None = None) -> Any:
    given = OfferRemedy(options=options, by=by, reason=reason)
    return remedies.command(before, given, CATALOGUE, AUTHORITY, TEAMS, START)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((option("20"),), "at least two options"),
        ((option("20"), option("30")), "at once (workaround)"),
        ((option("501"), NOW_ONE), "one offer may get 500 GBP"),
        ((option("20", currency="EUR"), NOW_ONE), "in GBP, not in EUR"),
        ((option("0"), NOW_ONE), "more than 0"),
        ((option("20", remedy="yacht"), NOW_ONE), "no 'yacht'"),
        ((option(), NOW_ONE), "say its `amount`"),
        ((NOW_ONE, NOW_ONE), "two options that differ"),
    ],
)
def test_an_offer_that_is_not_within_the_policy_is_refused(options: tuple[RemedyOption, ...], said: str) -> None:
    refused = offer(remedies.Remedies(), *options)
    assert isinstance(refused, Refused)
    assert said in refused.detail


def test_above_authority_it_waits_for_a_tier_that_may_and_not_for_oneself() -> None:
    after, event = offer(remedies.Remedies(), option("150"), NOW_ONE)
    assert isinstance(event, RemedyOffered)
    assert (event.needs_tier, after.offers[0].standing) == (2, "asked")

    def command(given: Any) -> Any:
        return remedies.command(after, given, CATALOGUE, AUTHORITY, TEAMS, START)

    assert isinstance(command(AcceptOffer(offer=1)), Refused)
    assert command(AuthoriseOffer(offer=1, by="agent-7")).status == 403
    granted, _ = command(AuthoriseOffer(offer=1, by="anna"))
    taken, _ = remedies.command(granted, AcceptOffer(offer=1, option=1), CATALOGUE, AUTHORITY, TEAMS, START)  # type: ignore[misc]
    assert taken.offers[0].standing == "accepted"
    own, event = offer(remedies.Remedies(), option("150"), NOW_ONE, by="anna")
    assert own.offers[0].standing == "open", "she may grant it herself"
    beyond = remedies.command(
        remedies.Remedies(), OfferRemedy(options=(option("400"), NOW_ONE), by="anna"), CATALOGUE, AUTHORITY,
        Teams(), START,
    )  # fmt: skip
    assert isinstance(beyond, Refused)
    assert "nobody in the directory" in beyond.detail


def test_authority_is_for_what_the_complaint_gets_in_all_and_not_for_each_part() -> None:
    state, _ = offer(remedies.Remedies(), option("30"), NOW_ONE)
    state, event = offer(state, option("20"), NOW_ONE)
    assert event.needs_tier is None, "50 in all: what an agent may grant"
    state, event = offer(state, option("1"), NOW_ONE)
    assert event.needs_tier == 2
    taken_back, _ = remedies.command(state, RefuseOffer(offer=1, by="agent-7"), CATALOGUE, AUTHORITY, TEAMS, START)  # type: ignore[misc]
    _, event = offer(taken_back, option("1"), NOW_ONE)
    assert event.needs_tier is None, "what was taken back no longer counts"
    state, event = offer(state, option("150"), NOW_ONE, by="anna")
    assert event.needs_tier == 3, "201 in all: more than a supervisor's"


def test_who_is_asked_and_who_may_authorise_is_who_may_grant_it() -> None:
    teams = replace(TEAMS, teams={"a-team": Team("A", 2, email="a@shop.example", members={"dan": "dan"}), **TEAMS.teams})
    desk = Desk(teams)
    state = received(desk=desk).state
    asked = do(state, OfferRemedy(options=(option("150", remedy="goodwill_payment"), NOW_ONE), by="agent-7"), desk=desk)
    assert isinstance(asked, Refused), "no team has authority for goodwill"
    asked = do(state, OfferRemedy(options=(option("201"), NOW_ONE), by="agent-7"), desk=desk)
    assert isinstance(asked, Decision)
    assert of(asked, RemedyOffered)[0].needs_tier == 3
    two = replace(teams, teams={**teams.teams, "supervisors": replace(teams.teams["supervisors"], authority={"refund": "900 GBP"})})
    asked = do(state, OfferRemedy(options=(option("201"), NOW_ONE), by="agent-7"), desk=Desk(two))
    assert isinstance(asked, Decision)
    assert {message.to for message in asked.messages} == {"sup@shop.example", "leads"}, "not the a-team"
    refused = do(asked.state, AuthoriseOffer(offer=1, by="dan"), desk=Desk(two))
    assert isinstance(refused, Refused)
    assert "who may: supervisors, managers" in refused.detail
    assert isinstance(do(asked.state, AuthoriseOffer(offer=1, by="anna"), desk=Desk(two)), Decision)


@pytest.mark.parametrize(("by", "amount", "standing"), [("bo-key", "100", "open"), ("bo-key", "101", "asked"), ("zoe", "100", "asked")])
def test_a_members_own_authority_is_theirs_alone(by: str, amount: str, standing: str) -> None:
    front = {"front": Team("Front line", 1, members={"bo": "bo-key", "zoe": "zoe"})}
    teams = replace(TEAMS, teams=front | {"managers": TEAMS.teams["managers"]}, personal={"bo-key": {"refund": "100 GBP"}})
    given = OfferRemedy(options=(option(amount), NOW_ONE), by=by)
    done = remedies.command(remedies.Remedies(), given, CATALOGUE, AUTHORITY, teams, START)
    assert not isinstance(done, Refused)
    assert done[0].offers[0].standing == standing


VERBS = st.sampled_from(["offer", "accept", "refuse", "authorise"])


@given(st.lists(st.tuples(VERBS, st.integers(1, 500), st.integers(1, 6)), max_size=25))
def test_no_order_of_commands_grants_more_than_a_complaint_may_get(steps: list[tuple[str, int, int]]) -> None:
    state = remedies.Remedies()
    for verb, amount, number in steps:
        given: Any
        match verb:
            case "offer":
                given = OfferRemedy(options=(option(str(amount)), NOW_ONE), by="kim")
            case "accept":
                given = AcceptOffer(offer=number, option=1, by="kim")
            case "refuse":
                given = RefuseOffer(offer=number, by="kim")
            case _:
                given = AuthoriseOffer(offer=number, by="kim")
        done = remedies.command(state, given, CATALOGUE, {"refund": "1000 GBP"}, TEAMS, START)
        if not isinstance(done, Refused):
            state = done[0]
    granted = remedies.granted(state, "refund", "GBP")
    paid = sum(
        (o.options[o.chosen].amount.amount for o in state.offers if o.chosen is not None and o.options[o.chosen].amount),  # type: ignore[union-attr]
        Decimal(0),
    )
    assert paid <= granted <= 600


LINKS = Links(bytes(range(32)), "https://care.example")
ID = UUID("5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40")
UNTIL = datetime(2026, 5, 4, 13, tzinfo=UTC)


def test_a_link_says_what_it_is_for_and_nothing_else_opens() -> None:
    token = LINKS.token(ID, 3, UNTIL)
    claim = LINKS.read(token, UNTIL - HOUR)
    assert (claim.complaint_id, claim.number, claim.until) == (ID, 3, UNTIL)
    assert LINKS.url(ID, 3, UNTIL) == f"https://care.example/hand-off/{token}"
    with pytest.raises(BadLink, match="over"):
        LINKS.read(token, UNTIL + HOUR)
    with pytest.raises(BadLink, match="damaged"):
        Links(bytes(32), "").read(token, UNTIL - HOUR)


@given(st.text(max_size=80))
def test_no_text_is_a_link(text: str) -> None:
    with pytest.raises(BadLink):
        LINKS.read(text, UNTIL)


def test_a_resolved_complaint_waits_for_no_answer() -> None:
    state = received(tags=("injury",)).state
    solved = replace(state, facts=state.facts.after_status(StatusChanged(status="resolved", previous="open", by="anna", occurred_at=START)))
    after = handling.follow(state, Decision(solved), None, START, BOOK, DESK)
    assert after.state.hand_offs.pending is None
    assert handoffs.TIMER in after.cancel
    assert "hand-off-1-webhook" in after.withdraw
