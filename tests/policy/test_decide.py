"""What a document decides: hit policies, aggregation, defaults, and what happens when it cannot decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.policy.document import load_policy
from tests.policy.documents import NOW, facts, load, text

TIERS = """
    - {id: LOW, when: complaint.severity >= 2, then: {tier: 2, acknowledge_within: 8h}, guidance: Be kind.}
    - {id: HIGH, when: complaint.severity >= 4, then: {tier: 3, acknowledge_within: 30m, final_response_within: 10d}}
    - {id: LEGAL, when: '"legal" in complaint.tags', then: {tier: 3, final_response_within: 200h}, guidance: Be careful.}
"""
MOST = "aggregate: {tier: MAX, acknowledge_within: MIN, final_response_within: MIN}"
DEFAULT = "{tier: 1, acknowledge_within: 1d, final_response_within: 56d}"


def test_collect_aggregates_what_matches_and_takes_the_rest_from_the_default() -> None:
    policy = load(TIERS, rest=MOST, default=DEFAULT)
    both = policy.decide(facts(severity=4, tags=["legal"]))
    # 200h is 8 days and 8 hours: less than 10d.
    assert both.outcome == {"tier": 3, "acknowledge_within": "30m", "final_response_within": "200h"}
    assert both.rules == ("LOW", "HIGH", "LEGAL")
    assert both.guidance == ("Be kind.", "Be careful.")
    one = policy.decide(facts(severity=2))
    assert one.outcome == {"tier": 2, "acknowledge_within": "8h", "final_response_within": "56d"}
    assert policy.decide(facts()).outcome == {"tier": 1, "acknowledge_within": "1d", "final_response_within": "56d"}
    assert not both.degraded
    assert both.faults == ()


@pytest.mark.parametrize("hit_policy", ["COLLECT", "FIRST", "UNIQUE"])
@pytest.mark.parametrize("severity", [1, 2, 5])
def test_the_answer_without_its_explanation_is_the_same(hit_policy: str, severity: int) -> None:
    policy = load(TIERS, rest=MOST if hit_policy == "COLLECT" else "", default=DEFAULT, hit_policy=hit_policy)
    given = facts(severity=severity, tags=["legal"])
    assert policy.answer(given) == policy.decide(given).outcome


def test_the_order_of_the_rules_of_collect_cannot_change_the_outcome() -> None:
    rules = [line for line in TIERS.splitlines() if line.strip()]
    outcomes = []
    for order in permutations(rules):
        policy = load("\n".join(order), rest=MOST, default=DEFAULT)
        outcomes.append(policy.decide(facts(severity=5, tags=["legal"])).outcome)
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_default_is_no_contestant_of_the_aggregation() -> None:
    policy = load("- {id: R, when: complaint.severity > 3, then: {tier: 1, acknowledge_within: 2d}}",
                  rest=MOST, default="{tier: 2, acknowledge_within: 1h}")  # fmt: skip
    assert policy.decide(facts(severity=4)).outcome == {"tier": 1, "acknowledge_within": "2d"}


def test_remedies_are_granted_per_key_the_greatest_amount_of_any_matched_rule() -> None:
    policy = load(
        """
        - {id: A, when: complaint.severity > 1, then: {remedy_authority: {goodwill_payment: 150 GBP, refund: 20.50 GBP}}}
        - {id: B, when: complaint.severity > 2, then: {remedy_authority: {goodwill_payment: 90 GBP}}}
        - {id: C, when: complaint.severity > 3, then: {remedy_authority: {refund: {amount: 1000, currency: GBP}}}}
        """,
        default="{tier: 1, remedy_authority: {goodwill_payment: 500 GBP, voucher: 5 GBP}}",
    )
    granted = policy.decide(facts(severity=5)).outcome["remedy_authority"]
    assert granted == {"goodwill_payment": "150 GBP", "refund": "1000 GBP", "voucher": "5 GBP"}
    assert policy.decide(facts(severity=2)).outcome["remedy_authority"]["refund"] == "20.50 GBP"
    assert policy.decide(facts()).outcome["remedy_authority"] == {"goodwill_payment": "500 GBP", "voucher": "5 GBP"}


def test_first_stops_at_the_first_match() -> None:
    policy = load(TIERS, hit_policy="FIRST", default=DEFAULT)
    result = policy.decide(facts(severity=5, tags=["legal"]))
    assert result.rules == ("LOW",)
    assert result.outcome == {"tier": 2, "acknowledge_within": "8h", "final_response_within": "56d"}


def test_unique_with_two_matches_is_a_fault_not_a_choice() -> None:
    policy = load(TIERS, hit_policy="UNIQUE", default=DEFAULT)
    assert policy.decide(facts(severity=2)).rules == ("LOW",)
    result = policy.decide(facts(severity=5))
    assert result.degraded
    assert result.outcome["tier"] == 1
    assert result.faults == ("LOW and HIGH match, but the hit policy is UNIQUE",)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda f: f["complaint"].pop("severity"), "complaint.severity is missing"),
        (lambda f: f["complaint"].update(severity=None), "complaint.severity is missing"),
        (lambda f: f["complaint"].update(severity="4"), "complaint.severity must be a whole number, not str"),
        (lambda f: f["complaint"].update(severity=True), "complaint.severity must be a whole number, not bool"),
        (lambda f: f["complaint"].update(tags="legal"), "complaint.tags must be a list"),
        (lambda f: f["complaint"].update(tags=["x"] * 101), "complaint.tags has more than 100 entries"),
        (lambda f: f["complaint"].update(customer=None), "complaint.customer is missing"),
        (lambda f: f.pop("complaint"), "complaint is missing"),
        (lambda f: f.update(as_of=datetime(2026, 1, 1)), "as_of must be a time with its zone"),  # noqa: DTZ001
        (lambda f: f["complaint"]["customer"].update(history=[{"opened_at": NOW}]), "R2: an entry has no category"),
        (lambda f: f["complaint"]["customer"].update(history=[{"category": 7}]), "category must be text, not int"),
    ],
)
def test_missing_or_wrong_facts_give_the_default_marked_degraded_never_false(broken: Any, why: str) -> None:
    policy = load(
        """
        - {id: R1, when: 'complaint.severity < 9 && "x" in complaint.tags || complaint.customer.vulnerable', then: {tier: 4}}
        - {id: R2, when: '!complaint.customer.history.exists(h, h.category == "fraud")', then: {tier: 5}}
        - {id: R3, when: as_of - complaint.received_at >= days(0), then: {tier: 5}}
        """,
        rest=MOST,
        default="{tier: 2}",
    )
    given = facts(vulnerable=True)
    assert policy.decide(given).outcome == {"tier": 5}
    broken(given)
    result = policy.decide(given)
    assert result.degraded
    assert result.outcome == policy.answer(given) == {"tier": 2}
    assert result.rules == ()
    assert why in result.faults[0]


def test_an_error_while_a_rule_runs_gives_the_default_and_names_the_rule() -> None:
    policy = load("- {id: R, when: complaint.severity * 9223372036854775807 > 0, then: {tier: 5}}")
    assert policy.decide(facts(severity=1)).outcome == {"tier": 5}
    result = policy.decide(facts(severity=2))
    assert (result.degraded, result.outcome) == (True, {"tier": 1})
    assert result.faults[0].startswith("R: a whole number is out of range")


def test_facts_that_no_rule_reads_need_not_be_there() -> None:
    rest = "variables: {age: as_of - complaint.received_at}"
    policy = load("- {id: R, when: complaint.severity > 1, then: {tier: 5}}", rest=rest)
    assert policy.decide({"complaint": {"severity": 2}}).outcome == {"tier": 5}


@pytest.mark.parametrize("nothing", [{}, None, [], {"complaint": []}, {"complaint": {"severity": {}}}])
def test_a_decision_is_made_whatever_the_facts_are(nothing: Any) -> None:
    policy = load("- {id: R, when: complaint.severity > 1 && as_of > complaint.received_at, then: {tier: 5}}")
    result = policy.decide(nothing)
    assert policy.answer(nothing) == result.outcome
    assert (result.degraded, result.outcome) == (True, {"tier": 1})


def test_an_optional_fact_may_be_missing() -> None:
    rule = "- {id: R, when: has(complaint.resolved_at) && as_of - complaint.resolved_at > days(3), then: {tier: 5}}"
    policy = load(rule)
    assert policy.decide(facts()).outcome == {"tier": 1}
    assert policy.decide(facts(resolved_at=NOW - timedelta(days=4))).outcome == {"tier": 5}
    assert not policy.decide(facts()).degraded


def test_variables_see_the_ones_above_and_loops_of_one_name_do_not_disturb_each_other() -> None:
    policy = load(
        """
        - id: R
          when: complaint.customer.history.exists(h, variables.same >= 1 && h.category == "fraud")
          then: {tier: 5}
        """,
        rest="""
        variables:
          recent: complaint.customer.history.filter(h, as_of - h.opened_at < days(90))
          same: variables.recent.filter(h, h.category == complaint.category).size()
        """,
    )
    entries = [{"category": c, "opened_at": NOW - timedelta(days=d)} for c, d in [("fraud", 100), ("other", 3)]]
    assert policy.decide(facts(history=entries)).outcome == {"tier": 5}
    assert policy.decide(facts(history=entries[:1])).outcome == {"tier": 1}


def test_times_of_any_zone_are_compared_as_instants() -> None:
    policy = load("- {id: R, when: as_of - complaint.received_at >= days(1), then: {tier: 5}}")
    london = ZoneInfo("Europe/London")
    # 23 hours apart over the spring change, though the wall clocks are 24 hours apart.
    given = facts(received_at=datetime(2026, 3, 28, 12, tzinfo=london))
    given["as_of"] = datetime(2026, 3, 29, 12, tzinfo=london)
    assert policy.decide(given).outcome == {"tier": 1}
    given["as_of"] += timedelta(hours=1)
    assert policy.decide(given).outcome == {"tier": 5}


def test_a_result_can_be_changed_without_changing_the_policy() -> None:
    policy = load("- {id: R, when: complaint.severity > 1, then: {tier: 2}}",
                  default="{tier: 1, remedy_authority: {goodwill_payment: 5 GBP}}")  # fmt: skip
    first = policy.decide(facts())
    first.outcome["remedy_authority"]["goodwill_payment"] = "900 GBP"
    first.outcome["tier"] = 9
    assert policy.decide(facts()).outcome == {"tier": 1, "remedy_authority": {"goodwill_payment": "5 GBP"}}


def test_the_digest_is_of_the_content_not_of_its_layout() -> None:
    rules = "- {id: R, when: complaint.severity > 1, then: {tier: 2}}"
    policy = load(rules)
    assert policy.digest.startswith("sha256:")
    assert len(policy.digest) == 71
    again = text("# a comment\n- id: R\n  then:\n    tier: 2\n  when: complaint.severity > 1")
    assert load_policy(again, origin="elsewhere.yaml").digest == policy.digest
    assert load(rules.replace("> 1", "> 2")).digest != policy.digest
    assert (policy.id, policy.version, policy.kind, policy.service) == (
        "test.policy",
        3,
        "EscalationPolicy",
        "escalation",
    )


def test_the_zone_comes_from_the_calendar() -> None:
    rules = "- {id: R, when: complaint.severity > 1, then: {tier: 2}}"
    assert load(rules).calendar_zone == "UTC"
    assert load(rules, rest="calendar: uk-business-hours/2026a").calendar_zone == "Europe/London"
    assert load(rules, rest="calendar: Asia/Kolkata").calendar_zone == "Asia/Kolkata"


def test_a_policy_of_500_rules_loads_and_decides() -> None:
    rules = "\n".join(
        f"- {{id: R{n}, when: complaint.severity >= {n % 5 + 1}, then: {{tier: {n % 9 + 1}}}}}" for n in range(500)
    )
    policy = load(rules, rest="aggregate: {tier: MAX}")
    assert len(policy.decide(facts(severity=1)).rules) == 100
    assert policy.decide(facts(severity=5)).outcome == {"tier": 9}
    assert policy.decide({"as_of": NOW.astimezone(UTC)}).degraded
