"""From the facts of one decision to the slots that compiled conditions read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from shared.policy.facts import Fact

Values = list[Any]
Compiled = Callable[[Values], Any]
Path = tuple[str, ...]


class Fault(Exception):
    """A condition cannot be evaluated: a required fact is missing or of another type, or a value is out of range."""


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


class Layout:
    """Which slot of the values holds what. Grows while conditions are compiled."""

    def __init__(self) -> None:
        self.facts: dict[Path, tuple[int, Fact]] = {}
        self.variables: dict[str, int] = {}
        self.bodies: dict[int, Compiled] = {}
        self._entries: dict[str, int] = {}
        self.size = 0

    def _new(self) -> int:
        self.size += 1
        return self.size - 1

    def fact(self, path: Path, fact: Fact) -> int:
        if path not in self.facts:
            self.facts[path] = (self._new(), fact)
        return self.facts[path][0]

    def variable(self, name: str) -> int:
        return self.variables[name]

    def define(self, name: str, body: Compiled) -> None:
        """Give the variable `name` its slot and the function that computes it."""
        slot = self.variables[name] = self._new()
        self.bodies[slot] = body

    def begin(self) -> None:
        """Start the next expression: its loop variables get slots of their own."""
        self._entries.clear()

    def entry(self, name: str) -> int:
        """The slot of a loop variable. In one expression loops are never nested, so those of one name can share it."""
        if name not in self._entries:
            self._entries[name] = self._new()
        return self._entries[name]


_EXPECTED = {
    "int": "a whole number",
    "bool": "true or false",
    "string": "text",
    "double": "a finite decimal number",
    "timestamp": "a time with its zone",
    "message": "an object",
}
# Values of exactly these types are taken as they are, which is quicker than to ask.
_AS_IT_IS: dict[str, type] = {"int": int, "bool": bool, "string": str}


def exact_type(fact: Fact) -> type | None:
    """The Python type whose values are taken as they are; None if each value must be looked at."""
    return None if fact.many else _AS_IT_IS.get(fact.kind)


def taker(path: str, fact: Fact) -> Callable[[Any], Any]:
    """A function that checks a value against its fact and returns it in the form that conditions work on."""

    def refuse(value: Any, expected: str) -> Fault:
        return Fault(
            f"{path} is missing" if value is None else f"{path} must be {expected}, not {type(value).__name__}"
        )

    def instant(value: Any) -> datetime:
        # Python subtracts two times of one zone by their wall clocks, so all are brought to UTC first.
        if isinstance(value, datetime) and value.tzinfo is not None:
            try:
                return value if value.tzinfo is UTC else value.astimezone(UTC)
            except OverflowError:
                raise Fault(f"{path} is before the year 1 or after 9999") from None
        raise refuse(value, _EXPECTED["timestamp"])

    if fact.many:
        fits, expected, at_most = _FITS[fact.kind], f"a list, each {_EXPECTED[fact.kind]}", fact.at_most

        def several(value: Any) -> list[Any]:
            if not isinstance(value, (list, tuple)):
                raise refuse(value, expected)
            if len(value) > at_most:
                raise Fault(f"{path} has more than {at_most} entries")
            if fact.kind == "timestamp":
                return [instant(each) for each in value]
            for each in value:
                if not fits(each):
                    raise refuse(each, expected)
            return value if isinstance(value, list) else list(value)

        return several
    if fact.kind == "timestamp":
        return instant
    fits_one, expected_one = _FITS[fact.kind], _EXPECTED[fact.kind]

    def one(value: Any) -> Any:
        if fits_one(value):
            return value
        raise refuse(value, expected_one)

    return one


_FITS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "bool": lambda value: type(value) is bool,
    "string": lambda value: isinstance(value, str),
    "double": lambda value: type(value) is float and math.isfinite(value),
    "message": lambda value: isinstance(value, Mapping),
    "timestamp": lambda value: isinstance(value, datetime),
}


def loader(layout: Layout) -> Callable[[Mapping[str, Any]], Values]:
    """A function that reads the facts of the layout's paths, and only those, into fresh values. Raises Fault."""
    template = [ABSENT] * layout.size
    for slot, fact in layout.facts.values():
        if fact.many and fact.optional:
            template[slot] = []  # read only
    groups: dict[Path, list[tuple[str, int, type | None, Callable[[Any], Any], str | None]]] = {}
    for path, (slot, fact) in layout.facts.items():
        name = ".".join(path)
        required = None if fact.optional else name
        groups.setdefault(path[:-1], []).append((path[-1], slot, exact_type(fact), taker(name, fact), required))
    plan = [(parent, tuple(fields)) for parent, fields in groups.items()]

    def load(facts: Mapping[str, Any]) -> Values:
        v = template.copy()
        for parent, fields in plan:
            message = facts
            for step in parent:
                message = message.get(step, ())
                if not isinstance(message, Mapping):
                    raise Fault(f"{'.'.join(parent)} is missing")
            for key, slot, as_it_is, take, required in fields:
                value = message.get(key)
                if type(value) is as_it_is:
                    v[slot] = value
                elif value is not None:
                    v[slot] = take(value)
                elif required is not None:
                    raise Fault(f"{required} is missing")
        return v

    return load


def load_what_is_there(layout: Layout, facts: Mapping[str, Any]) -> Values:
    """The values that can be read, for the record of a decision that could not be made; the rest is ABSENT."""
    v = [ABSENT] * layout.size
    for path, (slot, fact) in layout.facts.items():
        value: Any = facts
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        try:
            v[slot] = ABSENT if value is None else taker(".".join(path), fact)(value)
        except Fault:
            continue
    return v
