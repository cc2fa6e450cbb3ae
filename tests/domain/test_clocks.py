"""A complaint's clocks: paused, resumed, warned, met and missed; legal ones beside the service's own."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.escalation import clock_view
from services.escalation.domain import (
    Close,
    Command,
    EscalationState,
    Reopen,
    Resolve,
    Wait,
    on_event,
    on_timer,
)
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.decision import Due
from shared.contracts.escalations import (
    ClockMissed,
    ClocksMet,
    ClocksPaused,
    ClocksSet,
    ClockWarned,
    DecisionMade,
    Escalated,
    StatusChanged,
)
from tests.domain.clock_stories import DAY, HOUR, Story, book, types
from tests.domain.examples import START, contact, status


def test_a_decision_sets_own_and_legal_clocks_and_says_by_which_rules() -> None:
    decision = on_event(None, ComplaintReceived(contact=contact(severity=4)), START, book())
    made = decision.events[0]
    assert isinstance(made, DecisionMade)
    told = {(each.regime, each.clock): each for each in made.deadlines}
    assert set(told) == {
        (None, "acknowledge"), (None, "next_update"), (None, "final_response"), ("regime.test", "eight_weeks"),
    }  # fmt: skip
    assert told[None, "acknowledge"].due_at == START + 4 * HOUR
    assert told[None, "next_update"].due_at == (START + 3 * DAY).replace(hour=17, minute=30)
    assert (told[None, "final_response"].target, told[None, "final_response"].rules) == ("5d", ("BAD",))
    legal = told["regime.test", "eight_weeks"]
    assert (legal.legal, legal.pausable, legal.rules, legal.policy) == (True, False, ("ALL",), "regime.test")
    assert legal.due_at == START + 56 * DAY - HOUR, "summer time begins on the way"
    assert [each.name for each in made.clocks] == ["acknowledge", "final_response"]


def test_waiting_stops_the_own_clocks_and_the_answer_starts_them_again() -> None:
    story = Story()
    story.reply(HOUR)
    before = story.due("final_response"), story.due("regime.test/eight_weeks")
    changed, paused = story.event(status("waiting", DAY), DAY)
    assert isinstance(changed, StatusChanged)
    assert isinstance(paused, ClocksPaused)
    assert set(paused.clocks) == {"next_update", "final_response"}
    assert story.due("final_response") is None
    assert story.due("regime.test/eight_weeks") == before[1], "a legal clock runs on"
    told = story.wrote(3 * DAY)
    assert types(told) == ["StatusChanged", "ClocksResumed"]
    assert before[0] is not None
    assert story.due("final_response") == before[0] + 2 * DAY
    assert story.due("regime.test/eight_weeks") == before[1]


def test_nobody_waits_for_a_customer_who_has_written() -> None:
    # The report is older than the customer's words, and comes after them.
    story = Story()
    story.wrote(2 * HOUR)
    assert story.event(status("waiting", HOUR), 3 * HOUR) == []
    assert story.state is not None
    assert story.state.facts.status == "open"
    # The words are older than the report is known: the pause ends when they were written, not when they arrived.
    story.event(status("waiting", 4 * HOUR), 4 * HOUR)
    story.wrote(5 * HOUR, known=9 * HOUR)
    assert story.due("final_response") == 10 * DAY + HOUR
    # They were written before the waiting began, and nobody had seen them: there was nothing to wait for.
    story.event(status("waiting", 20 * HOUR), 20 * HOUR)
    story.wrote(19 * HOUR, known=30 * HOUR)
    assert story.due("final_response") == 10 * DAY + HOUR


def test_a_source_whose_clock_is_ahead_pauses_nothing_in_the_future() -> None:
    story = Story()
    told = story.event(status("waiting", 5 * DAY), HOUR)
    assert isinstance(told[1], ClocksPaused)
    assert told[1].since == START + HOUR


def test_a_reply_meets_the_acknowledgement_and_begins_the_next_update() -> None:
    story = Story()
    met, again = story.reply(HOUR)
    assert isinstance(met, ClocksMet)
    assert {(each.deadline.clock, each.late) for each in met.clocks} == {("acknowledge", False), ("next_update", False)}
    assert isinstance(again, ClocksSet)
    assert again.deadlines[0].started_at == START + HOUR
    assert types(story.reply(DAY)) == ["ClocksMet", "ClocksSet"]
    assert story.due("next_update") == 4 * DAY + 8 * HOUR
    assert story.reply(2 * HOUR, known=2 * DAY) == [], "older than one that is known: it restarts nothing"


def test_edits_that_mean_nothing_restart_nothing() -> None:
    story = Story()
    before = {each.key: each.due for each in story.state.clocks.running} if story.state else {}
    story.wrote(HOUR)
    story.event(status("open", 2 * HOUR), 2 * HOUR)
    story.wrote(DAY)
    assert story.state is not None
    assert {each.key: each.due for each in story.state.clocks.running} == before


def test_warned_then_missed_then_met_late() -> None:
    story = Story()
    told = story.until(3 * HOUR)
    assert [(type(each).__name__, each.deadline.clock) for each in told if isinstance(each, ClockWarned)] == [
        ("ClockWarned", "acknowledge")
    ]
    told = story.until(4 * HOUR)
    assert types(told) == ["ClockMissed", "Escalated"]
    assert isinstance(told[0], ClockMissed)
    assert told[0].fired_at == told[0].deadline.due_at == START + 4 * HOUR
    (met, _) = story.reply(5 * HOUR)
    assert isinstance(met, ClocksMet)
    late = {each.deadline.clock: (each.late, each.after_miss) for each in met.clocks}
    assert late == {"acknowledge": (True, True), "next_update": (False, False)}
    assert story.until(2 * DAY) == [], "once only"


def test_a_timely_reply_that_is_known_late_withdraws_the_miss() -> None:
    story = Story()
    story.until(4 * HOUR)
    met = story.reply(3 * HOUR, known=6 * HOUR)[0]
    assert isinstance(met, ClocksMet)
    assert ("acknowledge", False, True) in {(each.deadline.clock, each.late, each.after_miss) for each in met.clocks}
    assert story.clock("acknowledge").missed is None
    assert story.state is not None
    assert story.state.tiers.raise_at is None, "and nothing rises any more"


def test_after_an_outage_each_clock_fires_once_and_no_warning_follows_its_miss() -> None:
    story = Story()
    story.timer = None
    late = START + 6 * DAY
    told = on_timer(story.state, Due("clocks", START), late, story.book)
    assert [each.deadline.clock for each in told.events if isinstance(each, ClockMissed)] == ["acknowledge", "next_update"]
    assert not [each for each in told.events if isinstance(each, ClockWarned)]
    assert len([each for each in told.events if isinstance(each, Escalated)]) == 1, "one rise, however many were missed"
    again = on_timer(told.state, Due("clocks", START), late, story.book)
    assert not [each for each in again.events if isinstance(each, ClockMissed)]


def test_legal_clocks_warn_at_their_own_times() -> None:
    story = Story()
    story.do(Wait(reason="asked for the receipt", by="anna"), HOUR)
    told = [each for each in story.until(60 * DAY) if getattr(each, "deadline", None) and each.deadline.legal]  # type: ignore[attr-defined]
    assert types(told) == ["ClockWarned", "ClockWarned", "ClockMissed"]
    assert [each.fired_at - START for each in told] == [42 * DAY - HOUR, 49 * DAY - HOUR, 56 * DAY - HOUR]  # type: ignore[attr-defined]


def test_a_resolution_meets_all_and_reopening_goes_on_with_the_same_clocks() -> None:
    story = Story()
    due = story.due("final_response"), story.due("regime.test/eight_weeks")
    told = story.do(Resolve(resolution="A new kettle", by="anna"), 2 * DAY)
    assert types(told) == ["StatusChanged", "ClocksMet", "ClocksSet"]
    assert story.due("regime.test/summary") == 7 * DAY
    told = story.wrote(3 * DAY)
    assert types(told) == ["StatusChanged", "ClocksSet"]
    assert (story.due("final_response"), story.due("regime.test/eight_weeks")) == due
    assert story.clock("final_response").live
    assert story.clock("next_update").started == int((START + 3 * DAY).timestamp())
    assert "regime.test/summary" not in {each.key for each in story.state.clocks.running if story.state}  # type: ignore[union-attr]


def test_reopened_after_its_time_a_clock_that_was_met_stays_met() -> None:
    story = Story()
    story.reply(HOUR)
    story.do(Resolve(resolution="A new kettle", by="anna"), 2 * DAY)
    story.reply(2 * DAY + HOUR)
    story.do(Close(by="anna"), 3 * DAY)
    story.do(Reopen(reason="it broke again", by="anna"), 20 * DAY)
    assert story.clock("final_response").met is not None
    assert story.clock("regime.test/eight_weeks").live


def test_the_view_tells_each_clock_and_why() -> None:
    story = Story()
    story.reply(HOUR)
    story.event(status("waiting", DAY), DAY)
    story.wrote(3 * DAY)
    assert story.state is not None
    seen = clock_view.overview(story.state, START + 4 * DAY)
    states = {each["name"]: each["state"] for each in seen["clocks"]}
    assert states == {
        "acknowledge": "met", "next_update": "running", "final_response": "running", "regime.test/eight_weeks": "running",
    }  # fmt: skip
    why = clock_view.explain(story.state, "final_response", START + 4 * DAY)
    assert why is not None
    assert [(each["counted_s"] or each["to_count_s"], each["why"].split(":")[0]) for each in why["segments"]] == [
        (86_400, "calendar days"), (0, "paused"), (86_400, "calendar days"), (8 * 86_400, "calendar days"),
    ]  # fmt: skip
    assert clock_view.explain(story.state, "no_such", START) is None


# --- the same facts give the same deadlines

steps = st.lists(
    st.tuples(st.sampled_from(["reply", "wrote", "waiting", "open"]), st.integers(0, 6 * 24)), min_size=1, max_size=5
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["reply", "waiting", "open"]), min_size=2, max_size=3, unique=True), st.integers(1, 100))
def test_the_order_of_equal_time_events_does_not_matter(kinds: list[str], hour: int) -> None:
    """Except among the contact centre's own reports, whose last one counts."""
    if {"waiting", "open"} <= set(kinds):
        kinds = ["reply", "waiting"]
    found = set()
    for order in permutations([*kinds, "wrote"]):
        story = Story()
        for kind in order:
            _step(story, kind, hour * HOUR)
        assert story.state is not None
        found.add(tuple(sorted((each.key, each.due, each.met) for each in story.state.clocks.running)))
    assert len(found) == 1


