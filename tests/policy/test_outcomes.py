"""What documents may decide: clocks and remedies of the catalogue, business time, words, and how they are combined."""

from __future__ import annotations

from datetime import datetime

import pytest

from shared.policy.tests_inside import run_tests
from tests.policy.documents import facts, load, marked, problems, text

CATALOGUE = """
calendar: uk-business-hours/2026a
clocks:
  final_response_legal: {title: Final response, legal: true, law: DISP 1.6.2R, warn_before: [7d]}
  callback: {title: Call back, pausable: true}
remedies:
  goodwill_payment: {title: Goodwill, kind: payment, immediate: true, limit: 500 GBP, per_complaint: 750 GBP,
                     per_customer: {amount: 1000 GBP, window: 365d}}
"""
RULES = """
- {id: A, when: complaint.severity > 1, then: {clocks: {final_response_legal: 8w, callback: 8h}, desks: [legal]}}
- {id: B, when: complaint.severity > 2, then: {clocks: {final_response_legal: 15d}, desks: [safety, legal]}}
- {id: C, when: complaint.severity > 3, then: {remedy_authority: {goodwill_payment: 500 GBP}}}
"""


def test_the_soonest_of_each_clock_wins_and_words_are_put_together() -> None:
    policy = load(RULES, rest=CATALOGUE)
    assert policy.decide(facts(severity=1)).outcome == {"tier": 1}
    assert policy.decide(facts(severity=2)).outcome == {
        "tier": 1, "clocks": {"final_response_legal": "56d", "callback": "8h"}, "desks": ["legal"],
    }  # fmt: skip
    assert policy.decide(facts(severity=3)).outcome == {
        "tier": 1, "clocks": {"final_response_legal": "15d", "callback": "8h"}, "desks": ["legal", "safety"],
    }  # fmt: skip
    assert policy.document.spec.clocks["final_response_legal"].legal
    assert policy.document.spec.remedies["goodwill_payment"].limit == "500 GBP"


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        ("callback: 8h", "‸calback: 8h", "spec.clocks has no 'calback'; did you mean 'callback'?"),
        ("goodwill_payment: 500 GBP}}", "‸godwill_payment: 500 GBP}}", "spec.remedies has no 'godwill_payment'; did you mean"),
        ("goodwill_payment: 500 GBP}}", "‸goodwill_payment: 501 GBP}}", "501 GBP is more than the limit of goodwill_payment"),
        ("goodwill_payment: 500 GBP}}", "‸goodwill_payment: 5 EUR}}", "in EUR here, but its limit is in GBP"),
        ("legal: true, law", "legal: true, ‸pausable: true, law", "a legal clock: it runs on"),
        ("limit: 500 GBP", "‸limit: 800 GBP", "may not exceed what one complaint may get"),
        ("window: 365d", "‸window: a year", "is not a duration such as"),
        ("kind: payment", "‸kind: paiment", "did you mean 'payment'?"),
        ("clocks: {final_response_legal: 8w, callback: 8h}", "‸clocks: {callback: 8 hours}", "is not a duration"),
        ("calendar: uk-business-hours/2026a", "calendar: {‸zon: Europe/London}", "did you mean 'zone'?"),
        ("calendar: uk-business-hours/2026a", "calendar: {‸zone: Europe/Londn}", "is not a time zone"),
        ("calendar: uk-business-hours/2026a", "calendar: {zone: UTC, weekly: {‸monday: []}}", "is not a day"),
        ("calendar: uk-business-hours/2026a", 'calendar: {zone: UTC, weekly: {mon: [‸["9:00", "17:00"]]}}', "two times in quotes"),
        ("calendar: uk-business-hours/2026a", "calendar: {zone: UTC, holidays: [‸2026-13-01]}", "is not a date"),
        ("calendar: uk-business-hours/2026a", "calendar: {zone: UTC, ‸country: England}", "is not a country"),
    ],
)  # fmt: skip
def test_clocks_remedies_and_calendars_are_checked(change: str, to: str, message: str) -> None:
    good = text(RULES, rest=CATALOGUE)
    assert problems(good) == ()
    assert change in good
    plain, line, column = marked(good.replace(change, to, 1))
    found = problems(plain)
    assert message in found[0].message
    assert (found[0].line, found[0].column) == (line, column)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("{tier_3_shrae: +2pp}", "did you mean 'tier_3_share'?"),
        ("{redress_cost: lots}", "is written as +5%"),
        ("{changed_open_promises_worse: +2pp}", "is written as 0"),
        ("{tier_3_share: +2pp, redress_cost: +5%, changed_open_promises_worse: 0, tier_2_peak: 10%}", ""),
    ],
)
def test_a_guardrail_that_nobody_can_check_is_refused(limits: str, message: str) -> None:
    rule = "- {id: A, when: complaint.severity > 1, then: {tier: 2}}"
    found = problems(text(rule, rest=f"guardrails: {{window: 90d, limits: {limits}}}"))
    assert [message in each.message for each in found] == ([True] if message else [])


