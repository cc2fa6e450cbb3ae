"""From the text of a policy document to a Policy that decides: form, meaning, conditions, in that order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import gt, lt
from typing import Any

from shared.policy import evaluate, yaml_source
from shared.policy.calendars import zone_of
from shared.policy.facts import FactSchema, schema, versions
from shared.policy.language import review
from shared.policy.language.admit import admit
from shared.policy.language.closures import compile_expression
from shared.policy.language.frontend import ConditionRefused, Scope, scope
from shared.policy.language.loading import Layout
from shared.policy.language.reads import Read, Recorder
from shared.policy.language.tree import Node as Tree
from shared.policy.language.tree import Type, Variable, walk
from shared.policy.outcomes import KINDS, Kind, Outcome, ValueRefused, money
from shared.policy.problems import PolicyRefused, Problem, did_you_mean
from shared.policy.shape import Document, entry_id, read_shape
from shared.policy.tests_inside import check_test

Path = tuple[int | str, ...]


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
        calendar=document.spec.calendar,
        calendar_zone=zone_of(document.spec.calendar),
        origin=origin,
        document=document,
        canonical=canonical,
        schema=loading.facts,
        rules=rules,
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
        self._layout = Layout()
        self._bodies: dict[str, Tree] = {}

    def rules(self) -> evaluate.Rules | None:
        """The compiled rules; None if there are problems."""
        self._header()
        names = self._variables()
        conditions = scope(self.facts, names)
        trees = [self._condition(("spec", "rules", i, "when"), rule.when, conditions)
                 for i, rule in enumerate(self._spec.rules)]  # fmt: skip
        thens = [self._outcomes(("spec", "rules", i, "then"), rule.then) for i, rule in enumerate(self._spec.rules)]
        default = self._outcomes(("spec", "default"), self._spec.default)
        self._default_is_complete(default)
        self._aggregates([*thens, default])
        self._unique("rules", [rule.id for rule in self._spec.rules])
        self._unique("invariants", [invariant.id for invariant in self._spec.invariants])
        self._unique("tests", [test.name for test in self._spec.tests])
        self._invariants(names)
        self._tests()
        if self.problems:
            return None
        return self._compiled([tree for tree in trees if tree is not None], thens, default)

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
            zone_of(self._spec.calendar)
        except ValueError as error:
            self._report(("spec", "calendar"), str(error))
        supersedes = self._document.metadata.supersedes
        if supersedes is not None and supersedes >= self._document.metadata.version:
            self._report(("metadata", "supersedes"), "supersedes must be an earlier version than this one")

    def _condition(self, path: Path, text: str, where: Scope, result: str = "bool") -> Tree | None:
        try:
            tree = admit(text, where)
        except ConditionRefused as refused:
            self.problems.append(self._at_condition(path, refused))
            return None
        if result and tree.type.kind != result:
            not_a_test = ConditionRefused(tree.offset, f"a condition must be true or false, but this is {tree.type}")
            self.problems.append(self._at_condition(path, not_a_test))
            return None
        errors, warnings = review.review(tree, dict(where.words))
        self.problems.extend(self._at_condition(path, each) for each in errors)
        self.warnings.extend(self._at_condition(path, each) for each in warnings)
        return tree if not errors else None

    def _variables(self) -> dict[str, Type]:
        """Each variable sees the ones above it."""
        names: dict[str, Type] = {}
        for name, text in self._spec.variables.items():
            path, qualified = ("spec", "variables", name), f"variables.{name}"
            tree = self._condition(path, text, scope(self.facts, names), result="")
            if tree is None:
                continue
            if tree.type.kind == "message":
                self._report(path, "a variable holds a value or a list, not a whole message; use its fields")
                continue
            self._bodies[qualified], names[qualified] = tree, tree.type
        return names

    def _outcomes(self, path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for name, value in values.items():
            outcome = self.kind.outcomes.get(name)
            if outcome is None:
                self._report((*path, name), unknown_outcome(name, self.kind))
                continue
            try:
                read[name] = outcome.read(value)
            except ValueRefused as refused:
                self._report(
                    (*path, name), f"{name} {refused}" if str(refused).startswith("must") else f"{name}: {refused}"
                )
        if not values:
            self._report(path, "nothing is decided here: set at least one outcome")
        return read

    def _default_is_complete(self, default: Mapping[str, Any]) -> None:
        for name, outcome in self.kind.outcomes.items():
            if outcome.required and name not in self._spec.default:
                self._report(("spec", "default"), f"the default must set '{name}'")

    def _aggregates(self, sets: Iterable[Mapping[str, Any]]) -> None:
        several = list(sets)
        for name in self._spec.aggregate:
            path: Path = ("spec", "aggregate", name)
            if name not in self.kind.outcomes:
                self._report(path, unknown_outcome(name, self.kind))
            elif self.kind.outcomes[name].kind not in ("int", "duration"):
                self._report(path, f"'{name}' has no greatest or least; only whole numbers and durations have")
            elif self._spec.hit_policy != "COLLECT":
                self._report(
                    path, f"nothing is aggregated under {self._spec.hit_policy}: only COLLECT lets several rules match"
                )
        if self._spec.hit_policy == "COLLECT":
            for name, outcome in self.kind.outcomes.items():
                self._no_contest(name, outcome, several[:-1])
        self._one_currency(several)

    def _no_contest(self, name: str, outcome: Outcome, rules: list[Mapping[str, Any]]) -> None:
        if outcome.kind == "money" or name in self._spec.aggregate:
            return
        setters = [index for index, values in enumerate(rules) if name in values]
        different = [i for i in setters if rules[i][name] != rules[setters[0]][name]]
        if different:
            first, second = self._spec.rules[setters[0]].id, self._spec.rules[different[0]].id
            path: Path = ("spec", "rules", different[0], "then", name)
            self._report(path, f"{first} and {second} both set '{name}': say in spec.aggregate whether MAX or MIN wins")

    def _one_currency(self, several: list[Mapping[str, Any]]) -> None:
        seen: dict[tuple[str, str], str] = {}
        for index, values in enumerate(several):
            for name, amounts in values.items():
                if self.kind.outcomes[name].kind != "money":
                    continue
                for remedy, text in amounts.items():
                    currency = money(text).currency
                    if seen.setdefault((name, remedy), currency) != currency:
                        last = index == len(several) - 1
                        path: Path = ("spec", "default", name) if last else ("spec", "rules", index, "then", name)
                        message = f"{remedy} is in {currency} here and in {seen[name, remedy]} before; "
                        self._report((*path, remedy), message + "amounts of one remedy must share a currency")

    def _unique(self, section: str, ids: list[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(ids):
            if name in seen:
                self._report(("spec", section, index), f"'{name}' is used twice in {section}")
            seen.add(name)

    def _invariants(self, names: Mapping[str, Type]) -> None:
        outcomes = {f"outcome.{name}": kind for name, o in self.kind.outcomes.items() if (kind := o.type()) is not None}
        words = {f"outcome.{name}": o.values for name, o in self.kind.outcomes.items() if o.values}
        where = scope(self.facts, {**names, **outcomes}, words)
        for index, invariant in enumerate(self._spec.invariants):
            path: Path = ("spec", "invariants", index)
            if (invariant.never is None) == (invariant.monotone is None):
                self._report(path, "an invariant has exactly one of 'never' and 'monotone'")
            if invariant.never is not None:
                self._condition((*path, "never"), invariant.never, where)
            if invariant.monotone is not None:
                self._monotone((*path, "monotone"), index)

    def _monotone(self, path: Path, index: int) -> None:
        monotone = self._spec.invariants[index].monotone
        assert monotone is not None
        moved = {"raise": monotone.raise_, "lower": monotone.lower}
        kept = {"never_lowers": monotone.never_lowers, "never_raises": monotone.never_raises}
        for group in (moved, kept):
            if sum(value is not None for value in group.values()) != 1:
                self._report(path, f"a monotone invariant has exactly one of {' and '.join(group)}")
        for key, fact in moved.items():
            if fact is not None and fact not in set(self.facts.paths()):
                self._report((*path, key), f"'{fact}' is not a fact{did_you_mean(fact, self.facts.paths())}")
        for key, outcome in kept.items():
            if outcome is not None and outcome not in self.kind.outcomes:
                self._report((*path, key), unknown_outcome(outcome, self.kind))

    def _tests(self) -> None:
        ids = [rule.id for rule in self._spec.rules]
        for index, test in enumerate(self._spec.tests):
            for path, message in check_test(test, self.facts, self.kind, ids):
                self._report(("spec", "tests", index, *path), message)

    def _compiled(self, trees: list[Tree], thens: list[dict[str, Any]], default: dict[str, Any]) -> evaluate.Rules:
        for name in self._used(trees):  # what no rule uses is not read, so its facts may be missing
            self._layout.define(name, compile_expression(self._bodies[name], self._layout))
        recorder = Recorder(self._layout, self._bodies)
        rules: list[evaluate.Rule] = []
        reads: dict[Read, None] = {}
        for written, tree, then in zip(self._spec.rules, trees, thens, strict=True):
            when = compile_expression(tree, self._layout)
            rule = evaluate.Rule(written.id, when, recorder.witness(tree), self._settings(then), {}, written.guidance)
            rules.append(replace(rule, alone=evaluate.combined(default, [rule])))
            reads |= dict.fromkeys(recorder.all_of(tree))
        return evaluate.Rules(self._spec.hit_policy, tuple(rules), default, self._layout, tuple(reads))

    def _used(self, trees: Iterable[Tree]) -> list[str]:
        """The variables that these conditions need, also through others, in the order of the document."""
        named = {node.name for tree in trees for node in walk(tree) if isinstance(node, Variable)}
        for name in reversed(self._bodies):
            if name in named:
                named |= {node.name for node in walk(self._bodies[name]) if isinstance(node, Variable)}
        return [name for name in self._bodies if name in named]

    def _settings(self, then: Mapping[str, Any]) -> tuple[evaluate.Setting, ...]:
        found: list[evaluate.Setting] = []
        for name, value in then.items():
            outcome = self.kind.outcomes[name]
            if outcome.kind == "money":
                amounts = ((remedy, text, money(text).amount) for remedy, text in value.items())
                found.extend(evaluate.Setting(name, remedy, text, amount, gt) for remedy, text, amount in amounts)
            else:
                better = {"MAX": gt, "MIN": lt}.get(self._spec.aggregate.get(name, ""))
                found.append(evaluate.Setting(name, None, value, outcome.rank(value), better))
        return tuple(found)


def unknown_outcome(name: str, kind: Kind) -> str:
    hint = did_you_mean(name, kind.outcomes) or f"; it has {', '.join(kind.outcomes)}"
    return f"'{name}' is not an outcome of the {kind.service} service{hint}"