@settings(deadline=None, max_examples=60)
@given(steps)
def test_no_promise_gets_worse_but_by_what_was_paused(given_steps: list[tuple[str, int]]) -> None:
    story = Story()
    legal, own = story.due("regime.test/eight_weeks"), story.due("final_response")
    for kind, hour in sorted(given_steps, key=lambda step: step[1]):
        _step(story, kind, hour * HOUR)
    assert story.due("regime.test/eight_weeks") == legal
    assert story.state is not None
    assert own is not None
    waited = sum(end - begin for begin, end in story.state.clocks.pauses if end is not None)
    assert story.due("final_response") in (None, own + timedelta(seconds=waited))
    adapter = TypeAdapter(EscalationState)
    assert adapter.validate_json(adapter.dump_json(story.state)) == story.state


def _step(story: Story, kind: str, at: timedelta) -> None:
    if kind == "reply":
        story.reply(at)
    elif kind == "wrote":
        story.wrote(at)
    else:
        story.event(status(kind, at), at)


@pytest.mark.parametrize("command", [Wait(reason="x"), Reopen(reason="x")])
def test_commands_that_do_not_fit_the_status_say_so(command: Command) -> None:
    story = Story()
    if isinstance(command, Wait):
        story.do(command, HOUR)
    assert story.refused(command, HOUR).status == 409
