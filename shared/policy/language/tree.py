"""A checked condition as a typed tree: what evaluation, explanation and analysis all work from.

It holds only what `cel-subset/1` admits. `offset` is the character in the condition's text, for messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from shared.policy.facts import Fact


@dataclass(frozen=True, slots=True)
class Type:
    """bool, int, double, string, timestamp, duration, message (its name in `name`), or list (of `of`)."""

    kind: Literal["bool", "int", "double", "string", "timestamp", "duration", "message", "list"]
    of: Type | None = None
    name: str = ""

    def __str__(self) -> str:
        return f"list of {self.of}" if self.kind == "list" else self.name or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    type: Type
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal_(Node):
    """A constant of the text."""

    value: bool | int | float | str | timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class FactAt(Node):
    """A fact of the schema by its path, such as ("complaint", "severity")."""

    path: tuple[str, ...]
    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable(Node):
    """`variables.<name>` of the document, or `outcome.<name>` in an invariant."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Node):
    """The loop variable: one entry of the list that the enclosing Loop runs over. `fact` describes it, where known."""

    name: str
    fact: Fact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Node):
    """A field of an Entry (or of a message inside one)."""

    of: Entry | Member
    name: str
    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Present(Node):
    """has(...)."""

    of: FactAt | Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    """An operator or function by the front end's overload id, such as "less_int64"."""

    overload: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction(Node):
    """All (&&) or any (||) of the terms, a chain flattened into one node."""

    every: bool
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Node):
    """condition ? then : otherwise."""

    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Node):
    """[a, b, c]."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(Node):
    """A macro over `over`. `condition` is the test, optional for map; `result` is what map makes."""

    macro: Literal["exists", "all", "filter", "map"]
    entry: Entry
    over: Node
    condition: Node | None = None
    result: Node | None = None


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Member() | Present():
            return (node.of,)
        case Call():
            return node.args
        case Junction():
            return node.terms
        case Choice():
            return (node.condition, node.then, node.otherwise)
        case ListOf():
            return node.items
        case Loop():
            return tuple(part for part in (node.over, node.condition, node.result) if part is not None)
    return ()


def walk(node: Node) -> tuple[Node, ...]:
    """The node and all below it."""
    found: list[Node] = [node]
    for part in found:
        found.extend(parts(part))
    return tuple(found)
