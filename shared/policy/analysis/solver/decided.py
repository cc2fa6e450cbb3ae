"""What a policy decides for a symbolic complaint: which rules match, and what each outcome is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cmp_to_key
from typing import Any

import z3

from shared.policy import targets
from shared.policy.analysis.solver.symbols import Complaint
from shared.policy.analysis.solver.translate import LONGEST_US, Number, Translator
from shared.policy.combining import Setting
from shared.policy.evaluate import Policy
from shared.policy.language.tree import Literal_, Node, Type, walk

Place = tuple[str, str | None]  # an outcome, and the name inside it
_US = timedelta(microseconds=1)


class Values:
    """Every value that some rule can set has a number; 0 is nothing."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, value: Any) -> int:
        return self._codes.setdefault(json.dumps(value, sort_keys=True), len(self._codes) + 1)


class Decided:
    """One policy over one symbolic complaint."""

    def __init__(self, policy: Policy, complaint: Complaint, values: Values) -> None:
        self._policy, self._complaint, self._values = policy, complaint, values
        translator = Translator(complaint, policy.trees.variables)
        self.matched = [translator.condition(tree) for tree in policy.trees.conditions]
        self.fires = self._fires()
        self._open: dict[Any, Any] = {}

    def _fires(self) -> list[Any]:
        """Which rules decide: under FIRST the first that matches, under UNIQUE the one that matches alone."""
        match self._policy.rules.hit_policy:
            case "COLLECT":
                return self.matched
            case "FIRST":
                return [z3.And(each, z3.Not(z3.Or(self.matched[:i]))) for i, each in enumerate(self.matched)]
            case _:
                others = (self.matched[:i] + self.matched[i + 1 :] for i in range(len(self.matched)))
                return [z3.And(each, z3.Not(z3.Or(rest))) for each, rest in zip(self.matched, others, strict=True)]

    def places(self) -> list[Place]:
        """Every outcome that a rule or the default sets, by name inside it where it holds several."""
        found: dict[Place, None] = dict.fromkeys(
            (s.name, s.key) for rule in self._policy.rules.rules for s in rule.settings
        )
        for name, value in self._policy.rules.default.items():
            keys = value if self._policy.outcomes[name].keyed else (None,)
            found |= dict.fromkeys((name, key) for key in keys)
        return list(found)

    def words_of(self, name: str) -> list[str]:
        """The words that an outcome of kind `words` can hold."""
        rules = [s.value for rule in self._policy.rules.rules for s in rule.settings if s.name == name]
        return sorted({word for value in (*rules, self._policy.rules.default.get(name, [])) for word in value})

    def same_as(self, other: Decided) -> Any:
        """That both decide the same."""
        same = []
        for place in dict.fromkeys((*self.places(), *other.places())):
            name = place[0]
            if self._policy.outcomes[name].kind == "words":
                words = sorted({*self.words_of(name), *other.words_of(name)})
                same.append(self.is_set(place) == other.is_set(place))
                same += [self.holds_word(name, word) == other.holds_word(name, word) for word in words]
            else:
                same.append(self.code(place) == other.code(place))
        return z3.And(same)

    def numbers(self) -> dict[tuple[str, str | None], Any]:
        """The whole outcome as numbers: of each place its value's, of each word of a list whether it is there."""
        found: dict[tuple[str, str | None], Any] = {}
        for name, key in self.places():
            if self._policy.outcomes[name].kind == "words":
                found |= {(name, word): z3.If(self.holds_word(name, word), 1, 0) for word in self.words_of(name)}
            else:
                found[name, key] = self.code((name, key))
        return found

    def numbers_of(self, facts: Mapping[str, Any]) -> dict[tuple[str, str | None], int]:
        """The same of what the evaluator decides for known facts."""
        outcome = self._policy.answer(facts)
        found: dict[tuple[str, str | None], int] = {}
        for name, key in self.places():
            value = outcome.get(name)
            if self._policy.outcomes[name].kind == "words":
                found |= {(name, word): int(word in (value or ())) for word in self.words_of(name)}
            else:
                value = value if key is None or value is None else value.get(key)
                found[name, key] = 0 if value is None else self._values.code(value)
        return found

    def code(self, place: Place) -> Any:
        """The number of the value that is decided."""
        return self._pick(place, lambda value: z3.IntVal(self._values.code(value)), z3.IntVal(0))

    def is_set(self, place: Place) -> Any:
        if self._default(place) is not None:
            return z3.BoolVal(True)
        return z3.Or([fires for fires, _ in self._setters(place)])

    def holds_word(self, name: str, word: str) -> Any:
        setters = self._setters((name, None))
        some = z3.Or([fires for fires, setting in setters if word in setting.value])
        return z3.If(
            z3.Or([fires for fires, _ in setters]), some, z3.BoolVal(word in (self._default((name, None)) or []))
        )

    def outcome(self, name: str, kind: Type) -> Any:
        """The value of `outcome.<name>`, or of `outcome.<name>[word]`, as conditions see it."""
        name = name.removeprefix("outcome.")
        if name.endswith("]"):
            name, _, word = name[:-1].partition("[")
            return self.holds_word(name, word)
        if kind.kind in ("int", "duration"):
            expr = self._pick((name, None), self._number, self._anything(name, z3.Int))
            return Number(expr, -LONGEST_US if kind.kind == "duration" else 0, LONGEST_US)
        if kind.kind == "string":
            return self._pick(
                (name, None), lambda v: z3.IntVal(self._complaint.words.code(v)), self._anything(name, z3.Int)
            )
        return self._anything(name, z3.Bool)

    def _number(self, value: Any) -> Any:
        return z3.IntVal(value if isinstance(value, int) else targets.nominal_s(targets.parse(value)) * 1_000_000)

    def _anything(self, name: str, sort: Callable[[str], Any]) -> Any:
        """An outcome that nobody set can be anything here: a condition that reads it ends in an error, not in true."""
        return self._open.setdefault(name, sort(f"{self._complaint.mark}unset {name} {id(self)}"))

    def _default(self, place: Place) -> Any:
        value = self._policy.rules.default.get(place[0])
        return value if place[1] is None or value is None else value.get(place[1])

    def _setters(self, place: Place) -> list[tuple[Any, Setting]]:
        return [
            (fires, setting)
            for fires, rule in zip(self.fires, self._policy.rules.rules, strict=True)
            for setting in rule.settings
            if (setting.name, setting.key) == place
        ]

    def _pick(self, place: Place, express: Callable[[Any], Any], nothing: Any) -> Any:
        """The value that wins at a place."""
        default = self._default(place)
        expr = nothing if default is None else express(default)
        setters = self._setters(place)
        if any(setting.by_due for _, setting in setters):
            return self._any_of(place, setters, express, expr)
        for fires, setting in reversed(_best_first(setters)):
            expr = z3.If(fires, express(setting.value), expr)
        return expr

    def _any_of(self, place: Place, setters: Sequence[tuple[Any, Setting]], express: Any, default: Any) -> Any:
        """Targets of unlike units: which is due first depends on the calendar, so it is any of those that match."""
        chosen = self._open.get((place, express.__qualname__))
        if chosen is None:
            chosen = z3.Int(f"{self._complaint.mark}any of {place} {id(self)} {express.__qualname__}")
            self._open[place, express.__qualname__] = chosen
            some = [z3.And(fires, chosen == express(setting.value)) for fires, setting in setters]
            none = z3.And([z3.Not(fires) for fires, _ in setters])
            self._complaint.constraints.append(z3.Or([*some, z3.And(none, chosen == default)]))
        return chosen


