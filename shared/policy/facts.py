"""The facts that conditions may read: one typed, versioned table per service.

Facts hold no text of the customer and no identifiers. A fact is required unless it says `optional`; a required one that
is missing makes the decision the default, marked degraded. The names are a contract: add to them, never rename.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from shared.contracts.complaints import Category, Channel, ContactPreference
from shared.contracts.escalations import Status

FactKind = Literal["bool", "int", "double", "string", "timestamp", "message"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, or a message of facts.

    `values`: the words that it can hold; with `open` these are the known ones and others may occur. `many`: a list of
    at most `at_most` entries. `neutral`: what a test of a policy assumes when it says nothing. Only values are
    optional, never a message.
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

    def paths(self) -> Iterator[str]:
        """Every fact by its dotted path, for suggestions."""
        yield from _paths("", self.facts)


def _paths(prefix: str, facts: Mapping[str, Fact]) -> Iterator[str]:
    for name, fact in facts.items():
        yield prefix + name
        if not fact.many:
            yield from _paths(f"{prefix}{name}.", fact.fields)


_HISTORY = Fact(
    "message",
    "The customer's earlier complaints, this one not included.",
    many=True,
    at_most=500,
    fields={
        "category": Fact("string", "What it was about.", values=get_args(Category), neutral="other"),
        "opened_at": Fact("timestamp", "When it was received."),
    },
)
_CUSTOMER = Fact(
    "message",
    "Who complains, without name or address.",
    fields={
        "vulnerable": Fact("bool", "The customer stated a support need.", neutral=False),
        "history": _HISTORY,
    },
)
# The kinds of remedy that follow-up knows how to check; others may occur.
REMEDIES = (
    "refund", "credit", "goodwill_payment", "replacement", "delivery", "repair", "callback", "correction", "apology",
    "explanation", "other",
)  # fmt: skip
_COMPLAINT_4: dict[str, Fact] = {
    "severity": Fact("int", "How bad it is, 1 (slight) to 5 (critical).", minimum=1, maximum=5, neutral=1),
    "category": Fact("string", "What it is about.", values=get_args(Category), neutral="other"),
    "tags": Fact(
        "string",
        "Threats that the customer made and safety details.",
        many=True,
        open=True,
        values=("legal", "regulator", "press", "social", "safety", "self_harm", "violence", "injury"),
    ),
    "status": Fact("string", "Where it stands.", values=get_args(Status), neutral="open"),
    "received_at": Fact("timestamp", "When the first contact was received."),
    "last_contact_at": Fact("timestamp", "When the customer last heard from us or wrote to us."),
    "contact_preference": Fact(
        "string", "How the customer wants to be contacted.", values=get_args(ContactPreference), neutral="any"
    ),
    "channel": Fact("string", "How the complaint came in.", optional=True, values=get_args(Channel), neutral="unknown"),
    "resolved_at": Fact("timestamp", "When it was last resolved; missing while it is not.", optional=True),
    "remedy": Fact(
        "string", "What was given to put it right; missing while nothing was.", optional=True, open=True, values=REMEDIES
    ),
    "customer": _CUSTOMER,
}
_AS_OF = Fact("timestamp", "The time of the decision: the only clock that a condition can read.")
_TABLE: dict[str, Fact] = {"as_of": _AS_OF, "complaint": Fact("message", "The complaint.", fields=_COMPLAINT_4)}

COMPLAINT_FACTS_4 = FactSchema("complaint-facts/4", "escalation", _TABLE)
_SCHEMAS: dict[tuple[str, str], FactSchema] = {
    (service, COMPLAINT_FACTS_4.name): replace(COMPLAINT_FACTS_4, service=service)
    for service in ("escalation", "followup")
}


def services() -> tuple[str, ...]:
    """The services that have a fact schema."""
    return tuple(service for service, _ in _SCHEMAS)


def versions(service: str) -> tuple[str, ...]:
    """The names of a service's fact schemas, oldest first."""
    return tuple(name for owner, name in _SCHEMAS if owner == service)


def schema(service: str, name: str) -> FactSchema:
    """The schema of that service and version. Raises KeyError."""
    return _SCHEMAS[service, name]