def test_what_was_added_to_the_facts_later_may_be_missing_from_old_ones() -> None:
    policy = load(
        "- {id: A, when: 'complaint.missed_clocks.size() > 0 || \"refund\" in complaint.wanted', then: {tier: 2}}"
    )
    assert policy.decide(facts()).rules == ()
    assert not policy.decide(facts()).degraded
    assert policy.decide(facts(missed_clocks=["acknowledge"])).rules == ("A",)


UNLIKE = """
- {id: A, when: complaint.severity > 1, then: {acknowledge_within: 30h, clocks: {callback: 5bd}}}
- {id: B, when: complaint.severity > 2, then: {acknowledge_within: 1bd, clocks: {callback: 6d}}}
"""


@pytest.mark.parametrize(
    ("received_at", "acknowledge", "callback"),
    [
        # Monday noon: 30 h end on Tuesday at 18:00, the business day ends there at 17:30; 5bd are next Monday, 6d Sunday.
        ("2026-03-02T12:00:00+00:00", "1bd", "6d"),
        # Friday noon: 30 h end on Saturday, the next business day is Monday. 5bd are Friday 17:30, 6d Thursday.
        ("2026-03-06T12:00:00+00:00", "30h", "6d"),
        # Sunday: day 0 is Monday, so 1bd is Tuesday evening. 30 h end on Monday.
        ("2026-03-01T12:00:00+00:00", "30h", "6d"),
    ],
)
def test_unlike_units_compare_by_when_they_are_due(received_at: str, acknowledge: str, callback: str) -> None:
    policy = load(UNLIKE, rest=f"{CATALOGUE}\naggregate: {{acknowledge_within: MIN}}")
    outcome = policy.decide(facts(severity=3, received_at=datetime.fromisoformat(received_at))).outcome
    assert (outcome["acknowledge_within"], outcome["clocks"]["callback"]) == (acknowledge, callback)


def test_a_test_of_a_document_can_name_the_date() -> None:
    test = (
        "tests: [{name: t, given: {complaint: {severity: 2, received_at: 2026-04-02T10:00:00Z}}, expect: {due: {%s}}}]"
    )
    rest = f"{CATALOGUE}\naggregate: {{acknowledge_within: MIN}}\n"
    right = load(UNLIKE, rest=rest + test % 'callback: "2026-04-13T17:30:00+01:00"')  # over Easter
    assert [outcome.passed for outcome in run_tests(right)] == [True]
    wrong = load(UNLIKE, rest=rest + test % "callback: 2026-04-13T17:30:00Z")
    differences = [("due.callback", "2026-04-13T17:30:00Z", "2026-04-13T16:30:00Z")]
    assert [list(outcome.differences) for outcome in run_tests(wrong)] == [differences]
    found = problems(text(UNLIKE, rest=rest + test % "calback: tomorrow"))
    assert "did you mean 'callback'?" in found[0].message
