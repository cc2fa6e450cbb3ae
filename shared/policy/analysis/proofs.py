"""Runs the solver over a document, where it is installed, and tells what it found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.cli import WrongUse
from shared.policy import yaml_source
from shared.policy.analysis.words import as_json, as_test, in_words
from shared.policy.evaluate import Policy
from shared.policy.problems import Problem

if TYPE_CHECKING:
    from shared.policy.analysis.solver.prove import Finding

MISSING = "z3 is not installed: it comes with the extra `prove`, as in: pip install 'amends[prove]'"


@dataclass(frozen=True, slots=True)
class Proof:
    """A finding with its place in the file. `complaint` is in plain words, `test` a test of the document (YAML)."""

    finding: Finding
    problem: Problem
    complaint: str | None
    test: str | None

    @property
    def is_error(self) -> bool:
        return self.finding.result == "refuted"

    @property
    def is_warning(self) -> bool:
        return self.finding.result in ("not proved", "found")

    def as_json(self) -> dict[str, Any]:
        found = self.finding
        return {
            "kind": found.kind,
            "name": found.name,
            "line": self.problem.line,
            "column": self.problem.column,
            "result": found.result,
            "message": found.message,
            "complaint": self.complaint,
            "facts": None if found.facts is None else as_json(found.facts),
            "and_then": None if found.second is None else as_json(found.second),
            "test": self.test,
        }


def proofs(policy: Policy, text: str) -> tuple[list[Proof], tuple[str, ...]]:
    """What the solver says of the document, and what that assumes. Raises WrongUse where z3 is not installed."""
    try:
        from shared.policy.analysis.solver import ASSUMPTIONS
        from shared.policy.analysis.solver.prove import prove
    except ModuleNotFoundError as missing:
        if missing.name != "z3":
            raise
        raise WrongUse(MISSING) from None
    root = yaml_source.parse(text)
    return [_proof(policy, root, finding) for finding in prove(policy)], ASSUMPTIONS


def _proof(policy: Policy, root: yaml_source.Node, finding: Finding) -> Proof:
    line, column = root.at(finding.place)
    complaint = test = None
    if finding.facts is not None:
        complaint = told(policy, finding.facts, finding.second)
        shown = finding.second or finding.facts
        test = as_test(policy.schema, shown, f"{finding.name}: {finding.kind}", _decided(policy, shown))
    message = finding.message if complaint is None else f"{finding.message}: {complaint}"
    return Proof(finding, Problem(line, column, finding.name, message), complaint, test)


def told(policy: Policy, facts: dict[str, Any], second: dict[str, Any] | None = None) -> str:
    """The complaint and what is decided for it: "severity 5, tags [legal] -> tier 1 (no rule)"."""
    first = f"{in_words(policy.schema, facts)} -> {_short(policy, facts)}"
    return first if second is None else f"{first}, but {in_words(policy.schema, second)} -> {_short(policy, second)}"


def _short(policy: Policy, facts: dict[str, Any]) -> str:
    result = policy.decide(facts)
    outcome = ", ".join(f"{name} {value}" for name, value in _told_outcome(result.outcome))
    return f"{outcome} ({', '.join(result.rules) or 'no rule'})"


def _told_outcome(outcome: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in outcome.items():
        if isinstance(value, dict):
            yield from ((key, each) for key, each in value.items())
        else:
            yield name, ", ".join(value) if isinstance(value, list) else str(value)


def _decided(policy: Policy, facts: dict[str, Any]) -> str:
    result = policy.decide(facts)
    parts = [f"{name}: {_flow(value)}" for name, value in result.outcome.items()]
    parts.append(f"rules: {_flow(list(result.rules))}")
    return "{" + ", ".join(parts) + "}  # as decided now: write what should be decided"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
