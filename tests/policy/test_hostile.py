"""Documents that mean harm, or only look right: each ends in an error or a warning at its place, soon."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from shared.policy.analysis.check import check
from shared.policy.commands import app
from shared.policy.document import load_policy
from shared.policy.tests_inside import run_tests
from tests.policy.documents import problems, text

RULE = "- {id: A, when: '%s', then: {tier: 2}}"
DOUBLING = "variables: {a: '\"x\" + \"x\"', " + ", ".join(
    f"v{i}: variables.{'a' if i == 1 else f'v{i - 1}'} + variables.{'a' if i == 1 else f'v{i - 1}'}" for i in range(1, 60)
) + "}"  # fmt: skip
LISTS = "variables: {a: 'complaint.customer.history.map(h, complaint.tags)', z: 'variables.a.map(x, variables.a)'}"


@pytest.mark.parametrize(
    ("condition", "rest", "message"),
    [
        ('variables.v59 == ""', DOUBLING, "a text of more than 100000 characters"),
        ("variables.z == variables.z", LISTS, "steps a decision"),
        ("as_of - complaint.received_at > days(999999999)", "", "this always fails: a duration is out of range"),
        ('complaint.status == (complaint.severity > 3 ? "opne" : "open")', "", "did you mean 'open'?"),
        ('variables.c == "biling"', "variables: {c: complaint.category}", "did you mean 'billing'?"),
        ('"biling" in complaint.customer.history.map(h, h.category)', "", "did you mean 'billing'?"),
        ('complaint.customer.history.map(h, h.category).exists(c, c == "biling")', "", "did you mean 'billing'?"),
        ("complaint.severity > 99999999999999999999", "", "whole numbers have 64 bits"),
    ],
)  # fmt: skip
def test_what_would_cost_too_much_or_never_hold_is_refused(condition: str, rest: str, message: str) -> None:
    found = problems(text(RULE % condition, rest=rest))
    assert message in " ".join(each.message for each in found)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("complaint.severity > 5", "severity is 1 to 5, so this is never true"),
        ("complaint.severity >= 1", "severity is 1 to 5, so this is always true"),
        ("complaint.severity != 9", "always true"),
        ('complaint.category.startsWith("bik")', "no value of category"),
    ],
)
def test_what_is_the_same_for_every_complaint_is_a_warning(condition: str, message: str) -> None:
    warnings = load_policy(text(RULE % condition), origin="t").warnings
    assert [message in each.message for each in warnings] == [True]


def test_one_fault_in_a_variable_is_one_message() -> None:
    rest = "variables: {a: complaint.sevrity, b: variables.a + 1}"
    found = problems(text(RULE % "variables.b > variables.a", rest=rest))
    assert [each.rule for each in found] == ["variables.a"]


OVERLAPPING = """
- {id: A, when: complaint.severity > 3 && complaint.category == "billing", then: {tier: 2}}
- {id: B, when: '"legal" in complaint.tags', then: {tier: 3}}
- {id: C, when: complaint.severity < 3 && !("legal" in complaint.tags), then: {tier: 4}}
"""


def test_rules_of_unique_that_match_together_are_shown_with_a_complaint(tmp_path: Path) -> None:
    path = tmp_path / "unique.yaml"
    path.write_text(text(OVERLAPPING, hit_policy="UNIQUE"))
    result = CliRunner().invoke(app, ["validate", str(path), "--json"])
    assert result.exit_code == 1
    errors = json.loads(result.stdout)["errors"]
    assert [(each["line"], each["rule"]) for each in errors] == [(10, "B")]
    assert errors[0]["message"].startswith(
        "A and B both match a complaint with severity 4, category billing, tags [legal]"
    )
    apart = OVERLAPPING.replace(
        """'"legal" in complaint.tags'""", """'"legal" in complaint.tags && complaint.severity == 3'"""
    )
    path.write_text(text(apart, hit_policy="UNIQUE"))
    assert CliRunner().invoke(app, ["validate", str(path)]).exit_code == 0


SEEDS = [path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "examples").glob("*.yaml")]
PIECES = [
    "\n", " ", "  ", ":", "- ", "{", "}", "[", "]", "'", '"', "&a ", "*a", "!x ", "|", ">", "\t", "#", "null", "-1", "0x1",
    "1e9", "~", "when:", "then:", "tier:", "complaint.", "&&", "||", "(", ")", ".exists(x, ", "days(", "has(", "é", "\u2028",
    "9" * 30, "%", "@", "---\n", "...\n",
]  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 2**32 - 1))
def test_a_document_with_slips_is_refused_or_loads_and_never_fails_otherwise(seed: int) -> None:
    random = Random(seed)
    document = random.choice(SEEDS)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(document))
        match random.randrange(4):
            case 0:
                document = document[:at] + random.choice(PIECES) + document[at:]
            case 1:
                document = document[:at] + document[at + random.randint(1, 12) :]
            case 2:
                document = document[:at] + random.choice(PIECES) + document[at + random.randint(1, 6) :]
            case _:
                to = random.randrange(len(document))
                document = document[:to] + document[at : at + random.randint(1, 40)] + document[to:]
    found = problems(document)
    if found:
        lines = document.count("\n") + 1
        assert all(1 <= each.line <= lines + 1 and each.column >= 1 and each.message for each in found)
        return
    policy = load_policy(document, origin="t")
    for outcome in run_tests(policy):
        assert outcome.name
    assert check(policy, document) == [] or policy.rules.hit_policy == "UNIQUE"
