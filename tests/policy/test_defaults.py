"""The documents that the project ships: valid, tested by themselves, and true to their invariants."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import services
from shared.policy.commands import PACKS
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.policy.tests_inside import coverage, run_tests
from tests.policy.documents import NOW, facts

FOLDER = Path(services.__file__).parent
# Lexicons (kind ReadingRules and the like) lie beside the policies; whoever reads them checks them.
IS_POLICY = re.compile(r"^kind: \w+Policy$", re.MULTILINE)
POLICIES = [
    path for path in sorted(FOLDER.glob("*/policy/*.yaml")) if IS_POLICY.search(path.read_text(encoding="utf-8"))
]
DOCUMENTS = [*POLICIES, *PACKS]


def shipped(path: str) -> Policy:
    return load_policy((FOLDER / path).read_text(encoding="utf-8"), origin=path)


ESCALATION = shipped("escalation/policy/escalation.retail.yaml")
FOLLOWUP = shipped("followup/policy/followup.retail.yaml")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_shipped_document_passes_its_tests_which_hit_every_rule(path: Path) -> None:
    policy = load_policy(path.read_text(encoding="utf-8"), origin=path.name)
    outcomes = run_tests(policy)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert [rule for rule, hits in coverage(policy, outcomes).items() if not hits] == []
    assert policy.warnings == ()
    assert policy.service == ("escalation" if path in PACKS else path.parent.parent.name)


def test_every_service_has_one() -> None:
    assert {path.parent.parent.name for path in DOCUMENTS if path not in PACKS} == {
        "intake",
        "escalation",
        "followup",
        "records",
    }


complaint = st.fixed_dictionaries(
    {
        "severity": st.integers(1, 5),
        "category": st.sampled_from(["billing", "fraud", "safety", "other"]),
        "tags": st.lists(st.sampled_from(["legal", "injury", "safety", "press", "x"]), max_size=3),
        "status": st.sampled_from(["open", "waiting", "resolved", "closed"]),
        "received_at": st.integers(0, 100).map(lambda days: NOW - timedelta(days=days)),
        "contact_preference": st.sampled_from(["any", "email", "none"]),
        "vulnerable": st.booleans(),
        "history": st.lists(
            st.builds(
                lambda category, days: {"category": category, "opened_at": NOW - timedelta(days=days)},
                st.sampled_from(["billing", "other"]),
                st.integers(1, 120),
            ),
            max_size=4,
        ),
    }
)


@settings(max_examples=150, deadline=None)
@given(complaint)
def test_escalation_keeps_its_invariants(given: dict[str, Any]) -> None:
    tiers = [ESCALATION.decide(facts(**{**given, "severity": severity})).outcome["tier"] for severity in range(1, 6)]
    assert tiers == sorted(tiers)
    result = ESCALATION.decide(facts(**given))
    assert not result.degraded
    assert result.outcome["tier"] >= (2 if given["vulnerable"] and given["severity"] >= 4 else 1)
    assert result.outcome["tier"] >= (3 if "injury" in given["tags"] else 1)
    assert {"acknowledge_within", "final_response_within", "remedy_authority"} <= set(result.outcome)


@settings(max_examples=150, deadline=None)
@given(complaint)
def test_followup_keeps_its_invariants(given: dict[str, Any]) -> None:
    result = FOLLOWUP.decide(facts(**given))
    outcome = result.outcome
    assert not result.degraded
    if given["contact_preference"] == "none":
        assert outcome["action"] == "none"
    elif given["status"] == "open" and NOW - given["received_at"] > timedelta(days=56):
        assert outcome["action"] == "holding_response"
    if outcome["action"] in ("progress_update", "holding_response"):
        assert outcome["every"]
    if outcome["action"] == "satisfaction_survey":
        assert outcome["after"]
        assert given["status"] == "resolved"