def _best_first(setters: Sequence[tuple[Any, Setting]]) -> list[tuple[Any, Setting]]:
    def compare(a: tuple[Any, Setting], b: tuple[Any, Setting]) -> int:
        better = a[1].better
        if better is None:
            return 0
        return -1 if better(a[1].rank, b[1].rank) else 1 if better(b[1].rank, a[1].rank) else 0

    return sorted(setters, key=cmp_to_key(compare))


def know_words(complaint: Complaint, policies: Iterable[Policy]) -> None:
    """Number every word that is named anywhere, before the first expression is made."""
    for policy in policies:
        for node in (*policy.trees.conditions, *policy.trees.variables.values(), *policy.trees.invariants):
            for part in walk(node) if isinstance(node, Node) else ():
                if isinstance(part, Literal_) and isinstance(part.value, str):
                    complaint.words.code(part.value)
        for fact in _facts(policy.schema.facts.values()):
            for word in (*fact.values, *([fact.neutral] if isinstance(fact.neutral, str) else [])):
                complaint.words.code(word)
        for outcome in policy.outcomes.values():
            for word in outcome.values:
                complaint.words.code(word)
        for name, outcome in policy.outcomes.items():
            sets = [s.value for rule in policy.rules.rules for s in rule.settings if s.name == name]
            for value in (*sets, policy.rules.default.get(name)):
                if outcome.kind == "name" and isinstance(value, str):
                    complaint.words.code(value)


def _facts(facts: Iterable[Any]) -> Iterable[Any]:
    for fact in facts:
        yield fact
        yield from _facts(fact.fields.values())
