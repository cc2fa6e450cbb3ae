"""What lifts a complaint: missed clocks, broken promises, people, rules; up to the top, then an alarm."""

from __future__ import annotations

from services.escalation.domain import (
    Book,
    Escalate,
    Resolve,
)
from shared.contracts.complaints import ContactAdded
from shared.contracts.escalations import (
    AlarmRaised,
    ClockMissed,
    ClockWarned,
    Escalated,
)
from shared.contracts.followups import PromiseBroken
from tests.domain.clock_stories import DAY, HOUR, OWN, Story, policy, types
from tests.domain.examples import START, contact


def test_what_is_missed_rises_to_the_top_and_then_the_alarm_sounds_once() -> None:
    story = Story()
    told = story.until(40 * DAY)
    rises = [each for each in told if isinstance(each, Escalated)]
    assert [(each.previous_tier, each.tier, each.cause) for each in rises] == [(1, 2, "missed_clock"), (2, 3, "missed_clock")]
    assert rises[1].at == START + 27.5 * HOUR, "eight business hours later"
    alarms = [each for each in told if isinstance(each, AlarmRaised)]
    assert len(alarms) <= 3, "one for each clock that is missed, and no storm"
    assert alarms[0].tier == 3


def test_a_broken_promise_and_a_person_raise_it() -> None:
    story = Story()
    broken = PromiseBroken(promise="P-1", what="call back", owner="anna", due_at=START, broken_at=START + HOUR)
    (raised,) = story.event(broken, HOUR)
    assert isinstance(raised, Escalated)
    assert (raised.tier, raised.cause, raised.detail) == (2, "broken_promise", "P-1, other")
    (raised,) = story.do(Escalate(reason="threatens to sue", desk="legal", by="anna"), 2 * HOUR)
    assert isinstance(raised, Escalated)
    assert (raised.tier, raised.added_desks, raised.by) == (2, ("legal",), "anna")
    assert story.refused(Escalate(reason="again", desk="legal"), 3 * HOUR).title == "There already"
    assert story.refused(Escalate(reason="more", tier=9), 3 * HOUR).title == "No such tier"
    assert story.refused(Escalate(reason="less", tier=1), 3 * HOUR).title == "Not higher"
    story.do(Escalate(reason="the manager", by="anna"), 4 * HOUR)
    (alarm,) = story.do(Escalate(reason="higher still", by="anna"), 5 * HOUR)
    assert isinstance(alarm, AlarmRaised)
    story.do(Resolve(resolution="settled", by="anna"), 6 * HOUR)
    assert story.event(broken, 7 * HOUR) == [], "what is resolved does not rise"


def test_a_rule_that_puts_it_higher_is_told_as_an_escalation() -> None:
    story = Story()
    told = story.event(ContactAdded(contact=contact(HOUR, severity=5, tags=("legal",))), HOUR)
    assert types(told) == ["DecisionMade", "Escalated"]
    assert isinstance(told[1], Escalated)
    assert (told[1].previous_tier, told[1].tier, told[1].added_desks, told[1].detail) == (1, 2, ("legal",), "BAD, LAW")
    assert [each.clock for each in told[0].deadlines] == ["final_response"]  # type: ignore[attr-defined]
    assert [each.text for each in story.clock("final_response").targets] == ["5d"], "ten days can no longer bind"


def test_a_policy_that_raises_nothing_raises_nothing() -> None:
    quiet = OWN.replace("raise_every: 8bh}", "raise_on: []}")
    story = Story(Book(policy(quiet)))
    assert {type(each) for each in story.until(40 * DAY)} == {ClockWarned, ClockMissed}
