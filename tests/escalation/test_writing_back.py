"""What the contact centre is told: who has the complaint, at which tier, by when; and of whom it is never told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.escalation.domain import Resolve, handling, on_command, on_event
from services.escalation.domain.handling import Desk
from services.escalation.domain.handoffs import AcceptHandOff, HandOver
from services.escalation.domain.state import EscalationState
from services.escalation.handlers import Handlers
from shared.contracts.complaints import ComplaintReceived, ContactAdded, Source, StatusReported
from shared.contracts.decision import Decision, Due, Message, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Escalated, HandOffRequested
from shared.policy.distribution.line import Fixed
from shared.postgres.inputs import Input
from tests.domain.examples import START, contact, policy, raw, source
from tests.escalation.test_handling import BOOK, HOUR, TEAMS

DESK = Desk(TEAMS, writable=frozenset({"shop-eu"}))


def written(decision: Decision[EscalationState] | Refused) -> list[Message]:
    assert isinstance(decision, Decision), decision
    return [message for message in decision.messages if message.route == "contact_centre"]


def told(before: EscalationState | None, data: EventData, desk: Desk = DESK, after: timedelta = timedelta()) -> Decision[EscalationState]:
    at = START + after
    return handling.follow(before, on_event(before, data, at, BOOK), data, at, BOOK, desk)


def received(desk: Desk = DESK, **fields: Any) -> Decision[EscalationState]:
    return told(None, ComplaintReceived(contact=contact(**fields)), desk)


def do(state: EscalationState, command: Any, after: timedelta = HOUR) -> Decision[EscalationState]:
    decision = handling.on_command(state, command, START + after, BOOK, DESK)
    assert isinstance(decision, Decision), decision
    return decision


def test_what_stays_at_the_front_line_says_nothing() -> None:
    assert written(received()) == []


def test_a_hand_off_is_a_note_with_its_tier_its_team_and_its_time() -> None:
    decision = received(tags=("injury",), text="The kettle burnt my hand.", customer={"name": "Ann Smith", "emails": ["ann@x.example"]})
    (note,) = written(decision)
    (asked,) = [event for event in decision.events if isinstance(event, HandOffRequested)]
    assert (note.name, note.to, note.person) == ("note-hand-off-1", "shop-eu", None)
    assert note.body == {
        "record_id": "T-1001", "priority": "urgent", "tags_add": ["amends-tier-3"],
        "comment": f"Amends: tier 3, with Managers, answer by {asked.accept_by:%a %d %b %Y %H:%M} UTC.",
    }  # fmt: skip


def test_tier_2_is_not_urgent_and_neither_the_reason_nor_a_name_is_told() -> None:
    handed = do(received().state, HandOver(team="supervisors", reason="Ann Smith shouts", by="agent-7"))
    state = replace(handed.state, tiers=replace(handed.state.tiers, tier=2))
    taken = do(state, AcceptHandOff(by="anna"))
    (first,), (second,) = written(handed), written(taken)
    assert "priority" not in first.body
    assert second.name == "note-accepted-1"
    assert second.body == {
        "record_id": "T-1001", "comment": "Amends: tier 2, accepted by Supervisors.", "tags_add": ["amends-tier-2"],
    }  # fmt: skip
    assert not any(word in str((first, second)) for word in ("Ann", "anna", "agent-7", "shouts"))


def test_a_hand_off_that_lapses_says_who_has_it_now() -> None:
    state = do(received().state, HandOver(team="supervisors", reason="Too much", by="agent-7")).state
    pending = state.hand_offs.pending
    assert pending is not None
    assert pending.accept_by is not None
    decision = handling.on_timer(state, Due("hand_off", pending.accept_by), pending.accept_by, BOOK, DESK)
    (note,) = written(decision)
    assert note.name == "note-hand-off-2"
    assert note.body["tags_add"] == ["amends-tier-2"]


def test_what_rises_before_its_words_are_there_is_noted_then_again_with_its_team() -> None:
    first = received(text="", text_status="pending_fetch").state
    data = ContactAdded(contact=contact(text="", text_status="pending_fetch", tags=("injury",)))
    risen = told(first, data, after=HOUR)
    assert [type(event) for event in risen.events if isinstance(event, Escalated | HandOffRequested)] == [Escalated]
    (note,) = written(risen)
    assert (note.body["comment"], note.body["priority"]) == ("Amends: tier 3, to be handed off.", "urgent")
    (again,) = written(told(risen.state, ContactAdded(contact=contact(text="My hand.")), after=2 * HOUR))
    assert again.name == "note-hand-off-1"


def test_a_resolution_is_told_unless_it_came_from_there() -> None:
    state = received().state
    done = on_command(state, Resolve(resolution="Ann Smith got a refund", by="agent-7"), START + HOUR, BOOK)
    assert isinstance(done, Decision)
    (note,) = written(handling.follow(state, done, None, START + HOUR, BOOK, DESK))
    assert note.body == {"record_id": "T-1001", "comment": "Amends: resolved."}
    when = START + HOUR
    said = StatusReported(source=source(), status="resolved", occurred_at=when, received_at=when, raw=raw())
    assert written(told(state, said, after=HOUR)) == []


@pytest.mark.parametrize("writable", [frozenset[str](), frozenset({"elsewhere"})])
def test_where_nobody_can_be_written_to_nothing_is_sent(writable: frozenset[str]) -> None:
    assert written(received(Desk(TEAMS, writable=writable), tags=("injury",))) == []


def test_the_record_is_the_one_that_the_complaint_began_with() -> None:
    state = received().state
    elsewhere = Source(system="email", instance="mailbox", record_id="<m2@x>", event_id="e-2")
    later = told(state, ContactAdded(contact=contact(source=elsewhere, tags=("injury",))), after=HOUR)
    (note,) = written(later)
    assert (note.to, note.body["record_id"]) == ("shop-eu", "T-1001")


def test_the_handlers_write_to_the_contact_centres_that_are_set_up() -> None:
    for writable, notes in ((frozenset({"shop-eu"}), 1), (frozenset[str](), 0)):
        handlers = Handlers(Fixed(policy("escalation")), writable=writable)
        state = told(None, ComplaintReceived(contact=contact())).state
        command = HandOver(team="tier-2", reason="Too much", by="agent-7")
        item = Input("command", UUID(int=1), command, "k", "", "command", "k")
        assert len(written(handlers.decide(state, item, START + HOUR))) == notes
