"""Mapping files: which column or path of a stranger's record holds which field of a complaint (docs/how-to/mapping.md).

YAML, read with its positions. A path is a column name (CSV) or JMESPath (JSON); a computed value is CEL over `item`. All
is checked when the file is read: every problem has its line, its column and, for a misspelt name, what may be meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from services.intake.adapters.expressions import Get
from shared.contracts.complaints import AuthorKind, Category, Channel, ContactPreference, Priority, SupportNeed
from shared.frozen import dataclass
from shared.policy.problems import Problem, describe

Kind = Literal["csv", "json"]
Status = Literal["open", "waiting", "resolved", "closed"]
FORMAT_VERSION = 1
TIMES = ("occurred_at", "incident_at", "due_at_source")
# The words that some fields are limited to: a constant or a translation must lead to one of them.
WORDS: dict[str, tuple[str, ...]] = {
    "kind": ("contact", "reply", "status"),
    "status": get_args(Status),
    "channel": get_args(Channel),
    "category": get_args(Category),
    "priority": get_args(Priority),
    "author_kind": get_args(AuthorKind),
    "customer.contact_preference": get_args(ContactPreference),
    "customer.support_needs": get_args(SupportNeed),
}
TARGETS = (
    *WORDS, *TIMES, "record_id", "event_id", "event_type", "message_id", "record_url", "in_reply_to", "subject", "text", "html",
    "language", "severity", "product", "product_detail", "issue", "issue_detail", "organisation_unit", "remedy_sought",
    "money_claimed.amount", "money_claimed.currency", "on_behalf_of", "consent_publish", "tags", "by", "reason", "customer.ref",
    "customer.name", "customer.emails", "customer.phones", "customer.locale", "customer.country", "customer.postcode",
    "customer.zone",
)  # fmt: skip
ALIASES = {
    "customer.email": "customer.emails", "customer.phone": "customer.phones", "customer.id": "customer.ref", "id": "record_id",
    "tag": "tags", "customer.support_need": "customer.support_needs",
}  # fmt: skip
SETTINGS = (
    "version", "name", "system", "zone", "items", "rest", "ignore", "nulls", "csv", "set_aside", "fields",
)  # fmt: skip
RULE_KEYS = (
    "from", "cel", "value", "values", "else", "default", "format", "zone", "region", "join", "split", "optional",
)  # fmt: skip
CSV_KEYS = ("delimiter", "quote", "encoding")
DATE_WORDS = ("iso", "unix", "unix_ms", "excel")
REST = ("custom", "ignore", "refuse")


class MappingRefused(Exception):
    """The mapping file cannot be used. `problems` are all that were found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem], text: str) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
        self._text = text
        super().__init__(self.told("mapping"))

    def told(self, origin: str) -> str:
        """All problems for a person, each with its line."""
        return "\n".join(describe(problem, origin=origin, text=self._text) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one field is found: `gets` are tried in order (all of them where `join` is set)."""

    target: str
    gets: tuple[Get, ...] = ()
    sources: tuple[str, ...] = ()
    constant: Any = None
    values: Mapping[str, Any] | None = None
    otherwise: Any = None
    default: Any = None
    formats: tuple[str, ...] = ()
    zone: ZoneInfo | None = None
    region: str | None = None
    join: str | None = None
    split: str | None = None
    optional: bool = False
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """When it is true of an item, the item is no complaint: set aside with the reason."""

    when: Get
    reason: str


@dataclass(frozen=True, slots=True)
class CsvShape:
    """How the file is written, where it should not be guessed."""

    delimiter: str | None = None
    quote: str = '"'
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A checked mapping. `digest` names its content. `spoken`: the columns and keys that it says something of."""

    version: int
    name: str
    system: str
    digest: str
    kind: Kind
    rules: Mapping[str, Rule]
    zone: ZoneInfo | None = None
    items: Get | None = None
    rest: str = "custom"
    ignore: tuple[str, ...] = ()
    nulls: frozenset[str] = frozenset()
    csv: CsvShape = CsvShape()
    set_aside: tuple[Condition, ...] = ()
    spoken: frozenset[str] = frozenset()

    @property
    def columns(self) -> dict[str, Rule]:
        """Column (or path) -> the rule that first names it."""
        found: dict[str, Rule] = {}
        for rule in self.rules.values():
            for source in rule.sources:
                found.setdefault(source, rule)
        return found
