"""Compiles a checked condition to nested Python functions: fast, and nothing is ever handed to `exec` or `eval`.

A function takes the values of one decision (`Values`): a list with a slot for each fact, variable and loop variable. It
raises Fault where CEL ends in an error. Semantics are Google's: int64 range, no conversions, && and || absorb errors.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shared.policy.language.loading import ABSENT, Fault, Layout, Values, taker
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
    Variable,
)

Compiled = Callable[[Values], Any]

# CEL's range of durations: 10,000 years of 365.25 days... and the least a timestamp can hold.
_LONGEST = timedelta(seconds=315_576_000_000)
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def compile_node(node: Node, layout: Layout) -> Compiled:
    """The function of a condition. Slots that it needs are added to `layout`."""
    match node:
        case Literal_():
            return _constant(node.value)
        case FactAt():
            return _slot(layout.fact(node.path, node.fact), ".".join(node.path), optional=node.fact.optional)
        case Variable():
            return _variable(layout.variable(node.name), layout)
        case Entry():
            return _entry(layout.entry(node.name))
        case Member():
            return _member(node, layout)
        case Present():
            return _present(node, layout)
        case Junction():
            terms = [compile_node(term, layout) for term in node.terms]
            return _every(terms) if node.every else _any(terms)
        case Choice():
            condition, then, otherwise = (compile_node(p, layout) for p in (node.condition, node.then, node.otherwise))
            return lambda v: then(v) if condition(v) else otherwise(v)
        case ListOf():
            return _list(node, layout)
        case Loop():
            return _loop(node, layout)
        case Call():
            return _call(node, layout)
    raise AssertionError(f"a tree holds no {type(node).__name__}")


def _constant(value: Any) -> Compiled:
    return lambda v: value


def _slot(slot: int, path: str, *, optional: bool) -> Compiled:
    if not optional:
        return lambda v: v[slot]

    def read(v: Values) -> Any:
        if (value := v[slot]) is ABSENT:
            raise Fault(f"{path} is missing")
        return value

    return read


def _variable(slot: int, layout: Layout) -> Compiled:
    """Computed once per decision, when first asked for."""
    bodies = layout.bodies

    def read(v: Values) -> Any:
        if (value := v[slot]) is ABSENT:
            value = v[slot] = bodies[slot](v)
        return value

    return read


def _entry(slot: int) -> Compiled:
    return lambda v: v[slot]


def _member(node: Member, layout: Layout) -> Compiled:
    of, key, take = compile_node(node.of, layout), node.name, taker(node.name, node.fact)

    def read(v: Values) -> Any:
        try:
            value = of(v)[key]
        except (KeyError, TypeError):
            raise Fault(f"an entry has no {key}") from None
        return take(value)

    return read


def _present(node: Present, layout: Layout) -> Compiled:
    if isinstance(node.of, FactAt):
        slot = layout.fact(node.of.path, node.of.fact)
        return lambda v: v[slot] is not ABSENT
    of, key = compile_node(node.of.of, layout), node.of.name

    def read(v: Values) -> bool:
        return of(v).get(key) is not None

    return read


def _every(terms: list[Compiled]) -> Compiled:
    """False if any term is false; else the error of one that failed; else true."""
    if len(terms) == 2:
        first, second = terms

        def both(v: Values) -> bool:
            try:
                if not first(v):
                    return False
            except Fault:
                if not second(v):
                    return False
                raise
            return bool(second(v))

        return both

    def every(v: Values) -> bool:
        failed: Fault | None = None
        for term in terms:
            try:
                if not term(v):
                    return False
            except Fault as fault:
                failed = fault
        if failed is not None:
            raise failed
        return True

    return every


def _any(terms: list[Compiled]) -> Compiled:
    """True if any term is true; else the error of one that failed; else false."""
    if len(terms) == 2:
        first, second = terms

        def either(v: Values) -> bool:
            try:
                if first(v):
                    return True
            except Fault:
                if second(v):
                    return True
                raise
            return bool(second(v))

        return either

    def some(v: Values) -> bool:
        failed: Fault | None = None
        for term in terms:
            try:
                if term(v):
                    return True
            except Fault as fault:
                failed = fault
        if failed is not None:
            raise failed
        return False

    return some


def _list(node: ListOf, layout: Layout) -> Compiled:
    items = [compile_node(item, layout) for item in node.items]
    if all(isinstance(item, Literal_) for item in node.items):
        return _constant([item([]) for item in items])
    return lambda v: [item(v) for item in items]


def _loop(node: Loop, layout: Layout) -> Compiled:
    over = compile_node(node.over, layout)
    slot = layout.entry(node.entry.name)
    condition = None if node.condition is None else compile_node(node.condition, layout)
    result = None if node.result is None else compile_node(node.result, layout)
    if node.macro in ("exists", "all"):
        assert condition is not None
        return _quantifier(over, slot, condition, decides=node.macro == "exists")
    if node.macro == "filter":
        assert condition is not None
        return _filter(over, slot, condition)
    assert result is not None
    return _map(over, slot, condition, result)


def _quantifier(over: Compiled, slot: int, condition: Compiled, *, decides: bool) -> Compiled:
    """exists ends at the first true, all at the first false; an error counts only if no entry decides."""

    def loop(v: Values) -> bool:
        failed: Fault | None = None
        for v[slot] in over(v):
            try:
                if condition(v) is decides:
                    return decides
            except Fault as fault:
                failed = fault
        if failed is not None:
            raise failed
        return not decides

    return loop


def _filter(over: Compiled, slot: int, condition: Compiled) -> Compiled:
    def loop(v: Values) -> list[Any]:
        kept = []
        for v[slot] in over(v):
            if condition(v):
                kept.append(v[slot])
        return kept

    return loop


def _map(over: Compiled, slot: int, condition: Compiled | None, result: Compiled) -> Compiled:
    def loop(v: Values) -> list[Any]:
        made = []
        for v[slot] in over(v):
            if condition is None or condition(v):
                made.append(result(v))
        return made

    return loop


# --- operators and functions: by overload id; the sign alone decides where Python's operator means the same

_Two = Callable[[Compiled, Compiled], Compiled]
_COMPARE: dict[str, tuple[_Two, Callable[[int, Any], Compiled]]] = {
    "equals": (lambda a, b: lambda v: a(v) == b(v), lambda i, c: lambda v: v[i] == c),
    "not_equals": (lambda a, b: lambda v: a(v) != b(v), lambda i, c: lambda v: v[i] != c),
    "less": (lambda a, b: lambda v: a(v) < b(v), lambda i, c: lambda v: v[i] < c),
    "less_equals": (lambda a, b: lambda v: a(v) <= b(v), lambda i, c: lambda v: v[i] <= c),
    "greater": (lambda a, b: lambda v: a(v) > b(v), lambda i, c: lambda v: v[i] > c),
    "greater_equals": (lambda a, b: lambda v: a(v) >= b(v), lambda i, c: lambda v: v[i] >= c),
}


def _int64(value: int) -> int:
    if _LOWEST <= value <= _HIGHEST:
        return value
    raise Fault("a whole number is out of range (64 bits)")


def _length(value: timedelta) -> timedelta:
    if -_LONGEST <= value <= _LONGEST:
        return value
    raise Fault("a duration is out of range")


def _same(value: Any) -> Any:
    return value


def _arithmetic(operate: Callable[[Any, Any], Any], bound: Callable[[Any], Any]) -> _Two:
    def build(a: Compiled, b: Compiled) -> Compiled:
        def compute(v: Values) -> Any:
            try:
                return bound(operate(a(v), b(v)))
            except OverflowError:
                raise Fault("a time or duration is out of range") from None

        return compute

    return build


_BOUNDS: dict[str, Callable[[Any], Any]] = {"int64": _int64, "duration_duration": _length, "timestamp_timestamp": _length}
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
}
_ONE: dict[str, Callable[[Any], Any]] = {
    "logical_not": lambda a: not a,
    "negate_int64": lambda a: _int64(-a),
    "negate_double": lambda a: -a,
    **dict.fromkeys(("size_list", "list_size", "size_string", "string_size"), len),
}
_TWO: dict[str, _Two] = {
    "in_list": lambda a, b: lambda v: a(v) in b(v),
    "contains_string": lambda a, b: lambda v: b(v) in a(v),
    "starts_with_string": lambda a, b: lambda v: a(v).startswith(b(v)),
    "ends_with_string": lambda a, b: lambda v: a(v).endswith(b(v)),
}


def _span(unit: str, count: int) -> timedelta:
    try:
        return _length(timedelta(**{unit: count}))
    except OverflowError:
        raise Fault(f"{unit}({count}) is out of range") from None


def _call(node: Call, layout: Layout) -> Compiled:
    value = constant(node)
    if value is not None:
        return _constant(value)
    args = [compile_node(arg, layout) for arg in node.args]
    overload = node.overload
    if overload in _ONE:
        one, only = _ONE[overload], args[0]
        return lambda v: one(only(v))
    if overload in ("days(int)", "hours(int)"):
        unit, count = overload.removesuffix("(int)"), args[0]
        return lambda v: _span(unit, count(v))
    left, right = args
    if _compares_doubles_in_lists(node):
        return _TWO_DOUBLES[overload](left, right)
    if overload == "in_list" and isinstance(node.args[0], Literal_) and isinstance(node.args[1], FactAt):
        needle, slot = node.args[0].value, layout.fact(node.args[1].path, node.args[1].fact)
        return (lambda v: needle in v[slot]) if not node.args[1].fact.optional else _TWO["in_list"](left, right)
    if overload in _TWO:
        return _TWO[overload](left, right)
    name, _, kind = overload.partition("_")
    if name in _SIGNS:
        return _arithmetic(_SIGNS[name], _BOUNDS.get(kind, _same))(left, right)
    general, of_slot = _COMPARE[overload if overload in _COMPARE else overload.rpartition("_")[0]]
    fact, known = node.args[0], constant(node.args[1])
    if isinstance(fact, FactAt) and not fact.fact.optional and known is not None:
        return of_slot(layout.fact(fact.path, fact.fact), known)
    return general(left, right)


def constant(node: Node) -> Any:
    """The value of a node that reads nothing, None if it reads something or fails."""
    if isinstance(node, Literal_):
        return node.value
    if isinstance(node, Call) and all(isinstance(arg, Literal_) for arg in node.args) and len(node.args) == 1:
        argument: Any = node.args[0].value if isinstance(node.args[0], Literal_) else None
        try:
            if node.overload in _ONE:
                return _ONE[node.overload](argument)
            if node.overload in ("days(int)", "hours(int)"):
                return _span(node.overload.removesuffix("(int)"), argument)
        except Fault:
            return None
    return None


# Python's `in` and == on lists take an object as equal to itself; CEL's NaN is equal to nothing.
_TWO_DOUBLES: dict[str, _Two] = {
    "in_list": lambda a, b: lambda v: any(each == x for x in (a(v),) for each in b(v)),
    "equals": lambda a, b: lambda v: _equal_doubles(a(v), b(v)),
    "not_equals": lambda a, b: lambda v: not _equal_doubles(a(v), b(v)),
}


def _equal_doubles(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True))


def _compares_doubles_in_lists(node: Call) -> bool:
    kind = node.args[1].type
    return node.overload in _TWO_DOUBLES and kind.kind == "list" and kind.of is not None and kind.of.kind == "double"
