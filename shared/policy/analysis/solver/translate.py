"""Conditions as z3 expressions over a symbolic complaint.

What has no translation (texts put together, lists of messages without a bound, sizes of filtered words) becomes a new
variable, the same for the same expression over the same facts: any value is possible, so proofs stay sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from fractions import Fraction
from typing import Any

import z3

from shared.policy.analysis.candidates import facts_read
from shared.policy.analysis.solver.symbols import YEARS_100_US, Complaint, Entries, Path, WordList, bounds
from shared.policy.facts import Fact
from shared.policy.language.tree import (
    Call,
    Choice,
    Entry,
    FactAt,
    Junction,
    ListOf,
    Literal_,
    Loop,
    Member,
    Node,
    Present,
    Type,
    Variable,
)  # fmt: skip

INT64 = 2**63 - 1
LONGEST_US = (2**63 - 1) // 1000
_US = timedelta(microseconds=1)
Symbols = Mapping[str, Any]  # loop variable -> a word's code, or a message's fields


class NotCovered(Exception):
    """The condition could end in an error (a number or duration out of range), which the translation does not follow."""


@dataclass(frozen=True, slots=True)
class Number:
    """An int, a duration or a time in microseconds, with the range that it can have."""

    expr: Any
    low: int
    high: int


class Translator:
    """Translates conditions over one complaint. `outcomes` gives the values of `outcome.x` in invariants."""

    def __init__(
        self, complaint: Complaint, bodies: Mapping[str, Node], outcomes: Callable[[str, Type], Any] | None = None
    ) -> None:
        self._complaint = complaint
        self._bodies = bodies
        self._outcomes = outcomes

    def condition(self, node: Node) -> Any:
        return self._bool(node, {})

    # --- by type of the value

    def _bool(self, node: Node, env: Symbols) -> Any:
        match node:
            case Literal_():
                return z3.BoolVal(bool(node.value))
            case FactAt():
                return self._complaint.value(node.path, node.fact)
            case Member():
                return self._field(node, env)
            case Present(of=FactAt(path=path, fact=fact)):
                return self._complaint.is_present(path) if fact.optional else z3.BoolVal(True)
            case Junction():
                terms = [self._bool(term, env) for term in node.terms]
                return z3.And(terms) if node.every else z3.Or(terms)
            case Choice():
                return z3.If(
                    self._bool(node.condition, env), self._bool(node.then, env), self._bool(node.otherwise, env)
                )
            case Variable():
                return self._named(node, env, self._bool)
            case Loop():
                return self._quantifier(node, env)
            case Call():
                return self._test(node, env)
        return self._open(node, env)

    def _number(self, node: Node, env: Symbols) -> Number:
        match node:
            case Literal_(value=int() as value):
                return Number(z3.IntVal(value), value, value)
            case FactAt():
                return self._number_fact(node.path, node.fact)
            case Member():
                low, high = _range(node.fact)
                return Number(self._field(node, env), low, high)
            case Variable():
                found = self._named(node, env, self._number)
                return found if isinstance(found, Number) else Number(found, -LONGEST_US, LONGEST_US)
            case Choice():
                then, other = self._number(node.then, env), self._number(node.otherwise, env)
                expr = z3.If(self._bool(node.condition, env), then.expr, other.expr)
                return Number(expr, min(then.low, other.low), max(then.high, other.high))
            case Call():
                return self._arithmetic(node, env)
        return self._any_number(node, env)

    def _number_fact(self, path: Path, fact: Fact) -> Number:
        if path == ("as_of",):
            return Number(z3.IntVal(0), 0, 0)
        low, high = _range(fact)
        return Number(self._complaint.value(path, fact), low, high)

    def _arithmetic(self, node: Call, env: Symbols) -> Number:
        match node.overload:
            case "days(int)" | "hours(int)":
                factor = 86_400_000_000 if node.overload.startswith("days") else 3_600_000_000
                return _checked(node, _scaled(self._number(node.args[0], env), factor))
            case "negate_int64":
                return _checked(node, _scaled(self._number(node.args[0], env), -1))
            case "size_list" | "list_size":
                return self._size(node.args[0], env)
        sign = node.overload.partition("_")[0]
        if sign not in ("add", "subtract", "multiply") or len(node.args) != 2:
            return self._any_number(node, env)
        a, b = (self._number(arg, env) for arg in node.args)
        if sign == "multiply":
            corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
            return _checked(node, Number(a.expr * b.expr, min(corners), max(corners)))
        b = b if sign == "add" else _scaled(b, -1)
        return _checked(node, Number(a.expr + b.expr, a.low + b.low, a.high + b.high))

    def _size(self, over: Node, env: Symbols) -> Number:
        if isinstance(over, FactAt) and over.fact.kind != "message":
            listed = self._complaint.value(over.path, over.fact)
            return Number(listed.size, 0, over.fact.at_most)
        found = self._elements(over, env)
        if found is None or any(whole is False for _, _, whole in found):
            return self._any_number(Call(type=Type("int"), overload="list_size", args=(over,)), env)
        return Number(z3.Sum([z3.If(there, 1, 0) for there, _, _ in found]) if found else z3.IntVal(0), 0, len(found))

    def _real(self, node: Node, env: Symbols) -> Any:
        match node:
            case Literal_(value=float() as value):
                return z3.RealVal(Fraction(value))
            case FactAt():
                return self._complaint.value(node.path, node.fact)
            case Choice():
                return z3.If(
                    self._bool(node.condition, env), self._real(node.then, env), self._real(node.otherwise, env)
                )
            case Variable():
                return self._named(node, env, self._real)
        return self._open(node, env)  # arithmetic of floats rounds: left open

    def _word(self, node: Node, env: Symbols) -> Any:
        match node:
            case Literal_(value=str() as value):
                return z3.IntVal(self._complaint.words.code(value))
            case FactAt():
                return self._complaint.value(node.path, node.fact)
            case Entry():
                found = env.get(node.name)
                return found if z3.is_expr(found) else self._open(node, env)
            case Member():
                return self._field(node, env)
            case Choice():
                return z3.If(
                    self._bool(node.condition, env), self._word(node.then, env), self._word(node.otherwise, env)
                )
            case Variable():
                return self._named(node, env, self._word)
        return self._open(node, env)

    def _named(self, node: Variable, env: Symbols, translate: Callable[[Node, Symbols], Any]) -> Any:
        if node.name in self._bodies:
            return translate(self._bodies[node.name], {})
        assert self._outcomes is not None
        return self._outcomes(node.name, node.type)

    def _field(self, node: Member, env: Symbols) -> Any:
        entry = env.get(node.of.name) if isinstance(node.of, Entry) else None
        return entry[node.name] if isinstance(entry, Mapping) and not node.fact.optional else self._open(node, env)

    # --- tests

    def _test(self, node: Call, env: Symbols) -> Any:
        if node.overload == "logical_not":
            return z3.Not(self._bool(node.args[0], env))
        a, b = node.args
        if node.overload == "in_list":
            return self._in(node, a, b, env)
        if node.overload in ("contains_string", "starts_with_string", "ends_with_string"):
            return self._part_of_word(node, a, b, env)
        compare = _COMPARE.get(node.overload if node.overload in _COMPARE else node.overload.rpartition("_")[0])
        if compare is None:
            return self._open(node, env)
        match a.type.kind:
            case "bool":
                return compare(self._bool(a, env), self._bool(b, env))
            case "int" | "duration" | "timestamp":
                return compare(self._number(a, env).expr, self._number(b, env).expr)
            case "double":
                return compare(self._real(a, env), self._real(b, env))
            case "string" if node.overload in ("equals", "not_equals"):
                return compare(self._word(a, env), self._word(b, env))
        return self._open(node, env)

    def _part_of_word(self, node: Call, a: Node, b: Node, env: Symbols) -> Any:
        if not isinstance(b, Literal_):
            return self._open(node, env)
        part, known = str(b.value), self._complaint.words.known()
        fits = {
            "contains_string": str.__contains__,
            "starts_with_string": str.startswith,
            "ends_with_string": str.endswith,
        }
        word = self._word(a, env)
        named = z3.Or([word == code for text, code in known.items() if fits[node.overload](text, part)])
        return z3.Or(named, z3.And(word >= len(known), self._open(node, env)))

    def _in(self, node: Call, needle: Node, over: Node, env: Symbols) -> Any:
        if isinstance(over, FactAt) and over.fact.kind == "string" and needle.type.kind == "string":
            return self._holds(self._complaint.value(over.path, over.fact), self._word(needle, env))
        if isinstance(over, Variable) and over.name not in self._bodies and isinstance(needle, Literal_):
            assert self._outcomes is not None
            return self._outcomes(f"{over.name}[{needle.value}]", Type("bool"))
        found = self._elements(over, env)
        translate = {
            "string": self._word,
            "int": self._int,
            "duration": self._int,
            "timestamp": self._int,
            "bool": self._bool,
        }
        if found is None or needle.type.kind not in translate:
            return self._open(node, env)
        wanted = translate[needle.type.kind](needle, env)
        return z3.Or([z3.And(there, element == wanted) for there, element, _ in found if z3.is_expr(element)])

    def _int(self, node: Node, env: Symbols) -> Any:
        return self._number(node, env).expr

    def _holds(self, listed: WordList, code: Any) -> Any:
        known = z3.Or([z3.And(code == each, listed.holds(each)) for each in listed.known])
        # A word that nobody names may be the one: left open for each word.
        return z3.Or(known, z3.And(listed.other, code >= len(self._complaint.words.known()), listed.holds(code)))

    # --- lists

    def _quantifier(self, node: Loop, env: Symbols) -> Any:
        found = self._elements(node.over, env) if node.macro in ("exists", "all") else None
        if found is None or node.condition is None:
            return self._open(node, env)
        tests = [(there, self._bool(node.condition, {node.entry.name: each})) for there, each, _ in found]
        if node.macro == "exists":
            return z3.Or([z3.And(there, test) for there, test in tests])
        return z3.And([z3.Implies(there, test) for there, test in tests])

    def _elements(self, node: Node, env: Symbols) -> list[tuple[Any, Any, bool]] | None:
        """(is there, element, whether it stands for one entry) of every entry that the list can have; None if open."""
        match node:
            case ListOf():
                kind = node.type.of.kind if node.type.of is not None else ""
                translate = {"string": self._word, "int": self._int, "bool": self._bool}.get(kind)
                if translate is None:
                    return None if node.items else []
                return [(z3.BoolVal(True), translate(item, env), True) for item in node.items]
            case FactAt():
                listed = self._complaint.value(node.path, node.fact)
                if isinstance(listed, Entries):
                    return [(index < listed.count, entry, True) for index, entry in enumerate(listed.fields)]
                if not isinstance(listed, WordList):
                    return None
                # A new one each time: there may be several words that nobody names.
                other = z3.Int(f"other {len(self._complaint.constraints)}")
                self._complaint.constraints.append(other >= len(self._complaint.words.known()))
                words = [(listed.holds(code), z3.IntVal(code), False) for code in listed.known]
                return [*words, (listed.other, other, False)]
            case Variable() if node.name in self._bodies:
                return self._elements(self._bodies[node.name], {})
            case Loop(macro="filter" | "map"):
                return self._loop(node, env)
        return None

    def _loop(self, node: Loop, env: Symbols) -> list[tuple[Any, Any, bool]] | None:
        over = self._elements(node.over, env)
        if over is None:
            return None
        made: list[tuple[Any, Any, bool]] = []
        for there, element, whole in over:
            within = {node.entry.name: element}
            kept = there if node.condition is None else z3.And(there, self._bool(node.condition, within))
            if node.result is None:
                made.append((kept, element, whole))
                continue
            translate = {
                "string": self._word,
                "int": self._int,
                "timestamp": self._int,
                "duration": self._int,
                "bool": self._bool,
            }
            if node.result.type.kind not in translate:
                return None
            made.append((kept, translate[node.result.type.kind](node.result, within), whole))
        return made

    # --- what is left open

    def _any_number(self, node: Node, env: Symbols) -> Number:
        if isinstance(node, Call) and node.overload in ("size_list", "list_size", "size_string", "string_size"):
            size = self._open(node, env)
            self._complaint.constraints += [size >= 0, size <= 100_000]
            return Number(size, 0, 100_000)
        limit = LONGEST_US if node.type.kind == "duration" else INT64
        return Number(self._open(node, env), -limit, limit)

    def _open(self, node: Node, env: Symbols) -> Any:
        """A new variable for the value of `node`; the same one if the same expression over the same facts comes again."""
        own = frozenset(facts_read([node], self._bodies)) & self._complaint.own
        key = (_shape(node, self._bodies), own or None, tuple((name, repr(value)) for name, value in env.items()))
        known = self._complaint.open_terms
        if key not in known:
            sort = {"bool": z3.Bool, "double": z3.Real}.get(node.type.kind, z3.Int)
            known[key] = sort(f"open {len(known)}")
        return known[key]


def _shape(node: Any, bodies: Mapping[str, Node]) -> Any:
    """The expression without its places, for comparison; variables are written out."""
    if isinstance(node, Variable) and node.name in bodies:
        return _shape(bodies[node.name], bodies)
    if isinstance(node, Fact):
        return None
    if isinstance(node, Node):
        inside = (getattr(node, each.name) for each in fields(node) if each.name not in ("offset", "fact"))
        return type(node).__name__, *(_shape(each, bodies) for each in inside)
    return tuple(_shape(each, bodies) for each in node) if isinstance(node, tuple) else node


def _range(fact: Fact) -> tuple[int, int]:
    return (-YEARS_100_US, YEARS_100_US) if fact.kind == "timestamp" else bounds(fact)


def _scaled(number: Number, factor: int) -> Number:
    ends = sorted((number.low * factor, number.high * factor))
    return Number(number.expr * factor, ends[0], ends[1])


def _checked(node: Node, number: Number) -> Number:
    limit = {"int": INT64, "duration": LONGEST_US}.get(node.type.kind)
    if limit is not None and (number.low < -limit or number.high > limit):
        raise NotCovered(f"a {node.type} could go out of range, and the decision would then be the default")
    return number


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "equals": lambda a, b: a == b,
    "not_equals": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equals": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equals": lambda a, b: a >= b,
}
