"""What a fact is: the types of the tables in `schemas.py`, which say what conditions may read.

Facts hold no text of the customer and no identifiers. A fact is required unless it says `optional`; a required one that
is missing makes the decision the default, marked degraded. The names are a contract: add to them, never rename.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FactKind = Literal["bool", "int", "double", "string", "timestamp", "message"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, or a message of facts.

    `values`: the words that it can hold; with `open` these are the known ones and others may occur. `many`: a list of
    at most `at_most` entries. `neutral`: what a test of a policy assumes when it says nothing. Only values are
    optional, never a message; an optional list that is missing is empty, as in CEL, and needs no guard.
    """

    kind: FactKind
    doc: str = ""
    many: bool = False
    optional: bool = False
    values: tuple[str, ...] = ()
    open: bool = False
    minimum: int | None = None
    maximum: int | None = None
    at_most: int = 100
    neutral: Any = None
    fields: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def guarded(self) -> bool:
        """Whether a condition must ask has(...) before it reads it."""
        return self.optional and not self.many

    def as_json(self) -> dict[str, Any]:
        """The table's entry for people and editors."""
        shown: dict[str, Any] = {"type": f"list<{self.kind}>" if self.many else self.kind, "description": self.doc}
        if self.optional:
            shown["optional"] = True
        if self.values:
            shown["values"] = list(self.values)
            if self.open:
                shown["other_values"] = True
        for name in ("minimum", "maximum"):
            if getattr(self, name) is not None:
                shown[name] = getattr(self, name)
        if self.many:
            shown["at_most"] = self.at_most
        if self.fields:
            shown["fields"] = {name: fact.as_json() for name, fact in self.fields.items()}
        return shown


@dataclass(frozen=True, slots=True, eq=False)
class FactSchema:
    """The facts of one service, under a version that documents name in `spec.facts`."""

    name: str
    service: str
    facts: Mapping[str, Fact]

    def as_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "facts": self.name,
            "functions": {"days(n)": "a duration of n times 24 hours", "hours(n)": "a duration of n hours"},
            "fields": {name: fact.as_json() for name, fact in self.facts.items()},
        }

    def at(self, path: str) -> Fact | None:
        """The fact of a dotted path; None if there is none."""
        fields, found = self.facts, None
        for name in path.split("."):
            found = fields.get(name)
            if found is None:
                return None
            fields = {} if found.many else found.fields
        return found

    def paths(self) -> Iterator[str]:
        """Every fact by its dotted path, for suggestions."""
        yield from _paths("", self.facts)


def _paths(prefix: str, facts: Mapping[str, Fact]) -> Iterator[str]:
    for name, fact in facts.items():
        yield prefix + name
        if not fact.many:
            yield from _paths(f"{prefix}{name}.", fact.fields)
