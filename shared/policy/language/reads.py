"""Which inputs decided: what a condition that came out true had to read, with the values that it saw.

Of an `a || b` that is true, one true side is enough; of an `a && b` that is false, one false side. So the inputs of a
matched rule are those without which it would not have matched, not everything that its text names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_jsonable_python

from shared.policy.language.closures import compile_node
from shared.policy.language.loading import ABSENT, Fault, Layout, Values
from shared.policy.language.tree import Call, Entry, FactAt, Junction, Loop, Member, Node, Type, Variable, parts


@dataclass(frozen=True, slots=True)
class Read:
    """One input: the path as it is recorded, and how its value is taken from the values as JSON."""

    path: str
    value: Callable[[Values], Any]


Reads = tuple[Read, ...]
Witness = Callable[[Values], Reads]


class Recorder:
    """Finds the reads of conditions of one document. `bodies` holds the trees of its variables, by qualified name."""

    def __init__(self, layout: Layout, bodies: Mapping[str, Node]) -> None:
        self._layout = layout
        self._bodies = bodies
        self._made: dict[str, Read] = {}

    def all_of(self, node: Node) -> Reads:
        """Everything that the condition may read, in the order of its text: a variable, then what it reads."""
        found: dict[str, Read] = {}
        self._collect(node, {}, found)
        return tuple(found.values())

    def witness(self, node: Node, truth: bool = True) -> Witness:
        """A function that gives the reads that make the condition `truth`, for values where it is."""
        self._layout.begin()
        return self._witness(node, truth)

    def _witness(self, node: Node, truth: bool) -> Witness:
        everything = self.all_of(node)
        if isinstance(node, Call) and node.overload == "logical_not":
            return self._witness(node.args[0], not truth)
        if not isinstance(node, Junction):
            return lambda v: everything
        if node.every is not truth and len({self.all_of(term) for term in node.terms}) > 1:
            tests = [(compile_node(term, self._layout), self._witness(term, truth)) for term in node.terms]
            return _first(tests, truth, everything)
        inner = [self._witness(term, truth) for term in node.terms]
        if not any(_chooses(term) for term in node.terms):
            return lambda v: everything
        return lambda v: tuple(dict.fromkeys(read for each in inner for read in each(v)))

    def _collect(self, node: Node, loops: dict[str, Node], found: dict[str, Read]) -> None:
        match node:
            case FactAt():
                self._add(found, node)
            case Variable():
                self._variable(node, found)
            case Member():
                self._member(node, loops, found)
            case Loop():
                within = {**loops, node.entry.name: node.over}
                before = len(found)
                for part in (node.condition, node.result):
                    if part is not None:
                        self._collect(part, within, found)
                inside = tuple(found)[before:]
                base = _base(node.over, self._bodies)
                if base is None or not any(path.startswith(f"{'.'.join(base.path)}[]") for path in inside):
                    self._collect(node.over, loops, found)
            case _:
                for part in parts(node):
                    self._collect(part, loops, found)

    def _variable(self, node: Variable, found: dict[str, Read]) -> None:
        slot, show = self._layout.variable(node.name), _shown_as(node.type)
        if show is not None and node.name not in found:
            found[node.name] = self._read(node.name, lambda v: None if v[slot] is ABSENT else show(v[slot]))
        self._collect(self._bodies[node.name], {}, found)

    def _member(self, node: Member, loops: dict[str, Node], found: dict[str, Read]) -> None:
        steps, of = [node.name], node.of
        while isinstance(of, Member):
            steps.append(of.name)
            of = of.of
        base = _base(loops[of.name], self._bodies) if of.name in loops else None
        show = _shown_as(node.type)
        if base is None or show is None:
            return
        slot, path = self._layout.fact(base.path, base.fact), f"{'.'.join(base.path)}[].{'.'.join(reversed(steps))}"
        keys = tuple(reversed(steps))

        def values(v: Values) -> Any:
            if (entries := v[slot]) is ABSENT:
                return None
            try:
                if len(keys) == 1:
                    key = keys[0]
                    return [entry[key] for entry in entries] if show is _itself else [show(e[key]) for e in entries]
            except (KeyError, AttributeError):
                pass  # an optional field, or one of another type
            return [_at(entry, keys, show) for entry in entries]

        found.setdefault(path, self._read(path, values))

    def _add(self, found: dict[str, Read], node: FactAt) -> None:
        slot, path = self._layout.fact(node.path, node.fact), ".".join(node.path)
        if node.fact.kind == "message":
            if node.fact.many:
                found.setdefault(f"{path}.size()", self._read(f"{path}.size()", lambda v: _or_none(v[slot], len)))
            return
        show = _shown_as(Type("list", of=Type(node.fact.kind)) if node.fact.many else Type(node.fact.kind))
        assert show is not None
        found.setdefault(path, self._read(path, lambda v: _or_none(v[slot], show)))

    def _read(self, path: str, value: Callable[[Values], Any]) -> Read:
        return self._made.setdefault(path, Read(path, value))


def inputs(reads: Iterable[Read], v: Values) -> dict[str, Any]:
    """Path -> JSON value. Times are ISO 8601 in UTC, durations seconds as CEL writes them ("86400s")."""
    return {read.path: read.value(v) for read in reads}


def _first(tests: list[tuple[Callable[[Values], Any], Witness]], truth: bool, everything: Reads) -> Witness:
    def choose(v: Values) -> Reads:
        for test, reads in tests:
            try:
                if test(v) is truth:
                    return reads(v)
            except Fault:
                continue
        return everything

    return choose


def _chooses(node: Node) -> bool:
    return isinstance(node, Junction) or (isinstance(node, Call) and node.overload == "logical_not")


def _base(over: Node, bodies: Mapping[str, Node]) -> FactAt | None:
    """The list of facts that a loop runs over in the end."""
    match over:
        case FactAt():
            return over
        case Loop(macro="filter"):
            return _base(over.over, bodies)
        case Loop(macro="map", result=Entry()):
            return _base(over.over, bodies)
        case Variable():
            return _base(bodies[over.name], bodies)
    return None


def _or_none(value: Any, show: Callable[[Any], Any]) -> Any:
    return None if value is ABSENT else show(value)


def _at(entry: Mapping[str, Any], keys: tuple[str, ...], show: Callable[[Any], Any]) -> Any:
    value: Any = entry
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    try:
        return None if value is None else show(value)
    except (AttributeError, TypeError, ValueError):
        return None  # not of the declared type: the condition ends in a fault, and says so


def _shown_as(kind: Type) -> Callable[[Any], Any] | None:
    """How a value of that type goes into JSON; None for messages."""
    if kind.kind == "list":
        assert kind.of is not None
        show = _shown_as(kind.of)
        if show is None:
            return None
        return list if show is _itself else lambda value: [show(each) for each in value]
    if kind.kind == "timestamp":
        return instant_text
    if kind.kind == "duration":
        return duration_text
    return None if kind.kind == "message" else _itself


def _itself(value: Any) -> Any:
    return value


def instant_text(value: datetime) -> str:
    """2026-03-02T17:30:00Z, with microseconds only where there are some."""
    text: str = to_jsonable_python(value if value.tzinfo is UTC else value.astimezone(UTC))  # isoformat is slow
    return text


def duration_text(value: timedelta) -> str:
    """86400s, or 0.5s."""
    if not value.microseconds:
        return f"{value.days * 86_400 + value.seconds}s"
    return f"{value.total_seconds():.6f}".rstrip("0") + "s"
