"""The inputs of a decision are those that decided it, as JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.policy.documents import NOW, facts, load

HISTORY = [
    {"category": "billing", "opened_at": NOW - timedelta(days=5)},
    {"category": "fraud", "opened_at": NOW - timedelta(days=100, microseconds=5)},
]


def inputs(condition: str, rest: str = "", **complaint: object) -> dict[str, object]:
    policy = load(f"- id: R\n  when: {json.dumps(condition)}\n  then: {{tier: 2}}", rest=rest)
    result = policy.decide(facts(**complaint))
    assert result.rules == ("R",)
    json.dumps(result.inputs)
    return result.inputs


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("complaint.severity >= 3 && complaint.customer.vulnerable",
         {"complaint.severity": 3, "complaint.customer.vulnerable": True}),
        ('"legal" in complaint.tags', {"complaint.tags": ["legal", "press"]}),
        # One true side of || is enough; it is the one that is named.
        ('complaint.severity > 4 || "legal" in complaint.tags || complaint.status == "open"',
         {"complaint.tags": ["legal", "press"]}),
        # A false side of && is enough to make its negation true.
        ('!(complaint.severity > 2 && complaint.status == "closed")', {"complaint.status": "open"}),
        ('!(complaint.severity > 4 || complaint.status == "closed")',
         {"complaint.severity": 3, "complaint.status": "open"}),
        ('(complaint.severity > 4 || complaint.customer.vulnerable) && complaint.status == "open"',
         {"complaint.customer.vulnerable": True, "complaint.status": "open"}),
        ("as_of - complaint.received_at >= hours(1)",
         {"as_of": "2026-03-02T12:00:00Z", "complaint.received_at": "2026-03-02T10:30:00Z"}),
        ("!has(complaint.channel)", {"complaint.channel": None}),
        ('complaint.customer.history.exists(h, h.category == "fraud" && h.opened_at < as_of)',
         {"complaint.customer.history[].category": ["billing", "fraud"],
          "complaint.customer.history[].opened_at": ["2026-02-25T12:00:00Z", "2025-11-22T11:59:59.999995Z"],
          "as_of": "2026-03-02T12:00:00Z"}),
        ("complaint.customer.history.size() == 2", {"complaint.customer.history.size()": 2}),
        ('complaint.customer.history.filter(h, h.category != "delivery").size() == 2',
         {"complaint.customer.history[].category": ["billing", "fraud"]}),
        ('complaint.tags.exists(t, t == "press")', {"complaint.tags": ["legal", "press"]}),
        ("true", {}),
    ],
)  # fmt: skip
def test_inputs_are_what_made_the_rule_match(condition: str, expected: dict[str, object]) -> None:
    found = inputs(condition, severity=3, tags=["legal", "press"], vulnerable=True, history=HISTORY,
                   received_at=NOW - timedelta(minutes=90))  # fmt: skip
    assert found == expected


def test_a_variable_is_shown_with_its_value_and_what_it_read() -> None:
    rest = """
    variables:
      age: as_of - complaint.received_at
      same: complaint.customer.history.filter(h, h.category == complaint.category).size()
    """
    found = inputs("variables.age > days(1) && variables.same >= 1", rest, category="billing", history=HISTORY,
                   received_at=NOW - timedelta(days=2, milliseconds=1500))  # fmt: skip
    assert found == {
        "variables.age": "172801.5s",
        "as_of": "2026-03-02T12:00:00Z",
        "complaint.received_at": "2026-02-28T11:59:58.500000Z",
        "variables.same": 1,
        "complaint.customer.history[].category": ["billing", "fraud"],
        "complaint.category": "billing",
    }


def test_without_a_match_the_inputs_are_what_all_rules_read() -> None:
    policy = load(
        """
        - {id: A, when: complaint.severity > 4, then: {tier: 2}}
        - {id: B, when: '"legal" in complaint.tags', then: {tier: 2}}
        """
    )
    assert policy.decide(facts(severity=2)).inputs == {"complaint.severity": 2, "complaint.tags": []}


def test_of_several_matched_rules_all_inputs_are_given() -> None:
    policy = load(
        """
        - {id: A, when: complaint.severity > 1, then: {tier: 2}}
        - {id: B, when: '"legal" in complaint.tags', then: {tier: 2}}
        - {id: C, when: complaint.customer.vulnerable, then: {tier: 2}}
        """
    )
    result = policy.decide(facts(severity=2, tags=["legal"]))
    assert result.inputs == {"complaint.severity": 2, "complaint.tags": ["legal"]}


def test_a_degraded_decision_shows_what_could_be_read() -> None:
    policy = load("- {id: A, when: complaint.severity > 1 && complaint.customer.vulnerable, then: {tier: 2}}")
    given = facts(severity=2)
    del given["complaint"]["customer"]["vulnerable"]
    assert policy.decide(given).inputs == {"complaint.severity": 2}
