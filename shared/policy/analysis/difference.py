"""What changed between two versions of a policy: in the document, and for complaints, with one for each changed region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.policy.analysis.candidates import assignments, constants, facts_of
from shared.policy.analysis.words import as_json, in_words, unusual
from shared.policy.evaluate import Policy, PolicyResult

AT_MOST = 50
_TRIES = 20_000
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing in the document. `path` as in `rules.ESC-010.then.tier`; None: not there."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Region:
    """Complaints whose outcome changes in one way, shown by one of them."""

    facts: Facts
    complaint: str
    old: PolicyResult
    new: PolicyResult

    def in_words(self) -> str:
        """tier 1 -> 2, final_response_within 56d -> 28d (ESC-060 instead of no rule)."""
        old, new = (dict(_flat(each.outcome)) for each in (self.old, self.new))
        names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
        changes = ", ".join(f"{name} {_value(old.get(name))} -> {_value(new.get(name))}" for name in names)
        before, after = (", ".join(each.rules) or "no rule" for each in (self.old, self.new))
        return f"{changes} ({after}{'' if before == after else f' instead of {before}'})"

    def as_json(self) -> dict[str, Any]:
        return {
            "complaint": self.complaint,
            "change": self.in_words(),
            "facts": as_json(self.facts),
            "old": {"outcome": self.old.outcome, "rules": list(self.old.rules)},
            "new": {"outcome": self.new.outcome, "rules": list(self.new.rules)},
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """`complete`: proved that every other complaint is decided as before; `why` says what stands against it."""

    changes: list[Change]
    regions: list[Region]
    complete: bool
    why: str


def difference(old: Policy, new: Policy) -> Difference:
    """Compare two documents of one kind. The solver is used where it is installed."""

    def differs(facts: Facts) -> bool:
        return old.answer(facts) != new.answer(facts)

    try:
        from shared.policy.analysis.solver.compare import differing
    except ModuleNotFoundError as missing:
        if missing.name != "z3":
            raise
        found, complete, why = _tried(old, new), False, "looked for by trying; the extra `prove` (z3) makes it complete"
    else:
        found, complete, why = differing(old, new, differs, AT_MOST)
        if not complete:
            found += _tried(old, new)
    regions: dict[tuple[str, str], Region] = {}
    for facts in found:
        region = Region(facts, in_words(new.schema, facts), old.decide(facts), new.decide(facts))
        regions.setdefault((str(region.old.outcome), str(region.new.outcome)), region)
    return Difference(list(changes(old, new)), list(regions.values())[:AT_MOST], complete, why)


def _tried(old: Policy, new: Policy) -> list[Facts]:
    """For each pair of outcomes the plainest complaint among many at the edges of the conditions."""
    nodes = [tree for policy in (old, new) for tree in (*policy.trees.conditions, *policy.trees.variables.values())]
    best: dict[tuple[str, str], tuple[int, Facts]] = {}
    for assignment in assignments(new, nodes, constants(nodes), _TRIES):
        facts = facts_of(new, assignment)
        before, after = old.answer(facts), new.answer(facts)
        if before != after:
            key, plainness = (str(before), str(after)), len(unusual(new.schema, facts))
            if key not in best or plainness < best[key][0]:
                best[key] = (plainness, facts)
    return [facts for _, facts in sorted(best.values(), key=lambda each: each[0])]


def changes(old: Policy, new: Policy) -> Iterator[Change]:
    """What is written differently, in the order of the document; rules by their ids."""
    before, after = (policy.document.spec.model_dump(exclude_none=True, by_alias=True) for policy in (old, new))
    for section in dict.fromkeys((*before, *after)):
        yield from _compared(section, *(_by_name(section, each.get(section)) for each in (before, after)))
    ids = [[rule.id for rule in policy.document.spec.rules] for policy in (old, new)]
    kept = [[each for each in mine if each in other] for mine, other in (ids, ids[::-1])]
    if kept[0] != kept[1] and new.rules.hit_policy == "FIRST":
        yield Change("rules (order)", kept[0], kept[1])


def _by_name(section: str, value: Any) -> Any:
    """Rules, invariants and tests by id or name."""
    if section not in ("rules", "invariants", "tests"):
        return value
    key = "name" if section == "tests" else "id"
    return {each[key]: each for each in value or ()}


def _compared(path: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _compared(f"{path}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield Change(path, old, new)


def _flat(outcome: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in outcome.items():
        if isinstance(value, dict):
            yield from value.items()
        else:
            yield name, value


def _value(value: Any) -> str:
    return "none" if value is None else "[" + ", ".join(value) + "]" if isinstance(value, list) else str(value)
