"""A loaded policy and its decisions. Pure: the same facts give the same result, always."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from shared.calendar.durations import Duration
from shared.frozen import dataclass, field
from shared.policy.calendars import due_at
from shared.policy.combining import Due, Setting, combined, fresh
from shared.policy.facts import FactSchema
from shared.policy.language.loading import Compiled, Fault, Layout, Values, load_what_is_there, loader
from shared.policy.language.reads import Reads, Witness, inputs
from shared.policy.language.tree import Node
from shared.policy.outcomes import Outcome
from shared.policy.problems import Problem
from shared.policy.shape import Document

HitPolicy = Literal["UNIQUE", "FIRST", "COLLECT"]


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy decided.

    `outcome`: durations as text ("4h", "10d"), amounts as text ("500 GBP"). `rules`: ids of the rules that matched.
    `inputs`: path -> JSON value of what those rules read; if none matched, of what all rules read. `degraded`: a fact
    was missing or a rule failed, so `outcome` is the default; `faults` then says why. `facts`: what it was decided from.
    """

    outcome: dict[str, Any]
    rules: tuple[str, ...]
    guidance: tuple[str, ...]
    inputs: dict[str, Any]
    degraded: bool = False
    faults: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule. `alone` is the whole outcome if no other rule matches."""

    id: str
    when: Compiled
    witness: Witness
    settings: tuple[Setting, ...]
    alone: Mapping[str, Any]
    guidance: str | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What `decide` needs of a document, compiled."""

    hit_policy: HitPolicy
    rules: tuple[Rule, ...]
    default: Mapping[str, Any]
    layout: Layout
    reads: Reads  # of all rules together
    calendar: Mapping[str, Any]
    load: Callable[[Mapping[str, Any]], Values] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "load", loader(self.layout))

    def decide(self, facts: Mapping[str, Any]) -> PolicyResult:
        """Decide by the facts. Never raises: whatever goes wrong ends in the default, marked degraded."""
        current: Rule | None = None
        try:
            v = self.load(facts)
            matched: list[Rule] = []
            for current in self.rules:
                if current.when(v):
                    matched.append(current)
                    if self.hit_policy == "FIRST":
                        break
            if not matched:
                return PolicyResult(fresh(self.default), (), (), inputs(self.reads, v), facts=facts)
            if len(matched) == 1:
                only = matched[0]
                guidance = (only.guidance,) if only.guidance else ()
                return PolicyResult(fresh(only.alone), (only.id,), guidance, inputs(only.witness(v), v), facts=facts)
            if self.hit_policy == "UNIQUE":
                both = " and ".join(rule.id for rule in matched)
                return self._degraded(facts, f"{both} match, but the hit policy is UNIQUE")
            return PolicyResult(
                combined(self.default, [rule.settings for rule in matched], self._due(facts)),
                tuple([rule.id for rule in matched]),
                tuple([rule.guidance for rule in matched if rule.guidance]),
                inputs(dict.fromkeys([read for rule in matched for read in rule.witness(v)]), v),
                facts=facts,
            )
        except Fault as fault:
            return self._degraded(facts, f"{current.id}: {fault}" if current else str(fault))
        except Exception as error:  # a decision must be made whatever the facts hold
            return self._degraded(facts, f"{current.id if current else 'facts'}: {type(error).__name__}")

    def matched(self, facts: Mapping[str, Any]) -> tuple[int, ...] | None:
        """Which rules decide, without an explanation; None where the decision would be degraded."""
        try:
            v = self.load(facts)
            found = []
            for index, rule in enumerate(self.rules):
                if rule.when(v):
                    found.append(index)
                    if self.hit_policy == "FIRST":
                        break
        except Exception:  # as in decide
            return None
        return None if self.hit_policy == "UNIQUE" and len(found) > 1 else tuple(found)

    def answer(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outcome of `decide`, without the explanation, which is most of the work."""
        matched = self.matched(facts)
        try:
            return self.default if matched is None else self.outcome(matched, facts)
        except Exception:  # as in decide
            return self.default

    def outcome(self, matched: Sequence[int], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """What these rules decide together."""
        if len(matched) == 1:
            return self.rules[matched[0]].alone
        return combined(self.default, [self.rules[index].settings for index in matched], self._due(facts))

    @property
    def by_due(self) -> bool:
        """Whether the outcome depends on more than which rules match: on when targets of unlike units are due."""
        return any(setting.by_due for rule in self.rules for setting in rule.settings)

    def _due(self, facts: Mapping[str, Any]) -> Due:
        def due(target: Duration) -> datetime:
            start = facts["complaint"].get("received_at") or facts["as_of"]
            return due_at(self.calendar, start, target)

        return due

    def _degraded(self, facts: Mapping[str, Any], why: str) -> PolicyResult:
        seen: dict[str, Any] = {}
        if isinstance(facts, Mapping):
            v = load_what_is_there(self.layout, facts)
            seen = {path: value for path, value in inputs(self.reads, v).items() if value is not None}
        return PolicyResult(fresh(self.default), (), (), seen, degraded=True, faults=(why,), facts=facts)


@dataclass(frozen=True, slots=True)
class Trees:
    """The checked conditions of a document, for analysis. `variables` by qualified name; None for monotone invariants."""

    conditions: tuple[Node, ...]
    variables: Mapping[str, Node]
    invariants: tuple[Node | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One version of one policy document, checked and compiled. Immutable; `digest` names its exact content.

    A policy in force also says by which `activation` it is (0: packaged with the service, not yet recorded), that the
    decision comes `late` (another version was in force by then already) and that newer activations may not have arrived
    (`lag`). `beside` sees each decision; it changes nothing (shadows).
    """

    id: str
    version: int
    digest: str
    kind: str
    service: str
    calendar: Mapping[str, Any]  # {"zone", "weekly", "holidays", "country"?}
    origin: str
    document: Document
    canonical: str  # the JSON text that `digest` is of
    schema: FactSchema
    rules: Rules
    trees: Trees
    outcomes: Mapping[str, Outcome]
    warnings: tuple[Problem, ...] = ()
    activation: int = 0
    late: bool = False
    lag: bool = False
    beside: Callable[[PolicyResult], None] | None = None

    @property
    def calendar_zone(self) -> str:
        zone: str = self.calendar["zone"]
        return zone

    @property
    def approvers(self) -> int:
        """How many people it takes to put it in force."""
        rollout = self.document.spec.rollout
        return rollout.approvers if rollout else 1

    def decide(self, facts: Mapping[str, Any]) -> PolicyResult:
        """See Rules.decide. `facts` is {"as_of": aware datetime, "complaint": {...}}, by the schema of the document."""
        result = self.rules.decide(facts)
        if self.beside is not None:
            self.beside(result)
        return result

    def answer(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """See Rules.answer: for a part of a decision that is made and explained already. Nothing sees it."""
        return self.rules.answer(facts)
