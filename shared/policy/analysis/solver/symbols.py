"""A complaint that is not known yet: a z3 variable for each fact, and the way back to a concrete one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import z3

from shared.policy.facts import Fact, FactSchema
from shared.policy.tests_inside import NEUTRAL_AS_OF, given_facts

Path = tuple[str, ...]
YEARS_100_US = 100 * 366 * 86_400 * 1_000_000
LARGEST = 1_000_000_000
_US = timedelta(microseconds=1)


class Words:
    """Every word that conditions or the schema name has a number; greater numbers are words that nobody names."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, word: str) -> int:
        return self._codes.setdefault(word, len(self._codes))

    def known(self) -> dict[str, int]:
        return self._codes

    def text(self, code: int) -> str:
        return next((word for word, known in self._codes.items() if known == code), f"word_{code}")


@dataclass(slots=True)
class WordList:
    """A list of words as a set: `holds(code)`, whether there are words that nobody names, and how long it is."""

    holds: Any
    other: Any
    size: Any
    known: tuple[int, ...]


@dataclass(slots=True)
class Entries:
    """A list of messages: `count` of the first `fields` are there."""

    count: Any
    fields: list[dict[str, Any]]


@dataclass(slots=True)
class Complaint:
    """A symbolic complaint. `entries`: how many messages a list has at most, None: lists of messages are left open.

    `own` holds facts that this complaint does not share with `like`, of which it is otherwise a copy.
    """

    schema: FactSchema
    words: Words
    entries: int | None
    mark: str = ""
    like: Complaint | None = None
    own: frozenset[Path] = frozenset()
    constraints: list[Any] = field(default_factory=list)
    values: dict[Path, Any] = field(default_factory=dict)
    present: dict[Path, Any] = field(default_factory=dict)
    open_terms: dict[Any, Any] = field(default_factory=dict)

    def value(self, path: Path, fact: Fact) -> Any:
        """The variable of a fact (a WordList or Entries for lists)."""
        if self.like is not None and path not in self.own:
            return self.like.value(path, fact)
        if path not in self.values:
            self.values[path] = self._new(f"{self.mark}{'.'.join(path)}", fact)
        return self.values[path]

    def is_present(self, path: Path) -> Any:
        """Whether an optional fact is there."""
        if self.like is not None:
            return self.like.is_present(path)
        return self.present.setdefault(path, z3.Bool(f"has {'.'.join(path)}"))

    def _new(self, name: str, fact: Fact) -> Any:
        if fact.many:
            return self._entries(name, fact) if fact.kind == "message" else self._word_list(name, fact)
        if fact.kind == "bool":
            return z3.Bool(name)
        if fact.kind == "double":
            return z3.Real(name)
        number = z3.Int(name)
        if fact.kind == "timestamp":
            self.constraints += [number >= -YEARS_100_US, number <= YEARS_100_US]
        elif fact.kind == "int":
            low, high = bounds(fact)
            self.constraints += [number >= low, number <= high]
        elif fact.values and not fact.open:
            self.constraints.append(z3.Or([number == self.words.code(word) for word in fact.values]))
        else:
            self.constraints.append(number >= 0)
        return number

    def _word_list(self, name: str, fact: Fact) -> WordList:
        closed = fact.values and not fact.open
        known = [self.words.code(word) for word in fact.values] if closed else list(self.words.known().values())
        found = WordList(
            z3.Function(name, z3.IntSort(), z3.BoolSort()),
            z3.Bool(f"{name} other"),
            z3.Int(f"{name} size"),
            tuple(known),
        )
        members = [found.holds(code) for code in known]
        several = z3.Sum([z3.If(each, 1, 0) for each in (*members, found.other)])
        self.constraints += [found.size >= several, found.size <= fact.at_most]
        self.constraints.append(z3.Implies(found.size > 0, z3.Or([*members, found.other])))
        if closed:
            self.constraints.append(z3.Not(found.other))
        return found

    def _entries(self, name: str, fact: Fact) -> Entries | None:
        if self.entries is None:
            return None
        count = z3.Int(f"{name} count")
        self.constraints += [count >= 0, count <= self.entries]
        made = [
            {key: self._new(f"{name}[{index}].{key}", part) for key, part in fact.fields.items()}
            for index in range(self.entries)
        ]
        return Entries(count, made)

    def neutral(self) -> list[Any]:
        """One condition for each fact: that it is as in a neutral complaint. For plainer counterexamples."""
        given, _ = given_facts({}, self.schema)
        found = [z3.Not(present) for present in self.present.values()]
        for path, value in self.values.items():
            usual = _at(given, path)
            if isinstance(value, WordList):
                found += [
                    value.size == 0,
                    value.size <= 1,
                    z3.Not(value.other),
                    *(z3.Not(value.holds(c)) for c in value.known),
                ]
            elif isinstance(value, Entries):
                found += [value.count <= most for most in range(len(value.fields))]
                for entry in value.fields:
                    found += [each <= 0 for each in entry.values() if z3.is_int(each)]
            elif usual is not None:
                found.append(value == self._constant(usual))
                if isinstance(usual, datetime):
                    found += [value <= 0, value % 86_400_000_000 == 0]
        return found

    def _constant(self, value: Any) -> Any:
        if isinstance(value, bool):
            return z3.BoolVal(value)
        if isinstance(value, str):
            return z3.IntVal(self.words.code(value))
        if isinstance(value, datetime):
            return z3.IntVal((value - NEUTRAL_AS_OF) // _US)
        return z3.RealVal(Fraction(value)) if isinstance(value, float) else z3.IntVal(value)

    def concrete(self, model: Any) -> dict[str, Any]:
        """The facts that the model stands for; what it says nothing about is as in a neutral complaint."""
        facts, _ = given_facts({}, self.schema)
        paths = dict.fromkeys((*(self.like.values if self.like else ()), *self.values))
        for path in paths:
            fact = _fact(self.schema, path)
            if fact is None:
                continue
            message = _at(facts, path[:-1])
            if fact.guarded and not _true(model, self.is_present(path)):
                message.pop(path[-1], None)
            else:
                message[path[-1]] = self._value(model, self.value(path, fact), fact)
        return facts

    def _value(self, model: Any, value: Any, fact: Fact) -> Any:
        if isinstance(value, WordList):
            return self._list(model, value)
        if isinstance(value, Entries):
            count = model.eval(value.count, model_completion=True).as_long()
            return [
                {key: self._value(model, each, fact.fields[key]) for key, each in entry.items()}
                for entry in value.fields[:count]
            ]
        found = model.eval(value, model_completion=True)
        if fact.kind == "bool":
            return z3.is_true(found)
        if fact.kind == "double":
            return float(Fraction(found.numerator_as_long(), found.denominator_as_long()))
        if fact.kind == "timestamp":
            return NEUTRAL_AS_OF + found.as_long() * _US
        return self.words.text(found.as_long()) if fact.kind == "string" else found.as_long()

    def _list(self, model: Any, value: WordList) -> list[str]:
        found = [self.words.text(code) for code in value.known if _true(model, value.holds(code))]
        if _true(model, value.other):
            found.append("something_else")
        size = model.eval(value.size, model_completion=True).as_long()
        return found + found[-1:] * (size - len(found)) if found else []


def bounds(fact: Fact) -> tuple[int, int]:
    """The least and greatest number that a fact can hold, as assumed."""
    return 0 if fact.minimum is None else fact.minimum, LARGEST if fact.maximum is None else fact.maximum


def copy_of(complaint: Complaint, own: Iterable[Path]) -> Complaint:
    """The same complaint but for the facts of `own`."""
    return Complaint(
        complaint.schema, complaint.words, complaint.entries, mark="other ", like=complaint, own=frozenset(own),
        constraints=complaint.constraints, open_terms=complaint.open_terms,
    )  # fmt: skip


def _true(model: Any, expression: Any) -> bool:
    return bool(z3.is_true(model.eval(expression, model_completion=True)))


def _at(facts: Mapping[str, Any], path: Path) -> Any:
    value: Any = facts
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _fact(schema: FactSchema, path: Path) -> Fact | None:
    return schema.at(".".join(path))
