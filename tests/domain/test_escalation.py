"""Escalation's decisions: what a complaint's events and a person's commands change."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.escalation.domain import Book, Close, EscalationState, Resolve, on_command, on_event
from shared.calendar.zones import to_instant
from shared.contracts.complaints import (
    ComplaintMerged,
    ComplaintReceived,
    ContactAdded,
    MergeUndone,
    ReplySent,
    SubmissionSetAside,
)
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import ClocksMet, DecisionMade, Escalated, StatusChanged
from shared.contracts.followups import CheckInAnswered
from tests.domain.examples import START, contact, policy, raw, source, status

POLICY = policy("escalation")
BOOK = Book(POLICY)
HOUR = timedelta(hours=1)


def fold(*events: EventData) -> tuple[EscalationState, list[EventData]]:
    """The state after `events`, an hour apart, and everything that was decided."""
    state: EscalationState | None = None
    out: list[EventData] = []
    for number, event in enumerate(events):
        decision = on_event(state, event, START + number * HOUR, BOOK)
        state = decision.state
        out += decision.events
    assert state is not None
    return state, out


def due(state: EscalationState) -> dict[str, datetime]:
    """What is due when, of the clocks that nothing holds."""
    return {clock.key: to_instant(clock.due) for clock in state.clocks.running if clock.due is not None}


def test_an_injury_is_tier_3_and_cites_its_rule_and_the_input_that_decided() -> None:
    _, (decided,) = fold(ComplaintReceived(contact=contact(tags=("injury",))))
    assert isinstance(decided, DecisionMade)
    assert (decided.tier, decided.previous_tier) == (3, None)
    assert decided.policy.rules == ("ESC-010",)
    assert decided.policy.inputs == {"complaint.tags": ["injury"]}
    assert (decided.policy.id, decided.policy.version, decided.policy.digest) == (
        POLICY.id,
        POLICY.version,
        POLICY.digest,
    )
    assert {clock.name: clock.due_at - clock.started_at for clock in decided.clocks} == {
        "acknowledge": timedelta(hours=1),
        # ten calendar days in London, before the clocks change
        "final_response": timedelta(days=10),
    }
    assert decided.guidance


def test_deadlines_count_from_receipt_in_local_days() -> None:
    # Eight weeks from 2 March cross the change to summer time: an hour less than 56 * 24 h.
    _, (decided,) = fold(ComplaintReceived(contact=contact()))
    assert isinstance(decided, DecisionMade)
    final = next(clock for clock in decided.clocks if clock.name == "final_response")
    assert final.due_at - START == timedelta(days=56) - HOUR


def test_a_second_contact_that_changes_nothing_decides_nothing() -> None:
    _, events = fold(ComplaintReceived(contact=contact()), ContactAdded(contact=contact(HOUR)))
    assert len(events) == 1


def test_a_worse_second_contact_raises_the_tier_and_says_from_which() -> None:
    state, events = fold(ComplaintReceived(contact=contact()), ContactAdded(contact=contact(HOUR, tags=("legal",))))
    second = events[1]
    assert isinstance(second, DecisionMade)
    assert (second.previous_tier, second.tier, second.trigger) == (1, 3, ContactAdded.TYPE)
    assert {clock.name: clock.due_at for clock in second.clocks}.items() <= due(state).items()
    # The clocks of the new target still run from the first receipt.
    assert {clock.started_at for clock in second.clocks} == {START}


def test_resolve_then_close_then_the_customer_writes_again() -> None:
    state, _ = fold(ComplaintReceived(contact=contact()))
    resolved = on_command(state, Resolve(resolution="Sent a new kettle", by="anna"), START + HOUR, BOOK)
    assert isinstance(resolved, Decision)
    changed, met = resolved.events
    assert isinstance(changed, StatusChanged)
    assert isinstance(met, ClocksMet)
    assert (changed.previous, changed.status, changed.by, changed.resolution) == (
        "open",
        "resolved",
        "anna",
        "Sent a new kettle",
    )
    closed = on_command(resolved.state, Close(by="anna"), START + 2 * HOUR, BOOK)
    assert isinstance(closed, Decision)
    assert closed.state.facts.status == "closed"
    again = on_event(closed.state, ContactAdded(contact=contact(3 * HOUR)), START + 3 * HOUR, BOOK)
    assert again.state.facts.status == "open"
    # The next update counts from the last one, which the resolution was.
    same = [name for name in due(state) if name != "next_update"]
    assert {n: due(again.state)[n] for n in same} == {n: due(state)[n] for n in same}, "reopened is open again with the same clocks"
    assert isinstance(again.events[0], StatusChanged)
    assert again.events[0].by == "customer"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Resolve(resolution="It works as it should"), "It works as it should"),
        (Resolve(resolution="It works as it should", reason="no fault found"), "no fault found"),
        (Resolve(resolution="Sent a new kettle", remedy="replacement"), None),
        (Close(reason="sent to us by mistake"), "sent to us by mistake"),
    ],
)
def test_what_ends_without_an_offer_has_a_reason_recorded(command: Resolve | Close, reason: str | None) -> None:
    state, _ = fold(ComplaintReceived(contact=contact()))
    done = on_command(state, command, START + HOUR, BOOK)
    assert isinstance(done, Decision)
    assert isinstance(done.events[0], StatusChanged)
    assert done.events[0].reason == reason


@pytest.mark.parametrize("word", ["resolved", "closed"])
def test_an_end_that_the_contact_centre_reports_says_who_reported_it(word: str) -> None:
    _, events = fold(ComplaintReceived(contact=contact()), status(word))
    changed = next(event for event in events if isinstance(event, StatusChanged))
    assert changed.reason == "reported by shop-eu"


@pytest.mark.parametrize(
    ("state", "command", "status_code", "word"),
    [
        (None, Resolve(resolution="x"), 404, "no complaint"),
        ("open", Close(), 409, "needs a `reason`"),
        ("resolved", Resolve(resolution="x"), 409, "resolved"),
        ("closed", Resolve(resolution="x"), 409, "closed"),
        ("closed", Close(reason="x"), 409, "closed"),
    ],
)
def test_commands_that_cannot_be_done_say_why(
    state: str | None, command: Resolve | Close, status_code: int, word: str
) -> None:
    before = None
    if state is not None:
        before, _ = fold(ComplaintReceived(contact=contact()), status(state))
    refused = on_command(before, command, START, BOOK)
    assert isinstance(refused, Refused)
    assert refused.status == status_code
    assert word in refused.detail


def test_the_contact_centre_may_report_a_status_before_the_complaint_arrives() -> None:
    state, events = fold(status("resolved"), ComplaintReceived(contact=contact()))
    assert state.facts.status == "resolved"
    assert [type(event) for event in events] == [DecisionMade, StatusChanged, ClocksMet]
    assert isinstance(events[1], StatusChanged)
    assert events[1].by == "contact-centre:shop-eu"


def test_an_older_report_that_comes_late_changes_nothing() -> None:
    reopened, resolved = status("open", 3 * HOUR), status("resolved", 2 * HOUR)
    first, _ = fold(ComplaintReceived(contact=contact()), status("resolved", HOUR), reopened, resolved)
    assert first.facts.status == "open"
    before_the_complaint, _ = fold(reopened, resolved, ComplaintReceived(contact=contact()))
    assert before_the_complaint.facts.status == "open"


def test_what_is_no_complaint_gets_no_decision() -> None:
    set_aside = SubmissionSetAside(source=source(), reason="written by a bot", received_at=START, raw=raw())
    _, events = fold(set_aside)
    assert events == []


contacts = st.builds(
    contact,
    st.just(timedelta()),
    severity=st.integers(1, 5),
    tags=st.lists(st.sampled_from(["legal", "injury", "safety", "press"]), max_size=2).map(tuple),
    category=st.sampled_from(["billing", "fraud", "safety", "other"]),
    customer=st.sampled_from([{}, {"support_needs": ["illness"]}, {"contact_preference": "none"}]),
)
inputs = st.lists(
    st.one_of(
        contacts.map(lambda c: ContactAdded(contact=c)),
        contacts.map(lambda c: ReplySent(contact=c)),
        st.sampled_from(["open", "waiting", "resolved", "closed"]).map(status),
    ),
    max_size=8,
)


@given(contacts, inputs)
def test_nothing_that_comes_later_lowers_the_tier_or_moves_a_deadline_back(
    first: object, rest: list[EventData]
) -> None:
    state = on_event(None, ComplaintReceived(contact=first), START, BOOK).state  # type: ignore[arg-type]
    for number, event in enumerate(rest, 1):
        decision = on_event(state, event, START + number * HOUR, BOOK)
        after = decision.state
        assert (after.tiers.tier or 0) >= (state.tiers.tier or 0)
        assert all(at >= due(after)[name] for name, at in due(state).items() if name in due(after))
        changes = [event for event in decision.events if isinstance(event, StatusChanged)]
        assert len(changes) <= 1
        assert bool(changes) == (after.facts.status != state.facts.status), "each change of status is an event"
        assert all(change.previous != change.status for change in changes)
        state = after


@given(contacts, inputs)
def test_the_state_survives_its_row(first: object, rest: list[EventData]) -> None:
    state, _ = fold(ComplaintReceived(contact=first), *rest)  # type: ignore[arg-type]
    adapter = TypeAdapter(EscalationState)
    assert adapter.validate_json(adapter.dump_json(state)) == state


def test_a_complaint_that_was_merged_is_closed_and_open_again_when_that_was_undone() -> None:
    into, by = UUID(int=9), "lead-uk"
    state, _ = fold(ComplaintReceived(contact=contact()))
    merged = on_event(state, ComplaintMerged(into=into, by=by), START + HOUR, BOOK)
    assert merged.state.facts.status == "closed"
    undone = on_event(merged.state, MergeUndone(into=into, by=by), START + 2 * HOUR, BOOK)
    assert undone.state.facts.status == "open"
    assert [event.status for event in (*merged.events, *undone.events) if isinstance(event, StatusChanged)] == ["closed", "open"]


def answered(said: str) -> CheckInAnswered:
    return CheckInAnswered.model_validate({"number": 2, "answer": said, "via": "link", "by": "customer", "occurred_at": START + 3 * HOUR})


@pytest.mark.parametrize("said", ["no", "partly"])
def test_no_and_partly_reopen_one_tier_up_with_the_same_legal_clock(said: str) -> None:
    received = ComplaintReceived(contact=contact())
    before, _ = fold(received)
    resolved, _ = fold(received, status("resolved", HOUR))
    state, events = fold(received, status("resolved", HOUR), answered(said), answered(said))
    assert (resolved.facts.status, state.facts.status) == ("resolved", "open")
    assert state.tiers.tier == (before.tiers.tier or 1) + 1, "once, however often they say it"
    (raised,) = [event for event in events if isinstance(event, Escalated)]
    assert (raised.cause, raised.detail, raised.by) == ("not_solved", "check-in 2", "customer")
    assert due(state)["final_response"] == due(before)["final_response"]


def test_yes_closes_what_is_resolved_and_nothing_else() -> None:
    received = ComplaintReceived(contact=contact())
    state, events = fold(received, status("resolved", HOUR), answered("yes"))
    assert state.facts.status == "closed"
    assert [event.status for event in events if isinstance(event, StatusChanged)] == ["resolved", "closed"]
    still, _ = fold(received, answered("yes"))
    assert still.facts.status == "open"
