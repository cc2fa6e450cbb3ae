"""Follow-up's plan: what the customer hears and when, over any order of events."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.followup.domain import CHECK_IN, UPDATE, FollowUpState, on_event, on_timer
from shared.contracts.complaints import ComplaintReceived, Contact, ContactAdded, ReplySent
from shared.contracts.decision import Decision, Due
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Status, StatusChanged
from shared.contracts.followups import (
    CheckInCancelled,
    CheckInDue,
    CheckInScheduled,
    TaskCreated,
    UpdateCancelled,
    UpdateDue,
    UpdateScheduled,
)
from shared.policy.document import load_policy
from tests.domain.examples import START, contact, policy

POLICY = policy("followup")
DAY = timedelta(days=1)


class Run:
    """Feeds inputs to the domain as the store would, timers included."""

    def __init__(self) -> None:
        self.state: FollowUpState | None = None
        self.timers: dict[str, datetime] = {}
        self.events: list[EventData] = []

    def take(self, decision: Decision[FollowUpState]) -> list[EventData]:
        self.state = decision.state
        for name in decision.cancel:
            self.timers.pop(name, None)
        self.timers |= {timer.name: timer.due_at for timer in decision.timers}
        self.events += decision.events
        return list(decision.events)

    def event(self, data: EventData, at: datetime = START) -> list[EventData]:
        return self.take(on_event(self.state, data, at, POLICY))

    def fire(self, name: str, late: timedelta = timedelta()) -> list[EventData]:
        due_at = self.timers.pop(name)
        return self.take(on_timer(self.state, Due(name, due_at), due_at + late, POLICY))


def changed(status: Status, at: datetime, previous: Status = "open") -> StatusChanged:
    return StatusChanged(status=status, previous=previous, by="anna", occurred_at=at)


def test_a_new_complaint_has_its_first_update_planned_by_rule() -> None:
    run = Run()
    (planned,) = run.event(ComplaintReceived(contact=contact()))
    assert isinstance(planned, UpdateScheduled)
    assert (planned.number, planned.kind, planned.due_at, planned.channel) == (
        1,
        "progress_update",
        START + 7 * DAY,
        "email",
    )
    assert planned.policy.rules == ("FUP-080",)
    assert run.timers == {UPDATE: START + 7 * DAY}


def test_business_days_of_a_policy_are_those_of_its_calendar() -> None:
    """START is Monday 2 March; the shop rests on Wednesdays."""
    week = ", ".join(f'{day}: [["09:00", "17:00"]]' for day in ("mon", "tue", "thu", "fri"))
    rules = (
        "{id: ASK, when: 'complaint.status == \"resolved\"', "
        "then: {action: satisfaction_survey, after: 2bd, again_after: 1bd, max_contacts: 2}}"
    )
    given = load_policy(
        "apiVersion: complaints.policy/v1\nkind: FollowUpPolicy\nmetadata: {id: f, version: 1, owner: o, reason: a test}\n"
        f"spec: {{language: cel-subset/1, facts: complaint-facts/4, hit_policy: FIRST, rules: [{rules}],\n"
        f"  calendar: {{zone: Europe/London, weekly: {{{week}}}}}, default: {{action: progress_update, every: 3bd}}}}",
        origin="test",
    )
    state = on_event(None, ComplaintReceived(contact=contact()), START, given).state
    assert state.update is not None
    assert state.update.due_at == START.replace(day=6, hour=17, minute=0)  # Tuesday, Thursday, Friday
    resolved = on_event(state, changed("resolved", START), START, given)
    asked = next(each for each in resolved.events if isinstance(each, CheckInScheduled))
    assert asked.due_at == START.replace(day=5, hour=17, minute=0)
    again = resolved.state.later[0]
    assert again.due_at == START.replace(day=9, hour=17, minute=0), "asked when the shop had closed, so as if on Friday"


def test_updates_go_on_news_or_no_news() -> None:
    run = Run()
    run.event(ComplaintReceived(contact=contact()))
    due, following, task = run.fire(UPDATE, late=timedelta(hours=2))
    assert isinstance(due, UpdateDue)
    assert isinstance(following, UpdateScheduled)
    assert isinstance(task, TaskCreated), "without an address a person has to reach the customer"
    assert (due.due_at, due.fired_at) == (START + 7 * DAY, START + 7 * DAY + timedelta(hours=2))
    assert following.number == 2
    assert following.due_at == due.fired_at + 7 * DAY


def test_a_reply_to_the_customer_moves_the_next_update() -> None:
    run = Run()
    run.event(ComplaintReceived(contact=contact()))
    (moved,) = run.event(ReplySent(contact=contact(3 * DAY)), START + 3 * DAY)
    assert isinstance(moved, UpdateScheduled)
    assert (moved.number, moved.due_at) == (1, START + 10 * DAY)
    assert run.timers == {UPDATE: START + 10 * DAY}


def test_the_resolution_cancels_the_update_and_plans_the_check_in() -> None:
    run = Run()
    run.event(ComplaintReceived(contact=contact()))
    cancelled, check_in = run.event(changed("resolved", START + DAY), START + DAY)
    assert isinstance(cancelled, UpdateCancelled)
    assert isinstance(check_in, CheckInScheduled)
    assert check_in.due_at == START + 6 * DAY
    assert check_in.policy.rules == ("FUP-030",)
    assert run.timers == {CHECK_IN: START + 6 * DAY}
    asked, task, again = run.fire(CHECK_IN)
    assert isinstance(asked, CheckInDue)
    assert isinstance(task, TaskCreated)
    assert isinstance(again, CheckInScheduled)
    assert (again.number, again.kind) == (2, "ask_again")
    assert run.timers == {CHECK_IN: START + 13 * DAY}


def test_closing_after_the_resolution_keeps_the_check_in() -> None:
    run = Run()
    run.event(ComplaintReceived(contact=contact()))
    run.event(changed("resolved", START + DAY), START + DAY)
    assert run.event(changed("closed", START + 2 * DAY, "resolved"), START + 2 * DAY) == []
    assert CHECK_IN in run.timers


def test_reopening_cancels_the_check_in_and_plans_updates_again() -> None:
    run = Run()
    run.event(ComplaintReceived(contact=contact()))
    run.event(changed("resolved", START + DAY), START + DAY)
    events = run.event(changed("open", START + 2 * DAY, "resolved"), START + 2 * DAY)
    assert [type(event) for event in events] == [CheckInCancelled, UpdateScheduled]
    assert set(run.timers) == {UPDATE}


def test_support_needs_in_a_later_contact_bring_the_update_forward() -> None:
    run = Run()
    run.event(ComplaintReceived(contact=contact()))
    needs = contact(DAY, customer={"support_needs": ["illness"]})
    (sooner,) = run.event(ContactAdded(contact=needs), START + DAY)
    assert isinstance(sooner, UpdateScheduled)
    assert (sooner.number, sooner.due_at) == (1, START + 4 * DAY)


def test_no_contact_wanted_means_none_planned() -> None:
    run = Run()
    assert run.event(ComplaintReceived(contact=contact(customer={"contact_preference": "none"}))) == []
    assert run.timers == {}


def test_a_resolution_that_is_read_before_the_complaint_is_not_lost() -> None:
    run = Run()
    assert run.event(changed("resolved", START), START) == []
    (check_in,) = run.event(ComplaintReceived(contact=contact()), START)
    assert isinstance(check_in, CheckInScheduled)


steps = st.lists(
    st.one_of(
        st.sampled_from(["open", "waiting", "resolved", "closed"]),
        st.sampled_from(["contact", "urgent", "reply", "no-contact", UPDATE, CHECK_IN]),
    ),
    max_size=12,
)


@given(steps)
def test_timers_are_exactly_what_the_state_has_planned_and_every_plan_is_an_event(script: list[str]) -> None:
    run = Run()
    now = START
    run.event(ComplaintReceived(contact=contact()), now)
    for step in script:
        now += DAY
        match step:
            case "contact" | "urgent" | "no-contact":
                given_contact: Contact = contact(now - START, severity=5 if step == "urgent" else 2)
                if step == "no-contact":
                    given_contact = contact(now - START, customer={"contact_preference": "none"})
                run.event(ContactAdded(contact=given_contact), now)
            case "reply":
                run.event(ReplySent(contact=contact(now - START)), now)
            case "update" | "check_in":
                if step in run.timers:
                    now = max(now, run.timers[step])
                    run.fire(step, late=now - run.timers[step])
            case status:
                run.event(changed(status, now), now)  # type: ignore[arg-type]
        assert run.state is not None
        planned = {
            name: plan.due_at
            for name, plan in ((UPDATE, run.state.update), (CHECK_IN, run.state.check_in))
            if plan is not None
        }
        assert planned == run.timers
    scheduled = [event.number for event in run.events if isinstance(event, CheckInScheduled)]
    assert scheduled == list(range(1, len(scheduled) + 1))
    ended = [event.number for event in run.events if isinstance(event, UpdateDue | UpdateCancelled)]
    assert len(ended) == len(set(ended)), "an update ends once"
