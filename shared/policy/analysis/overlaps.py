"""Rules that match one complaint together, although the hit policy is UNIQUE; found without a solver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from shared.policy.analysis.candidates import Assignment, Constants, assignments, constants, facts_of
from shared.policy.evaluate import Policy
from shared.policy.language.loading import Fault

_TRIES, _KEPT = 60_000, 12


@dataclass(frozen=True, slots=True)
class Overlap:
    """Both rules match the complaint of `facts`; `first` and `second` are their places in the document."""

    first: int
    second: int
    facts: dict[str, Any]


def overlaps(policy: Policy) -> Iterator[Overlap]:
    """For each rule the first earlier one that matches together with it, and a complaint for which the evaluator says so."""
    rules = policy.trees.conditions
    known = constants([*rules, *policy.trees.variables.values()])
    matching = [_matching(policy, index, known, _TRIES // len(rules)) for index in range(len(rules))]
    for second in range(1, len(rules)):
        for first in range(second):
            facts = _together(policy, first, second, matching)
            if facts is not None:
                yield Overlap(first, second, facts)
                break


def _together(policy: Policy, first: int, second: int, matching: list[list[Assignment]]) -> dict[str, Any] | None:
    for a, b in product(matching[first], matching[second]):
        if not any(path in b and b[path] != value for path, value in a.items()):
            facts = facts_of(policy, {**a, **b})
            if matched(policy, facts, (first, second)) == {first, second}:
                return facts
    return None


def _matching(policy: Policy, rule: int, known: Constants, tries: int) -> list[Assignment]:
    kept: list[Assignment] = []
    for assignment in assignments(policy, [policy.trees.conditions[rule]], known, max(200, tries)):
        if rule in matched(policy, facts_of(policy, assignment), (rule,)):
            kept.append(assignment)
            if len(kept) == _KEPT:
                break
    return kept


def matched(policy: Policy, facts: dict[str, Any], rules: tuple[int, ...]) -> set[int]:
    """Which of these rules match, whatever the hit policy."""
    found: set[int] = set()
    try:
        v = policy.rules.load(facts)
    except Fault:
        return found
    for index in rules:
        try:
            if policy.rules.rules[index].when(v):
                found.add(index)
        except Fault:
            continue
    return found
