"""A loaded policy and its decisions. Pure: the same facts give the same result, always."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.policy.facts import FactSchema
from shared.policy.language.loading import Fault, Layout, Values, load_what_is_there, loader
from shared.policy.language.reads import Reads, Witness, inputs
from shared.policy.outcomes import Aggregation, Outcome, money
from shared.policy.problems import Problem
from shared.policy.shape import Document

HitPolicy = Literal["UNIQUE", "FIRST", "COLLECT"]


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy decided.

    `outcome`: durations as text ("4h", "10d"), amounts as text ("500 GBP"). `rules`: ids of the rules that matched.
    `inputs`: path -> JSON value of what those rules read; if none matched, of what all rules read. `degraded`: a fact
    was missing or a rule failed, so `outcome` is the default; `faults` then says why.
    """

    outcome: dict[str, Any]
    rules: tuple[str, ...]
    guidance: tuple[str, ...]
    inputs: dict[str, Any]
    degraded: bool = False
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule. `outcome` is canonical; `ranks` holds what MAX and MIN compare, for what is aggregated."""

    id: str
    when: Callable[[Values], Any]
    witness: Witness
    outcome: Mapping[str, Any]
    ranks: Mapping[str, Any]
    guidance: str | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What `decide` needs of a document, compiled."""

    hit_policy: HitPolicy
    aggregate: Mapping[str, Aggregation]
    rules: tuple[Rule, ...]
    default: Mapping[str, Any]
    layout: Layout
    reads: Reads  # of all rules together
    load: Callable[[Mapping[str, Any]], Values] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "load", loader(self.layout))

    def decide(self, facts: Mapping[str, Any]) -> PolicyResult:
        """Decide by the facts. Never raises: whatever goes wrong ends in the default, marked degraded."""
        rule_id = ""
        try:
            v = self.load(facts)
            matched: list[Rule] = []
            for rule in self.rules:
                rule_id = rule.id
                if rule.when(v):
                    matched.append(rule)
                    if self.hit_policy == "FIRST":
                        break
            if len(matched) > 1 and self.hit_policy == "UNIQUE":
                both = " and ".join(rule.id for rule in matched)
                return self._degraded(facts, f"{both} match, but the hit policy is UNIQUE")
            if not matched:
                return PolicyResult(_fresh(self.default), (), (), inputs(self.reads, v))
            return PolicyResult(
                self._combine(matched),
                tuple([rule.id for rule in matched]),
                tuple([rule.guidance for rule in matched if rule.guidance]),
                _inputs_of(matched, v),
            )
        except Fault as fault:
            return self._degraded(facts, f"{rule_id}: {fault}" if rule_id else str(fault))
        except Exception as error:  # a decision must be made whatever the facts hold
            return self._degraded(facts, f"{rule_id or 'facts'}: {type(error).__name__}")

    def _combine(self, matched: Sequence[Rule]) -> dict[str, Any]:
        """The outcomes of the matched rules, aggregated; what none of them sets is taken from the default."""
        outcome = _fresh(self.default)
        best: dict[str, Any] = {}
        for rule in matched:
            for name, value in rule.outcome.items():
                if name in rule.ranks:
                    rank = rule.ranks[name]
                    if name in best and not (rank > best[name] if self.aggregate[name] == "MAX" else rank < best[name]):
                        continue
                    best[name] = rank
                elif isinstance(value, dict):
                    value = _most(outcome.get(name, {}), value, best, name)
                outcome[name] = value
        return outcome

    def _degraded(self, facts: Mapping[str, Any], why: str) -> PolicyResult:
        seen: dict[str, Any] = {}
        if isinstance(facts, Mapping):
            v = load_what_is_there(self.layout, facts)
            seen = {path: value for path, value in inputs(self.reads, v).items() if value is not None}
        return PolicyResult(_fresh(self.default), (), (), seen, degraded=True, faults=(why,))


def _fresh(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that the caller may change without changing the policy."""
    return {name: value.copy() if isinstance(value, (dict, list)) else value for name, value in outcome.items()}


def _most(so_far: dict[str, str], amounts: dict[str, str], best: dict[str, Any], name: str) -> dict[str, str]:
    """Amounts per remedy: the greatest that a matched rule grants, else the default's."""
    merged = dict(so_far)
    for remedy, text in amounts.items():
        key, amount = f"{name}.{remedy}", money(text).amount
        if key not in best or amount > best[key]:
            best[key] = amount
            merged[remedy] = text
    return merged


def _inputs_of(matched: Sequence[Rule], v: Values) -> dict[str, Any]:
    if len(matched) == 1:
        return inputs(matched[0].witness(v), v)
    return inputs(dict.fromkeys(read for rule in matched for read in rule.witness(v)), v)


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One version of one policy document, checked and compiled. Immutable; `digest` names its exact content."""

    id: str
    version: int
    digest: str
    kind: str
    service: str
    calendar: str
    calendar_zone: str
    origin: str
    document: Document
    canonical: str  # the JSON text that `digest` is of
    schema: FactSchema
    rules: Rules
    outcomes: Mapping[str, Outcome]
    warnings: tuple[Problem, ...] = ()

    def decide(self, facts: Mapping[str, Any]) -> PolicyResult:
        """See Rules.decide. `facts` is {"as_of": aware datetime, "complaint": {...}}, by the schema of the document."""
        return self.rules.decide(facts)
