"""From the text of a policy document to a Policy that decides: form, meaning, conditions, in that order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.policy import evaluate, yaml_source
from shared.policy.calendars import CalendarRefused, read_calendar
from shared.policy.combining import alone, settings_of
from shared.policy.facts import FactSchema
from shared.policy.kinds import KINDS
from shared.policy.language import review
from shared.policy.language.admit import admit
from shared.policy.language.closures import compile_expression
from shared.policy.language.cost import MAX_STEPS, Bound, TooCostly, bound
from shared.policy.language.frontend import ConditionRefused, Scope, scope
from shared.policy.language.loading import Layout
from shared.policy.language.reads import Read, Recorder
from shared.policy.language.tree import Node as Tree
from shared.policy.language.tree import Type, Variable, walk
from shared.policy.outcome_checks import check_guardrails, check_outcomes, read_outcomes, unknown_outcome
from shared.policy.outcomes import Kind
from shared.policy.problems import PolicyRefused, Problem, did_you_mean
from shared.policy.schemas import schema, versions
from shared.policy.shape import Document, Monotone, entry_id, read_shape
from shared.policy.tests_inside import check_test

Path = tuple[int | str, ...]
Fault = tuple[Path, str]


def load_policy(text: str, *, origin: str) -> evaluate.Policy:
    """Check and compile a document. `origin` names it in messages (a file's name).

    Raises PolicyRefused with every problem that was found.
    """
    try:
        root = yaml_source.parse(text)
    except yaml_source.YamlRefused as refused:
        raise PolicyRefused([refused.problem], origin=origin, text=text) from None
    document, problems = read_shape(root)
    if document is None:
        raise PolicyRefused(problems, origin=origin, text=text)
    loading = _Loading(text, root, document)
    rules = loading.rules()
    if loading.problems or rules is None:
        raise PolicyRefused(loading.problems, origin=origin, text=text)
    canonical = json.dumps(root.plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return evaluate.Policy(
        id=document.metadata.id,
        version=document.metadata.version,
        digest="sha256:" + hashlib.sha256(canonical.encode()).hexdigest(),
        kind=document.kind,
        service=loading.kind.service,
        calendar=rules.calendar,
        origin=origin,
        document=document,
        canonical=canonical,
        schema=loading.facts,
        rules=rules,
        trees=loading.trees,
        outcomes=loading.kind.outcomes,
        warnings=tuple(sorted(loading.warnings, key=lambda p: (p.line, p.column))),
    )


class _Loading:
    """The checks of one document's meaning. Collects problems instead of stopping at the first."""

    def __init__(self, text: str, root: yaml_source.Node, document: Document) -> None:
        self._text, self._root, self._document, self._spec = text, root, document, document.spec
        self.kind: Kind = KINDS[document.kind]
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.facts: FactSchema = schema(self.kind.service, versions(self.kind.service)[-1])
        self.calendar: dict[str, Any] | None = None
        self._bounds: dict[str, Bound] = {}
        self._steps = 0
        self._refused: set[str] = set()  # variables that could not be read
        self._layout = Layout()
        self.trees = evaluate.Trees((), {}, ())
        self._bodies: dict[str, Tree] = {}

    def rules(self) -> evaluate.Rules | None:
        """The compiled rules; None if there are problems."""
        self._header()
        names = self._variables()
        where = scope(self.facts, names)
        trees = [self._condition(("spec", "rules", i, "when"), rule.when, where)
                 for i, rule in enumerate(self._spec.rules)]  # fmt: skip
        faults: list[Fault] = []
        thens = [read_outcomes(("spec", "rules", i, "then"), rule.then, self.kind, faults)
                 for i, rule in enumerate(self._spec.rules)]  # fmt: skip
        default = read_outcomes(("spec", "default"), self._spec.default, self.kind, faults)
        has_hours = self.calendar is None or any(self.calendar["weekly"].values())
        faults.extend(check_outcomes(self._spec, self.kind, thens, default, has_hours=has_hours))
        faults.extend(check_guardrails(self._spec))
        for place, message in faults:
            self._report(place, message)
        self._unique("rules", [rule.id for rule in self._spec.rules])
        self._unique("invariants", [invariant.id for invariant in self._spec.invariants])
        self._unique("tests", [test.name for test in self._spec.tests])
        invariants = self._invariants(names)
        self._tests()
        if self.problems:
            return None
        conditions = tuple(tree for tree in trees if tree is not None)
        self.trees = evaluate.Trees(conditions, self._bodies, invariants)
        return self._compiled(conditions, thens, default)

    # --- where things are

    def _report(self, path: Path, message: str) -> None:
        line, column = self._root.at(path)
        self.problems.append(Problem(line, column, entry_id(self._root, path), message))

    def _at_condition(self, path: Path, refused: ConditionRefused) -> Problem:
        node = self._root
        for step in path:
            node = node.value[step]
        line, column = yaml_source.place_in(self._text, node, refused.offset)
        rule = entry_id(self._root, path) or (f"variables.{path[-1]}" if path[1] == "variables" else None)
        return Problem(line, column, rule, refused.message)

    # --- parts of the document

    def _header(self) -> None:
        known = versions(self.kind.service)
        if self._spec.facts not in known:
            hint = did_you_mean(self._spec.facts, known)
            message = f"'{self._spec.facts}' is not a fact schema of the {self.kind.service} service; it has "
            self._report(("spec", "facts"), f"{message}{', '.join(known)}{hint}")
        else:
            self.facts = schema(self.kind.service, self._spec.facts)
        try:
            self.calendar = read_calendar(self._spec.calendar)
        except CalendarRefused as refused:
            self._report(("spec", "calendar", *refused.path), str(refused))
        supersedes = self._document.metadata.supersedes
        if supersedes is not None and supersedes >= self._document.metadata.version:
            self._report(("metadata", "supersedes"), "supersedes must be an earlier version than this one")

    def _condition(self, path: Path, text: str, where: Scope, result: str = "bool") -> Tree | None:
        try:
            tree = admit(text, where)
        except ConditionRefused as refused:
            if not any(f"unknown name '{name}'" in refused.message for name in self._refused):  # said there already
                self.problems.append(self._at_condition(path, refused))
            return None
        if result and tree.type.kind != result:
            not_a_test = ConditionRefused(tree.offset, f"a condition must be true or false, but this is {tree.type}")
            self.problems.append(self._at_condition(path, not_a_test))
            return None
        found = review.review(tree, where.words, self._bodies)
        self.problems.extend(self._at_condition(path, each) for each in found.errors)
        self.warnings.extend(self._at_condition(path, each) for each in found.warnings)
        return tree if not found.errors and self._affordable(path, tree) else None

    def _affordable(self, path: Path, tree: Tree) -> bool:
        """Whether the condition, and all conditions so far together, are sure to end soon."""
        try:
            cost = bound(tree, self._bounds)
        except TooCostly as refused:
            self.problems.append(self._at_condition(path, ConditionRefused(0, str(refused))))
            return False
        self._bounds[f"variables.{path[-1]}" if path[1] == "variables" else str(path)] = cost
        self._steps += cost.steps
        if self._steps > MAX_STEPS:
            message = f"with this the document could take {self._steps:,} steps a decision; it may take {MAX_STEPS:,}"
            self.problems.append(self._at_condition(path, ConditionRefused(0, message)))
        return self._steps <= MAX_STEPS

    def _variables(self) -> dict[str, Type]:
        """Each variable sees the ones above it."""
        names: dict[str, Type] = {}
        for name, text in self._spec.variables.items():
            path, qualified = ("spec", "variables", name), f"variables.{name}"
            tree = self._condition(path, text, scope(self.facts, names), result="")
            if tree is None:
                self._refused.add(qualified)
                continue
            if tree.type.kind == "message":
                self._report(path, "a variable holds a value or a list, not a whole message; use its fields")
                continue
            self._bodies[qualified], names[qualified] = tree, tree.type
        return names

    def _unique(self, section: str, ids: list[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(ids):
            if name in seen:
                self._report(("spec", section, index), f"'{name}' is used twice in {section}")
            seen.add(name)

    def _invariants(self, names: Mapping[str, Type]) -> tuple[Tree | None, ...]:
        found: list[Tree | None] = []
        outcomes = {f"outcome.{name}": kind for name, o in self.kind.outcomes.items() if (kind := o.type()) is not None}
        words = {f"outcome.{name}": o.values for name, o in self.kind.outcomes.items() if o.values}
        where = scope(self.facts, {**names, **outcomes}, words)
        for index, invariant in enumerate(self._spec.invariants):
            path: Path = ("spec", "invariants", index)
            if (invariant.never is None) == (invariant.monotone is None):
                self._report(path, "an invariant has exactly one of 'never' and 'monotone'")
            never = invariant.never
            found.append(None if never is None else self._condition((*path, "never"), never, where))
            if invariant.monotone is not None:
                self._monotone((*path, "monotone"), invariant.monotone)
        return tuple(found)

    def _monotone(self, path: Path, monotone: Monotone) -> None:
        moved = {"raise": monotone.raise_, "lower": monotone.lower}
        kept = {"never_lowers": monotone.never_lowers, "never_raises": monotone.never_raises}
        for group in (moved, kept):
            if sum(value is not None for value in group.values()) != 1:
                self._report(path, f"a monotone invariant has exactly one of {' and '.join(group)}")
        for key, name in moved.items():
            fact = None if name is None else self.facts.at(name)
            if name is not None and fact is None:
                self._report((*path, key), f"'{name}' is not a fact{did_you_mean(name, self.facts.paths())}")
            elif fact is not None and (fact.many or fact.kind in ("string", "message")):
                self._report((*path, key), f"'{name}' cannot be raised or lowered: only numbers, times and yes/no can")
        for key, name in kept.items():
            if name is not None and name not in self.kind.outcomes:
                self._report((*path, key), unknown_outcome(name, self.kind))
            elif name is not None and not self.kind.outcomes[name].ordered:
                self._report((*path, key), f"'{name}' has no greater and less; whole numbers and durations have")

    def _tests(self) -> None:
        ids = [rule.id for rule in self._spec.rules]
        for index, test in enumerate(self._spec.tests):
            for path, message in check_test(test, self.facts, self.kind, ids, self._spec.clocks):
                self._report(("spec", "tests", index, *path), message)

    def _compiled(self, trees: Sequence[Tree], thens: list[dict[str, Any]], default: dict[str, Any]) -> evaluate.Rules:
        assert self.calendar is not None
        for name in self._used(trees):  # what no rule uses is not read, so its facts may be missing
            self._layout.define(name, compile_expression(self._bodies[name], self._layout))
        recorder = Recorder(self._layout, self._bodies)
        rules: list[evaluate.Rule] = []
        reads: dict[Read, None] = {}
        settings = settings_of(thens, self.kind.outcomes, self._spec.aggregate)
        for written, tree, sets in zip(self._spec.rules, trees, settings, strict=True):
            when = compile_expression(tree, self._layout)
            whole = alone(default, sets)
            rules.append(evaluate.Rule(written.id, when, recorder.witness(tree), sets, whole, written.guidance))
            reads |= dict.fromkeys(recorder.all_of(tree))
        return evaluate.Rules(self._spec.hit_policy, tuple(rules), default, self._layout, tuple(reads), self.calendar)

    def _used(self, trees: Iterable[Tree]) -> list[str]:
        """The variables that these conditions need, also through others, in the order of the document."""
        named = {node.name for tree in trees for node in walk(tree) if isinstance(node, Variable)}
        for name in reversed(self._bodies):
            if name in named:
                named |= {node.name for node in walk(self._bodies[name]) if isinstance(node, Variable)}
        return [name for name in self._bodies if name in named]
