"""Recorded decisions: found in events, and made again from what they cite. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from shared.policy.evaluate import Policy, PolicyResult
from shared.policy.facts_json import read_facts

Citation = Mapping[str, Any]
_MARKS = frozenset(("id", "version", "digest", "rules", "inputs"))


def citations(data: Any) -> Iterator[Citation]:
    """Every citation of a policy in the data of an event, wherever it stands, with the facts that it was decided from."""
    facts = None
    for found in _citations(data, 4):
        if found.get("facts") is None and facts is not None:  # decided together with the one before
            found = {**found, "facts": facts}
        facts = found.get("facts")
        yield found


def _citations(data: Any, depth: int) -> Iterator[Citation]:
    if isinstance(data, Mapping):
        if data.keys() >= _MARKS:
            yield data
            return
        data = list(data.values())
    if isinstance(data, list) and depth:
        for each in data:
            if isinstance(each, Mapping | list):
                yield from _citations(each, depth - 1)


def again(policy: Policy, citation: Citation) -> PolicyResult:
    """What the cited version decides from the recorded facts."""
    facts, _ = read_facts(policy.schema, citation["facts"])
    return policy.rules.decide(facts)


def differences(policy: Policy, citation: Citation) -> list[dict[str, Any]]:
    """What is not as recorded: the rules, the inputs, the outcome, whether the default had to be taken. [] if all is."""
    result = again(policy, citation)
    made: dict[str, Any] = {"rules": list(result.rules), "inputs": result.inputs, "degraded": result.degraded}
    if citation.get("outcome") is not None:
        made["outcome"] = result.outcome
    made = orjson.loads(orjson.dumps(made))  # as it would be recorded
    recorded = {name: citation.get(name, False if name == "degraded" else None) for name in made}
    return [
        {"what": name, "recorded": recorded[name], "replayed": made[name]}
        for name in made
        if recorded[name] != made[name]
    ]
