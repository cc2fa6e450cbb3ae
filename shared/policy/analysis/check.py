"""What can be said about a whole document without a solver, with places in its text."""

from __future__ import annotations

from shared.policy import yaml_source
from shared.policy.analysis.overlaps import overlaps
from shared.policy.analysis.words import in_words
from shared.policy.evaluate import Policy
from shared.policy.problems import Problem


def check(policy: Policy, text: str) -> list[Problem]:
    """Errors that show only when rules are seen together: under UNIQUE two rules that match one complaint."""
    if policy.rules.hit_policy != "UNIQUE":
        return []
    root, rules = yaml_source.parse(text), policy.rules.rules
    found: list[Problem] = []
    for overlap in overlaps(policy):
        line, column = root.at(("spec", "rules", overlap.second, "when"))
        first, second = rules[overlap.first].id, rules[overlap.second].id
        message = f"{first} and {second} both match a complaint with {in_words(policy.schema, overlap.facts)}; "
        found.append(Problem(line, column, second, message + "the hit policy UNIQUE allows one rule for a complaint"))
    return found
