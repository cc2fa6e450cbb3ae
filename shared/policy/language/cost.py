"""An upper bound of what a condition costs, from its text and the caps on lists of facts alone.

A step is about one operator on one value (roughly a tenth of a microsecond). Sizes count: a loop costs its body times
the longest list, a comparison of texts or lists their longest length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.policy.language.tree import (
    Call,
    Choice,
    Entry,
    FactAt,
    ListOf,
    Literal_,
    Loop,
    Member,
    Node,
    Variable,
    parts,
)

MAX_STEPS = 5_000_000  # of all conditions of a document together
MAX_TEXT = 100_000  # characters that a text put together can have
FACT_TEXT = 1_000  # characters that a fact is taken to have
_WORD = 40  # what so many characters cost more, when texts are compared or put together


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many `steps`; the value has at most `length` entries (a list) or characters (a text), each of `inner`."""

    steps: int
    length: int = 1
    inner: int = 1

    @property
    def weight(self) -> int:
        """Steps to look at the whole value once."""
        return max(1, self.length // _WORD if self.inner == 1 else self.length * max(1, self.inner // _WORD))


class TooCostly(Exception):
    """The condition could take too long, or too much memory."""


def bound(node: Node, variables: Mapping[str, Bound]) -> Bound:
    """The bound of a condition; `variables` holds those of the variables, which are computed once. Raises TooCostly."""
    return _bound(node, variables, {})


def _bound(node: Node, variables: Mapping[str, Bound], entries: Mapping[str, Bound]) -> Bound:
    match node:
        case Literal_():
            return Bound(1, len(node.value) if isinstance(node.value, str) else 1)
        case FactAt():
            length = FACT_TEXT if node.fact.kind == "string" else 1
            return Bound(1, node.fact.at_most, length + 1) if node.fact.many else Bound(1, length)
        case Member():
            return Bound(2, FACT_TEXT if node.fact.kind == "string" else 1)
        case Variable():
            known = variables.get(node.name, Bound(1))
            return Bound(1, known.length, known.inner)
        case Entry():
            return entries.get(node.name, Bound(1))
        case Loop():
            return _loop(node, variables, entries)
    below = [_bound(part, variables, entries) for part in parts(node)]
    steps = 1 + sum(each.steps for each in below)
    match node:
        case ListOf():
            return Bound(steps, len(below), 1 + max((each.length for each in below), default=1))
        case Choice():
            return Bound(steps, max(b.length for b in below[1:]), max(b.inner for b in below[1:]))
        case Call(overload="add_string"):
            length = sum(each.length for each in below)
            if length > MAX_TEXT:
                raise TooCostly(f"this could make a text of more than {MAX_TEXT} characters")
            return Bound(steps + length // _WORD, length)
        case Call():
            return Bound(steps + sum(each.weight for each in below))
    return Bound(steps)


def _loop(node: Loop, variables: Mapping[str, Bound], entries: Mapping[str, Bound]) -> Bound:
    over = _bound(node.over, variables, entries)
    within = {**entries, node.entry.name: Bound(1, max(1, over.inner - 1))}
    body = [_bound(part, variables, within) for part in (node.condition, node.result) if part is not None]
    steps = over.steps + over.length * (1 + sum(each.steps for each in body))
    if steps > MAX_STEPS:
        raise TooCostly(f"this loop could take {steps:,} steps; a document may take {MAX_STEPS:,}")
    if node.macro in ("exists", "all"):
        return Bound(steps)
    inner = over.inner if node.result is None else 1 + body[-1].length * body[-1].inner
    return Bound(steps, over.length, inner)
