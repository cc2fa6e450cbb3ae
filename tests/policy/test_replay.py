"""Recorded decisions made again: the same if nothing was changed, and each difference named."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.escalation.domain import Book, on_event
from shared.contracts.codec import write_data
from shared.contracts.complaints import ComplaintReceived, PolicyCitation
from shared.policy.commands import PACKS
from shared.policy.complaint import citation
from shared.policy.document import load_policy
from shared.policy.replay import citations, differences
from tests.domain import examples
from tests.domain.examples import START, contact
from tests.policy.documents import facts

POLICY = examples.policy("escalation")
COMPLAINTS = st.fixed_dictionaries(
    {
        "severity": st.integers(1, 5),
        "category": st.sampled_from(["delivery", "fraud", "safety", "other"]),
        "tags": st.lists(st.sampled_from(["legal", "injury", "press", "safety"]), unique=True, max_size=3),
        "vulnerable": st.booleans(),
    }
)


def recorded(**complaint: Any) -> dict[str, Any]:
    """What a decision cites, as it comes back from the ledger."""
    given = facts(**complaint)
    cited = citation(POLICY, POLICY.decide(given))
    found: dict[str, Any] = orjson.loads(cited.model_dump_json(exclude_none=True))
    return found


@given(COMPLAINTS)
def test_what_was_recorded_is_decided_the_same(complaint: dict[str, Any]) -> None:
    cited = recorded(**complaint)
    assert PolicyCitation.model_validate(cited)
    assert differences(POLICY, cited) == []


def test_a_decision_that_was_made_otherwise_is_found() -> None:
    cited = recorded(severity=5)
    for name, value in (("rules", ["ESC-010"]), ("inputs", {}), ("degraded", True), ("outcome", {"tier": 1})):
        assert [each["what"] for each in differences(POLICY, cited | {name: value})] == [name]
    other = cited | {"facts": recorded(severity=1)["facts"]}
    assert {"rules", "outcome"} <= {each["what"] for each in differences(POLICY, other)}


def test_a_degraded_decision_is_replayed_as_degraded() -> None:
    given = facts(severity=3)
    del given["complaint"]["severity"]
    cited = orjson.loads(citation(POLICY, POLICY.decide(given)).model_dump_json(exclude_none=True))
    assert cited["degraded"]
    assert differences(POLICY, cited) == []


def test_citations_are_found_wherever_they_stand() -> None:
    cited = recorded(severity=1)
    data = {
        "policy": cited,
        "regimes": [{"name": "disp", "policy": cited}],
        "text": "no",
        "other": {"id": "x", "version": 1},
    }
    assert list(citations(data)) == [cited, cited]
    assert list(citations([1, None, "x"])) == []


def test_policies_that_decided_together_are_each_decided_again_from_the_facts_of_all() -> None:
    together = Book(POLICY, tuple(load_policy(each.read_text(), origin=each.name) for each in PACKS))
    decided = on_event(None, ComplaintReceived(contact=contact(severity=4, tags=("legal",))), START, together).events[0]
    data = orjson.loads(write_data(decided))
    found = list(citations(data))
    assert [each["id"] for each in found] == [POLICY.id, "uk-fca-disp", "us-cfpb"]
    assert [differences(policy, each) for policy, each in zip(together.policies, found, strict=True)] == [[], [], []]
    assert [each for each in data["regimes"] if "facts" in each] == [], "they are recorded once"
