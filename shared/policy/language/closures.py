"""Compiles a checked condition to nested Python functions: fast, and nothing is ever handed to `exec` or `eval`.

A function takes the values of one decision (`Values`): a list with a slot for each fact, variable and loop variable. It
raises Fault where CEL ends in an error. Semantics are Google's: int64 range, no conversions, && and || absorb errors.
"""

from __future__ import annotations

from typing import Any

from shared.policy.language.loading import ABSENT, Compiled, Fault, Layout, Values, exact_type, taker
from shared.policy.language.operators import one_argument, slot_with_constant, two_arguments
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


def compile_expression(node: Node, layout: Layout) -> Compiled:
    """The function of a whole condition or variable. Slots that it needs are added to `layout`."""
    layout.begin()
    return compile_node(node, layout)


def compile_node(node: Node, layout: Layout) -> Compiled:
    match node:
        case Literal_():
            return _constant(node.value)
        case FactAt():
            return _slot(layout.fact(node.path, node.fact), ".".join(node.path), optional=node.fact.guarded)
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
    key, take, as_it_is = node.name, taker(node.name, node.fact), exact_type(node.fact)
    missing = f"an entry has no {key}"
    if not isinstance(node.of, Entry):
        of = compile_node(node.of, layout)

        def read(v: Values) -> Any:
            try:
                return take(of(v)[key])
            except KeyError:
                raise Fault(missing) from None

        return read
    slot = layout.entry(node.of.name)

    def read_entry(v: Values) -> Any:  # the same for the common case, run once per entry of a list
        try:
            value = v[slot][key]
        except KeyError:
            raise Fault(missing) from None
        return value if type(value) is as_it_is else take(value)

    return read_entry


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

        def both(v: Values) -> Any:
            try:
                if not first(v):
                    return False
            except Fault:
                if not second(v):
                    return False
                raise
            return second(v)

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

        def either(v: Values) -> Any:
            try:
                if first(v):
                    return True
            except Fault:
                if second(v):
                    return True
                raise
            return second(v)

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

    def loop(v: Values) -> Any:
        failed: Fault | None = None
        for entry in over(v):
            v[slot] = entry
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
        for entry in over(v):
            v[slot] = entry
            if condition(v):
                kept.append(entry)
        return kept

    return loop


def _map(over: Compiled, slot: int, condition: Compiled | None, result: Compiled) -> Compiled:
    def loop(v: Values) -> list[Any]:
        made = []
        for entry in over(v):
            v[slot] = entry
            if condition is None or condition(v):
                made.append(result(v))
        return made

    return loop


def _call(node: Call, layout: Layout) -> Compiled:
    value = _constant_value(node)
    if value is not None:
        return _constant(value)
    one = one_argument(node.overload)
    if one is not None:
        only = compile_node(node.args[0], layout)
        return lambda v: one(only(v))
    first, second = node.args
    with_constant, known = slot_with_constant(node.overload), _constant_value(second)
    if with_constant is not None and known is not None and isinstance(first, FactAt) and not first.fact.guarded:
        return with_constant(layout.fact(first.path, first.fact), known)
    if node.overload == "in_list" and isinstance(first, Literal_) and isinstance(second, FactAt):
        needle, slot = first.value, layout.fact(second.path, second.fact)
        if not second.fact.guarded and not _of_doubles(second):
            return lambda v: needle in v[slot]
    build = two_arguments(node.overload, doubles_in_list=_of_doubles(second))
    return build(compile_node(first, layout), compile_node(second, layout))


def _constant_value(node: Node) -> Any:
    """The value of a literal, or of a function of one such as days(28); None if it reads something or fails."""
    if isinstance(node, Literal_):
        return node.value
    if isinstance(node, Call) and isinstance(node.args[0], Literal_):
        one = one_argument(node.overload)
        try:
            return None if one is None else one(node.args[0].value)
        except Fault:
            return None
    return None


def _of_doubles(node: Node) -> bool:
    return node.type.of is not None and node.type.of.kind == "double"
