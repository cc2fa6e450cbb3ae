"""Proofs hold, counterexamples are real, and what is not known is said to be not known."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from shared.policy.analysis.invariants import violated
from shared.policy.analysis.solver.prove import Finding, prove
from shared.policy.commands import app
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from tests.policy.documents import NOW, facts, load, text
from tests.policy.test_defaults import DOCUMENTS

EXAMPLES = Path(__file__).parent / "examples"


def found(policy: Policy, kind: str) -> list[Finding]:
    return [each for each in prove(policy) if each.kind == kind]


def invariant(
    never: str, rules: str = "- {id: A, when: complaint.severity > 3, then: {tier: 2}}", **more: str
) -> Finding:
    rest = more.pop("rest", "")
    policy = load(rules, rest=f"invariants: [{{id: I, never: {json.dumps(never)}}}]\n{rest}", **more)
    (only,) = found(policy, "invariant")
    if only.facts is not None:
        tree = policy.trees.invariants[0]
        assert tree is not None
        assert violated(policy, tree, only.facts)
    return only


@pytest.mark.parametrize("path", [*DOCUMENTS, *EXAMPLES.glob("*.yaml")], ids=lambda path: path.stem)
def test_the_defaults_and_the_examples_are_proved(path: Path) -> None:
    policy = load_policy(path.read_text(encoding="utf-8"), origin=path.name)
    findings = list(prove(policy))
    assert [each.message for each in findings if each.result in ("refuted", "not proved")] == []
    assert len([each for each in findings if each.result == "proved"]) == len(policy.document.spec.invariants)


@pytest.mark.parametrize(
    ("never", "result"),
    [
        ("complaint.severity > 3 && outcome.tier < 2", "proved"),
        ("complaint.severity > 2 && outcome.tier < 2", "refuted"),
        ('"legal" in complaint.tags && complaint.tags.size() == 0', "proved"),
        ('"legal" in complaint.tags && "press" in complaint.tags && complaint.tags.size() < 2', "proved"),
        ('"legal" in complaint.tags && complaint.tags.size() == 7 && outcome.tier == 1', "refuted"),
        ('complaint.tags.all(t, t == "legal") && complaint.tags.exists(t, t == "press")', "proved"),
        ('complaint.tags.exists(t, t != "legal" && t != "press" && t != "regulator") && outcome.tier == 1', "refuted"),
        ('complaint.category.startsWith("bil") && complaint.category != "billing"', "proved"),
        ("as_of - complaint.received_at > days(2) && as_of - complaint.received_at < hours(49) && outcome.tier == 1", "refuted"),
        ("as_of - complaint.received_at > days(2) && as_of - complaint.received_at < hours(48)", "proved"),
        ('has(complaint.channel) && complaint.channel == "email" && !has(complaint.channel)', "proved"),
        ('!has(complaint.channel) && outcome.tier == 1', "refuted"),
        ("complaint.customer.history.filter(h, h.category == complaint.category).size() == 2 && outcome.tier == 1", "refuted"),
        ("has(complaint.amount_claimed) && complaint.amount_claimed > 99.5 && complaint.amount_claimed < 99.25", "proved"),
        ("has(complaint.amount_claimed) && complaint.amount_claimed > 99.5 && outcome.tier == 1", "refuted"),
        # True, but what holds of a list of any length is left open: it must not be called proved, and nothing is shown.
        ("complaint.customer.history.filter(h, h.category == \"fraud\").size() > complaint.customer.history.size()", "not proved"),
        ("outcome.tier == 9", "proved"),
    ],
)  # fmt: skip
def test_an_invariant_is_proved_refuted_or_neither(never: str, result: str) -> None:
    assert invariant(never).result == result


def test_a_number_that_could_overflow_is_not_covered() -> None:
    rules = "- {id: A, when: complaint.severity * 4000000000000000000 > 3, then: {tier: 2}}"
    findings = list(prove(load(rules)))
    assert [(each.kind, each.result) for each in findings] == [("not_covered", "not proved")]


def test_a_monotone_invariant_is_refuted_with_two_complaints() -> None:
    rules = "- {id: A, when: complaint.severity == 3, then: {tier: 2}}"
    policy = load(rules, rest="invariants: [{id: I, monotone: {raise: complaint.severity, never_lowers: tier}}]")
    (only,) = found(policy, "invariant")
    assert only.facts is not None
    assert only.second is not None
    assert policy.decide(only.facts).outcome["tier"] > policy.decide(only.second).outcome["tier"]
    assert only.facts["complaint"]["severity"] < only.second["complaint"]["severity"]
    policy = load(rules, rest="invariants: [{id: I, monotone: {lower: complaint.severity, never_raises: tier}}]")
    assert found(policy, "invariant")[0].result == "refuted"
    rules = "- {id: A, when: complaint.customer.vulnerable, then: {tier: 2}}"
    policy = load(
        rules, rest="invariants: [{id: I, monotone: {raise: complaint.customer.vulnerable, never_lowers: tier}}]"
    )
    assert found(policy, "invariant")[0].result == "proved"


def test_rules_that_nothing_can_reach_are_named_with_what_hides_them() -> None:
    rules = """
        - {id: A, when: complaint.severity >= 3, then: {tier: 2}}
        - {id: B, when: complaint.severity < 2, then: {tier: 3}}
        - {id: C, when: complaint.customer.vulnerable, then: {tier: 4}}
        - {id: D, when: complaint.severity > 3 || complaint.severity == 1, then: {tier: 5}}
        - {id: E, when: complaint.severity > 4 && complaint.severity < 5, then: {tier: 6}}
    """
    findings = found(load(rules, hit_policy="FIRST"), "unreachable")
    assert [each.name for each in findings] == ["D", "E"]
    assert "A or B matches first" in findings[0].message
    assert "false for every complaint" in findings[1].message
    assert [
        each.name for each in found(load(rules, hit_policy="COLLECT", rest="aggregate: {tier: MAX}"), "unreachable")
    ] == ["E"]


def test_gaps_and_overlaps_are_shown_with_a_complaint() -> None:
    rules = """
        - {id: A, when: complaint.severity >= 3 && variables.repeat >= 2, then: {tier: 2}}
        - {id: B, when: complaint.customer.vulnerable, then: {tier: 3}}
    """
    rest = "variables: {repeat: 'complaint.customer.history.filter(h, h.category == complaint.category).size()'}"
    policy = load(rules, hit_policy="UNIQUE", rest=rest)
    (overlap,) = found(policy, "overlap")
    assert overlap.facts is not None
    assert policy.decide(overlap.facts).degraded
    (gap,) = found(policy, "gap")
    assert gap.facts is not None
    assert policy.decide(gap.facts).rules == ()
    whole = "- {id: A, when: complaint.severity >= 3, then: {tier: 2}}\n- {id: B, when: complaint.severity < 3, then: {tier: 3}}"
    assert [each.kind for each in prove(load(whole, hit_policy="UNIQUE"))] == []


CONDITIONS = [
    "complaint.severity > 3", "complaint.severity == 2", "complaint.severity <= 1", "complaint.severity + 1 < 4",
    'complaint.category == "billing"', 'complaint.category in ["fraud", "safety"]', 'complaint.category.contains("sa")',
    '"legal" in complaint.tags', 'complaint.tags.exists(t, t == "press" || t == "x")', "complaint.tags.size() > 1",
    'complaint.tags.all(t, t.startsWith("l"))', 'complaint.tags.filter(t, t != "legal").size() == 0',
    "as_of - complaint.received_at > days(28)", "complaint.last_contact_at < complaint.received_at",
    "complaint.received_at + days(3) >= as_of", "complaint.customer.vulnerable", "has(complaint.channel)",
    '(has(complaint.channel) && complaint.channel != "email")', 'complaint.status == "open"',
    "complaint.customer.history.exists(h, h.category == complaint.category)", "complaint.customer.history.size() >= 2",
    'complaint.customer.history.all(h, as_of - h.opened_at < days(90) && h.category != "fraud")',
    "complaint.customer.history.filter(h, as_of - h.opened_at < days(90)).size() == 1",
    'complaint.customer.history.map(h, h.category).exists(c, c == "billing")', '["billing", "x"].exists(w, w in complaint.tags)',
    '(complaint.customer.vulnerable ? complaint.severity > 2 : complaint.category == "other")',
    'complaint.category in complaint.tags', 'complaint.wanted == ["refund"]', '"refund" in complaint.wanted',
]  # fmt: skip


def condition(random: Random, depth: int) -> str:
    if depth == 0:
        return random.choice(CONDITIONS)
    match random.randrange(4):
        case 0:
            return f"!({condition(random, depth - 1)})"
        case 1:
            return random.choice(CONDITIONS)
        case _:
            sign = random.choice([" && ", " || "])
            return "(" + sign.join(condition(random, depth - 1) for _ in range(random.randint(2, 3))) + ")"


def complaints(count: int) -> list[dict[str, Any]]:
    random = Random(11)

    def before() -> Any:
        return NOW - timedelta(days=random.choice([0, 1, 2, 3, 28, 29, 90]), seconds=random.choice([0, 0, -1, 1]))

    def one() -> dict[str, Any]:
        optional = {"channel": random.choice(["email", "chat"])} if random.random() < 0.5 else {}
        return facts(
            severity=random.randint(1, 5), category=random.choice(["billing", "fraud", "safety", "other"]), received_at=before(),
            tags=random.choices(["legal", "press", "x", "billing", "lx"], k=random.randrange(4)), last_contact_at=before(),
            status=random.choice(["open", "closed"]), vulnerable=random.random() < 0.5, wanted=random.choice([[], ["refund"], ["apology"]]),
            history=[{"category": random.choice(["billing", "fraud", "other"]), "opened_at": before()} for _ in range(random.randrange(4))],
            **optional,
        )  # fmt: skip

    return [one() for _ in range(count)]


CASES = complaints(300)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_proved_is_true_of_random_complaints_and_what_is_shown_is_real(seed: int) -> None:
    random = Random(seed)
    never = f"{condition(random, 2)} && outcome.tier {random.choice(['<', '>='])} 2"
    rules = f"- {{id: A, when: {json.dumps(condition(random, 2))}, then: {{tier: 2}}}}"
    policy = load_policy(text(rules, rest=f"invariants: [{{id: I, never: {json.dumps(never)}}}]"), origin="t")
    tree = policy.trees.invariants[0]
    assert tree is not None
    broken = [case for case in CASES if violated(policy, tree, case)]
    for each in prove(policy):
        if each.kind == "invariant":
            assert not (broken and each.result == "proved"), (never, rules, broken[0])
            assert each.facts is None or violated(policy, tree, each.facts)
        if each.kind == "unreachable" and each.result == "refuted":
            assert not any(policy.decide(case).rules for case in CASES), rules


def draft() -> str:
    """The follow-up example with the eight-week rule in the wrong place: all its tests pass, its invariant does not hold."""
    good = (EXAMPLES / "followup.yaml").read_text(encoding="utf-8")
    eight, vulnerable, default = (good.index(mark) for mark in ("    - id: FUP-025", "    - id: FUP-030", "  default:"))
    return good[:eight] + good[vulnerable:default] + good[eight:vulnerable] + good[default:]


def test_the_command_shows_the_complaint_in_words_and_as_a_test(tmp_path: Path) -> None:
    path = tmp_path / "draft.yaml"
    path.write_text(draft(), encoding="utf-8")
    assert CliRunner().invoke(app, ["test", str(path)]).exit_code == 0
    result = CliRunner().invoke(app, ["validate", str(path), "--prove", "--json"])
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert shown["valid"] is False
    assert [error["rule"] for error in shown["errors"]] == ["INV-1"]
    (proof,) = [each for each in shown["proofs"] if each["kind"] == "invariant"]
    assert proof["result"] == "refuted"
    assert "received_at 57 days before" in proof["complaint"]
    facts_file = tmp_path / "facts.json"
    facts_file.write_text(json.dumps(proof["facts"]))
    decided = json.loads(CliRunner().invoke(app, ["eval", str(path), str(facts_file), "--json"]).stdout)
    assert decided["outcome"]["action"] == "progress_update"
    # The stub is a test that the document takes as it is.
    stub = "\n".join(f"    {line}" for line in proof["test"].splitlines())
    path.write_text(draft().replace("  tests:\n", f"  tests:\n{stub}\n"), encoding="utf-8")
    tested = json.loads(CliRunner().invoke(app, ["test", str(path), "--json"]).stdout)
    assert tested["tests"][0]["passed"], tested["tests"][0]


def test_without_z3_the_command_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['z3'] = None\n"
        "from deploy.cli import run\n"
        f"sys.exit(run(['policy', 'validate', '--prove', {str(EXAMPLES / 'followup.yaml')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "extra `prove`" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_service_loads_the_solver() -> None:
    program = (
        "import sys\n"
        "import services.intake.app, services.escalation.app, services.followup.app, services.records.app\n"
        "sys.exit('z3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
