"""What a new version changes: every complaint that is shown is decided differently, and nothing is called complete wrongly."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploy.policies import app
from shared.policy.analysis.difference import difference
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from tests.policy.documents import load, text
from tests.policy.test_prove import CASES, condition

OLD = """
- {id: A, when: complaint.severity >= 4, then: {tier: 2, desks: [legal]}}
- {id: B, when: '"legal" in complaint.tags', then: {tier: 3, remedy_authority: {goodwill: 10 GBP}}}
"""
MAX = "aggregate: {tier: MAX}\n"


def told(old: Policy, new: Policy) -> list[tuple[str, str]]:
    found = difference(old, new)
    for region in found.regions:
        assert old.decide(region.facts).outcome != new.decide(region.facts).outcome
    return [(region.complaint, region.in_words()) for region in found.regions]


@pytest.mark.parametrize(
    ("change", "to", "regions"),
    [
        ("severity >= 4", "severity >= 3", {
            ("severity 3", "tier 1 -> 2, desks none -> [legal] (A instead of no rule)"),
            ("severity 3, tags [legal]", "desks none -> [legal] (A, B instead of B)"),
        }),
        ("tier: 3", "tier: 2", {
            ("tags [legal]", "tier 3 -> 2 (B)"), ("severity 4, tags [legal]", "tier 3 -> 2 (A, B)"),
        }),
        ("10 GBP", "15 GBP", {
            ("tags [legal]", "goodwill 10 GBP -> 15 GBP (B)"), ("severity 4, tags [legal]", "goodwill 10 GBP -> 15 GBP (A, B)"),
        }),
        ("desks: [legal]", "desks: [legal, safety]", {
            ("severity 4", "desks [legal] -> [legal, safety] (A)"),
            ("severity 4, tags [legal]", "desks [legal] -> [legal, safety] (A, B)"),
        }),
        ("severity >= 4", "severity > 3", set()),
    ],
)  # fmt: skip
def test_each_region_is_shown_by_a_plain_complaint(change: str, to: str, regions: set[tuple[str, str]]) -> None:
    old, new = load(OLD, rest=MAX), load(OLD.replace(change, to), rest=MAX)
    assert set(told(old, new)) == regions
    assert difference(old, new).complete


def test_the_document_is_compared_by_names() -> None:
    new = load(OLD.replace("id: B", "id: C").replace("severity >= 4", "severity >= 5"), rest=MAX)
    found = [(each.path, each.old is None, each.new is None) for each in difference(load(OLD, rest=MAX), new).changes]
    assert found == [("rules.A.when", False, False), ("rules.B", False, True), ("rules.C", True, False)]


def test_the_order_of_first_is_a_change() -> None:
    first, second = OLD.strip().splitlines()
    old, new = (load("\n".join(lines), hit_policy="FIRST") for lines in ((first, second), (second, first)))
    assert [each.path for each in difference(old, new).changes] == ["rules (order)"]
    assert [complaint for complaint, _ in told(old, new)] == ["severity 4, tags [legal]"]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 2**32 - 1))
def test_complete_means_that_no_other_complaint_changes(seed: int) -> None:
    random = Random(seed)
    conditions = [condition(random, 1) for _ in range(3)]

    def policy(first: str, second: str) -> Policy:
        rules = f"- {{id: A, when: {json.dumps(first)}, then: {{tier: 2}}}}\n- {{id: B, when: {json.dumps(second)}, then: {{tier: 3}}}}"
        return load_policy(text(rules, rest=MAX), origin="t")

    old, new = policy(*conditions[:2]), policy(conditions[0], conditions[2])
    found = difference(old, new)
    shown = {(str(region.old.outcome), str(region.new.outcome)) for region in found.regions}
    for region in found.regions:
        assert old.decide(region.facts).outcome != new.decide(region.facts).outcome
    changed = [(old.decide(case).outcome, new.decide(case).outcome) for case in CASES]
    missed = [pair for pair in changed if pair[0] != pair[1] and tuple(map(str, pair)) not in shown]
    assert not (found.complete and missed), conditions


def test_without_z3_it_looks_by_trying_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("shared.policy.analysis.solver")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    old, new = load(OLD, rest=MAX), load(OLD.replace("severity >= 4", "severity >= 3"), rest=MAX)
    found = difference(old, new)
    assert {region.complaint for region in found.regions} == {"severity 3", "severity 3, tags [legal]"}
    assert not found.complete
    assert "z3" in found.why


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(text(OLD, rest=MAX))
    (tmp_path / "new.yaml").write_text(text(OLD.replace("severity >= 4", "severity >= 3"), rest=MAX))
    command = ["diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0
    assert "rules.A.when: complaint.severity >= 4 -> complaint.severity >= 3" in shown.stdout
    assert "severity 3:\n  tier 1 -> 2, desks none -> [legal] (A instead of no rule)" in shown.stdout
    assert "all other complaints are decided as before (proved)" in shown.stdout
    found = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert found["complete"] is True
    assert found["regions"][0]["facts"]["complaint"]["severity"] == 3
    assert found["regions"][0]["new"]["outcome"]["tier"] == 2
