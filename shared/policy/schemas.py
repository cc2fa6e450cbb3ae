"""The facts that conditions may read: one typed, versioned table per service.

The names are a contract: add to them, never rename. What was added to a version after its release is optional, so that
facts recorded before decide as they did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from shared.contracts.complaints import (
    AuthorKind,
    Category,
    Channel,
    ContactPreference,
    Priority,
    SupportNeed,
    TextStatus,
)
from shared.contracts.escalations import Status
from shared.policy.facts import Fact, FactSchema

THREATS = ("legal", "regulator", "press", "social", "safety", "self_harm", "violence")
HEATS = ("calm", "frustrated", "angry", "abusive")
# The kinds of remedy that follow-up knows how to check; others may occur.
REMEDIES = (
    "refund", "credit", "goodwill_payment", "replacement", "delivery", "repair", "callback", "correction", "apology",
    "explanation", "other",
)  # fmt: skip
WANTED = (
    "refund", "replacement", "repair", "compensation", "apology", "explanation", "information", "cancellation",
    "callback", "correction", "action_on_staff",
)  # fmt: skip


def _words(doc: str, values: tuple[str, ...] = (), *, neutral: str | None = None, optional: bool = False) -> Fact:
    return Fact("string", doc, values=values, neutral=neutral, optional=optional)


def _set(doc: str, values: tuple[str, ...] = (), *, open: bool = False, optional: bool = True) -> Fact:
    return Fact("string", doc, many=True, values=values, open=open, optional=optional)


def _flag(doc: str, *, optional: bool = False) -> Fact:
    return Fact("bool", doc, neutral=False, optional=optional)


def _count(doc: str) -> Fact:
    return Fact("int", doc, minimum=0, neutral=0, optional=True)


_AS_OF = Fact("timestamp", "The time of the decision: the only clock that a condition can read.")
_SEVERITY = Fact("int", "How bad it is, 1 (slight) to 5 (critical).", minimum=1, maximum=5, neutral=1)
_CATEGORY = _words("What it is about.", get_args(Category), neutral="other")
_TAGS = _set(
    "Threats that the customer made and safety details.", (*THREATS, "injury"), open=True, optional=False
)  # fmt: skip
_STATUS = _words("Where it stands.", get_args(Status), neutral="open")
_RECEIVED = Fact("timestamp", "When the first contact was received.")
_RESOLVED = Fact("timestamp", "When it was last resolved; missing while it is not.", optional=True)
_NEEDS = _set("The support needs that the customer stated.", get_args(SupportNeed))
_COUNTRY = _words("Where the customer is: two letters, as in GB.", optional=True)
_PRODUCT = _words("What was bought, in the words of the organisation's catalogue.", optional=True)
_SOURCE = _words("The name of the source that it came from, as `amends sources` lists it.", optional=True)
_HEAT = _words("How angry the customer's latest words are.", HEATS, optional=True)
_WANTED = _set("What the customer asks for.", WANTED)
_CLAIMED = Fact("double", "How much money the customer asks for.", optional=True)
_CURRENCY = _words("The currency of amount_claimed, as in GBP.", optional=True)
_REGIMES = _set("The legal regimes that apply, by the names of their packs.", open=True)

_HISTORY = Fact(
    "message",
    "The customer's earlier complaints, this one not included.",
    many=True,
    at_most=500,
    fields={
        "category": _CATEGORY,
        "opened_at": Fact("timestamp", "When it was received."),
    },
)
_CUSTOMER = Fact(
    "message",
    "Who complains, without name or address.",
    fields={
        "vulnerable": _flag("The customer stated a support need."),
        "history": _HISTORY,
        "support_needs": _NEEDS,
        "country": _COUNTRY,
    },
)

_COMPLAINT_4 = {
    "severity": _SEVERITY,
    "category": _CATEGORY,
    "tags": _TAGS,
    "status": _STATUS,
    "received_at": _RECEIVED,
    "last_contact_at": Fact("timestamp", "When the customer last heard from us or wrote to us."),
    "contact_preference": _words("How the customer wants to be contacted.", get_args(ContactPreference), neutral="any"),
    "channel": _words("How the complaint came in.", get_args(Channel), neutral="unknown", optional=True),
    "resolved_at": _RESOLVED,
    "customer": _CUSTOMER,
    "heat": _HEAT,
    "wanted": _WANTED,
    "source": _SOURCE,
    "product": _PRODUCT,
    "amount_claimed": _CLAIMED,
    "currency": _CURRENCY,
    "escalation_requested": _flag("The customer, or a person of ours, asked that somebody above deals with it.", optional=True),
    "missed_clocks": _set("The clocks that were missed, by name; a legal one as regime/name.", open=True),
    "broken_promises": _count("Promises to the customer that were broken; missing while there is none."),
    "lapsed_handoffs": _count("Hand-offs that nobody answered in time, since the last that was accepted; missing while none."),
    "reopened": _count("How often it was reopened; missing while it never was."),
    "remedy": Fact(
        "string",
        "What was given to put it right; missing while nothing was.",
        optional=True,
        open=True,
        values=REMEDIES,
    ),
    "extensions": _set("Extensions of legal limits that a person recorded with a reason, by name.", open=True),
}

_READING_1 = {
    "channel": _words("How it came in.", get_args(Channel), neutral="unknown"),
    "author_kind": _words("Who wrote it.", get_args(AuthorKind), neutral="customer"),
    "text_status": _words("Whether the text is all there.", get_args(TextStatus), neutral="complete"),
    "text_length": Fact("int", "Characters of the customer's own words, without quotes.", minimum=0, neutral=0),
    "language": _words("The language of the text: two letters, as in en.", optional=True),
    "heat": _words("How angry the words are.", HEATS, neutral="calm"),
    "threats": _set("The threats that the text makes.", THREATS, optional=False),
    "tags": _set("The tags that the source sent, and safety details.", ("injury",), open=True, optional=False),
    "support_needs": _set("The support needs that the text states.", get_args(SupportNeed), optional=False),
    "wanted": _set("What the customer asks for.", WANTED, optional=False),
    "repeated": _flag("The text says that this was reported before."),
    "issues": Fact("int", "How many issues the text raises.", minimum=0, neutral=1),
    "category": _words("What it is about, as the source says or as the text was read.", get_args(Category), neutral="other"),
    "priority": _words("The priority that the source gave.", get_args(Priority), neutral="unknown"),
    "attachments": Fact("int", "How many files came with it.", minimum=0, neutral=0),
    "received_at": _RECEIVED,
    "incident_at": Fact("timestamp", "When it happened, as the customer says.", optional=True),
    "amount_claimed": _CLAIMED,
    "currency": _CURRENCY,
    "source": _SOURCE,
    "product": _PRODUCT,
    "customer": Fact("message", "Who complains.", fields={"country": _COUNTRY}),
}  # fmt: skip

_RECORDS_1 = {
    "status": _STATUS,
    "severity": _SEVERITY,
    "category": _CATEGORY,
    "tags": _TAGS,
    "received_at": _RECEIVED,
    "resolved_at": _RESOLVED,
    "closed_at": Fact("timestamp", "When it was closed; missing while it is not.", optional=True),
    "last_event_at": Fact("timestamp", "When anything last happened."),
    "regimes": _REGIMES,
    "matters": _set(
        "What is still going on elsewhere about it.",
        ("ombudsman", "court", "regulator", "police", "insurance", "product_recall"),
    ),
    "hold_requested": _flag("A person asked that nothing is erased."),
    "erasure_requested": _flag("The customer asked for erasure."),
    "access_requested": _flag("The customer asked for a copy of their data.", optional=True),
    "remedy_paid": _flag("Money was paid or a contract was changed.", optional=True),
    "customer": Fact(
        "message",
        "Who complains.",
        fields={
            "vulnerable": _flag("The customer stated a support need."),
            "child": _flag("The customer is a child.", optional=True),
            "country": _COUNTRY,
        },
    ),
}


def _schema(name: str, service: str, fields: dict[str, Fact]) -> FactSchema:
    return FactSchema(name, service, {"as_of": _AS_OF, "complaint": Fact("message", "The complaint.", fields=fields)})


COMPLAINT_FACTS_4 = _schema("complaint-facts/4", "escalation", _COMPLAINT_4)
_SCHEMAS: dict[tuple[str, str], FactSchema] = {
    (schema.service, schema.name): schema
    for schema in (
        _schema("intake-facts/1", "intake", _READING_1),
        COMPLAINT_FACTS_4,
        replace(COMPLAINT_FACTS_4, service="followup"),
        _schema("records-facts/1", "records", _RECORDS_1),
    )
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
