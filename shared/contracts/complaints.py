"""The canonical complaint and the events of the topic `complaints`, written by intake.

The customer's words (`text`) are kept whole; what is derived stands beside them, never instead. Times are UTC.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    WithJsonSchema,
)

from shared.contracts.envelope import EventData

Channel = Literal[
    "email", "web_form", "portal", "chat", "messaging", "sms", "social", "voice", "postal", "fax", "in_person",
    "referral", "api", "unknown",
]  # fmt: skip
Category = Literal[
    "billing", "delivery", "product_quality", "service_quality", "staff_conduct", "account_access",
    "contract_cancellation", "data_privacy", "safety", "website_app", "fraud", "returns_refunds", "other",
]  # fmt: skip
SupportNeed = Literal[
    "bereavement", "illness", "disability", "financial_hardship", "older_age", "language_barrier", "domestic_abuse",
    "mental_health", "caring_duties", "child",
]  # fmt: skip
Heat = Literal["calm", "frustrated", "angry", "abusive"]
Threat = Literal["legal", "regulator", "press", "social", "safety", "self_harm", "violence"]
Wanted = Literal[
    "refund", "replacement", "repair", "compensation", "apology", "explanation", "information", "cancellation",
    "callback", "correction", "action_on_staff",
]  # fmt: skip
AuthorKind = Literal["customer", "representative", "agent", "bot", "system", "unknown"]
Priority = Literal["low", "normal", "high", "urgent", "unknown"]
TimeQuality = Literal["exact", "date_only", "assumed_zone", "receipt_time"]
TextStatus = Literal["complete", "stripped", "truncated", "pending_fetch", "redacted_by_source", "empty"]
ContactPreference = Literal["any", "email", "phone", "sms", "post", "none"]
Answer = Literal["yes", "partly", "no"]
Short = Annotated[str, StringConstraints(max_length=255)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _plain(amount: Decimal) -> Decimal:
    return Decimal(format(amount, "f"))


# Lower case before the length is checked: some letters become two, and what was written must be readable.
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True), BeforeValidator(_lower)]
# Written without an exponent, whatever was given ("1e3").
Amount = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=4),
    AfterValidator(_plain),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]{1,18}(\.[0-9]{1,4})?$"}),
]
# JSON has no infinity: it would be written as null, which no reader takes.
Scalar = str | int | FiniteFloat | bool


class Part(BaseModel):
    """A part of an event's data: frozen, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Phone(Part):
    raw: Short
    e164: Short | None = None


class Customer(Part):
    """Who complains. `ref` is the sender's own id of the person. `support_needs` only as stated, never guessed."""

    ref: Short | None = None
    name: Short | None = None
    emails: Annotated[tuple[Short, ...], Field(max_length=20)] = ()
    phones: Annotated[tuple[Phone, ...], Field(max_length=20)] = ()
    locale: Short | None = None
    country: Short | None = None
    postcode: Short | None = None
    zone: Short | None = None
    contact_preference: ContactPreference = "any"
    support_needs: tuple[SupportNeed, ...] = ()


class Money(Part):
    """An amount with its ISO 4217 currency; a decimal, never a float."""

    amount: Amount
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Attachment(Part):
    name: Short
    media_type: Short = "application/octet-stream"
    size: int | None = None
    sha256: Short | None = None
    ref: Annotated[str, StringConstraints(max_length=2048)] | None = None


class Source(Part):
    """Where a contact came from: the source is `instance` here; the case is `record_id`, the message `event_id`."""

    system: Short
    instance: Short
    record_id: Short
    event_id: Short
    event_type: Short | None = None
    record_url: Annotated[str, StringConstraints(max_length=2048)] | None = None


class Raw(Part):
    """The untouched delivery that this was read from: kept in intake's database under `delivery_id`."""

    delivery_id: UUID
    item: int
    sha256: Short
    content_type: Short


class Thread(Part):
    """The messages that a mail answers, by their ids, the first of the conversation first."""

    in_reply_to: Short | None = None
    references: Annotated[tuple[Short, ...], Field(max_length=50)] = ()


class Passage(Part):
    """Where the text shows a finding (`threat.legal`, `heat.insult`, ...): characters `start` to `end`."""

    finding: Short
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class Issue(Part):
    """One thing that is wrong, in the customer's words."""

    number: Annotated[int, Field(ge=1)]
    text: Annotated[str, StringConstraints(max_length=400)]


class PolicyCitation(Part):
    """Which rules of which document decided, and the inputs that decided: enough to recompute the decision.

    `inputs` maps a fact's path to the value that was read. `degraded` says that a fact was missing or a rule failed, so
    that the default was taken. `activation` is what put this version in force (0: the service's packaged default, not yet
    recorded). `late`: by the time of the decision another version was in force already. `policy_lag`: the service could
    not be sure to know every activation. `facts` is everything that the policy was given, `outcome` what it answered. Of
    policies that decide together, only the first one's citation holds the facts: they are those of all.
    """

    id: str
    version: int
    digest: str
    rules: tuple[str, ...]
    inputs: dict[str, Any]
    degraded: bool = False
    activation: int | None = None
    late: bool | None = None
    policy_lag: bool | None = None
    facts: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None


class Reading(Part):
    """What the text says, by the organisation's rules (`rules`: id/version); beside the words, never instead of them.

    `heat` says how the customer writes and nothing more. `escalation`: the customer asks that somebody above deals with
    it, such as a manager. `severity_rules` are those of intake's policy that matched, and
    `severity_by` cites the decision. `rules_activation` is what put the reading rules in force (0: packaged, not yet recorded).
    """

    rules: Short
    language: Short
    language_confidence: Annotated[float, Field(ge=0, le=1)]
    heat: Heat
    threats: tuple[Threat, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    repeated: bool = False
    escalation: bool = False
    issues: Annotated[tuple[Issue, ...], Field(max_length=20)] = ()
    impact: Annotated[str, StringConstraints(max_length=400)] | None = None
    passages: Annotated[tuple[Passage, ...], Field(max_length=100)] = ()
    severity_rules: tuple[Short, ...] = ()
    severity_by: PolicyCitation | None = None
    rules_digest: Short | None = None
    rules_activation: int | None = None
    acknowledge: bool = False


class Contact(Part):
    """One message about a complaint, as it was read.

    `text` is what the customer wrote anew; `text_full`, where it differs, all that the message holds. `html` is safe to
    show: no scripts, no images, nothing that is fetched. `completes` is the message id of an earlier contact that this one
    is the rest of: the text that was still to be fetched, or a later record of the same call. `answer`: the text is what the
    customer added to this answer to our question whether it is solved.
    """

    source: Source
    message_id: Short | None = None
    occurred_at: AwareDatetime
    occurred_at_quality: TimeQuality
    received_at: AwareDatetime
    channel: Channel = "unknown"
    channel_raw: Short | None = None
    author_kind: AuthorKind = "customer"
    customer: Customer = Customer()
    on_behalf_of: bool | None = None
    subject: Annotated[str, StringConstraints(max_length=998)] | None = None
    text: Annotated[str, StringConstraints(max_length=100_000)] = ""
    text_status: TextStatus = "complete"
    text_full: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    html: Annotated[str, StringConstraints(max_length=200_000)] | None = None
    thread: Thread | None = None
    completes: Short | None = None
    answer: Answer | None = None
    language: Short | None = None
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=100)] = ()
    priority: Priority = "unknown"
    priority_source: Short | None = None
    severity: Annotated[int, Field(ge=1, le=5)] = 2
    category: Category = "other"
    product: Short | None = None
    product_detail: Short | None = None
    issue: Short | None = None
    issue_detail: Short | None = None
    organisation_unit: Short | None = None
    remedy_sought: Short | None = None
    money_claimed: Money | None = None
    incident_at: AwareDatetime | None = None
    consent_publish: bool | None = None
    due_at_source: AwareDatetime | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=100)] = ()
    custom: dict[str, Scalar] = {}
    reading: Reading | None = None
    raw: Raw


class EarlierComplaint(Part):
    """Another complaint of the same customer: the same address or number, or the same person of the same source."""

    complaint_id: UUID
    category: Category = "other"
    opened_at: AwareDatetime


class ComplaintReceived(EventData):
    """A new complaint: the first contact about a record. `history`: what the customer complained of before, the newest first."""

    TYPE: ClassVar[str] = "amends.complaint.received.v1"
    contact: Contact
    history: Annotated[tuple[EarlierComplaint, ...], Field(max_length=20)] = ()


class ContactAdded(EventData):
    """The customer (or someone for them) wrote again about the same record."""

    TYPE: ClassVar[str] = "amends.complaint.contact_added.v1"
    contact: Contact


class ReplySent(EventData):
    """The organisation answered the customer, as the contact centre reports it."""

    TYPE: ClassVar[str] = "amends.complaint.reply_sent.v1"
    contact: Contact


class StatusReported(EventData):
    """The contact centre says that its record changed status. Escalation decides what that means here."""

    TYPE: ClassVar[str] = "amends.complaint.status_reported.v1"
    source: Source
    status: Literal["open", "waiting", "resolved", "closed"]
    status_source: Short | None = None
    occurred_at: AwareDatetime
    received_at: AwareDatetime
    by: Short | None = None
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None
    raw: Raw


class Returned(Part):
    """One of our own letters that came back: the id of its message, and what the mail system says (RFC 3463, `5.1.1`)."""

    letter: UUID
    status: Short | None = None


class SubmissionSetAside(EventData):
    """A submission that is no complaint (auto-reply, bounce, bot, private note): kept, never answered.

    A bounce of one of our letters is about the complaint that the letter was about: `returned` says which letter.
    """

    TYPE: ClassVar[str] = "amends.submission.set_aside.v1"
    source: Source
    reason: Short
    received_at: AwareDatetime
    raw: Raw
    returned: Returned | None = None


class SubmissionRejected(EventData):
    """A submission that was accepted but cannot be used; the sender's mistake, named in `reason`."""

    TYPE: ClassVar[str] = "amends.submission.rejected.v1"
    source: Source
    reason: Short
    received_at: AwareDatetime
    raw: Raw


class ComplaintMerged(EventData):
    """Somebody found that this complaint and `into` are one. What comes for it from now on belongs to `into`."""

    TYPE: ClassVar[str] = "amends.complaint.merged.v1"
    into: UUID
    by: Short
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None


class MergeUndone(EventData):
    """The merge was a mistake: this complaint stands for itself again. What `into` was given meanwhile stays there."""

    TYPE: ClassVar[str] = "amends.complaint.merge_undone.v1"
    into: UUID
    by: Short
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None


class RepeatSuspected(EventData):
    """This complaint may be the same as `of`, a live one of the same customer. A proposal: a person merges the two or dismisses it.

    `matched` is how the customer was known again (email, phone, customer_ref); `similarity` the share of words that the two have in
    common where they say what is wrong (0 to 1), none where one of them says too little.
    """

    TYPE: ClassVar[str] = "amends.complaint.repeat_suspected.v1"
    of: UUID
    opened_at: AwareDatetime
    matched: Annotated[tuple[Short, ...], Field(max_length=10)]
    same_category: bool
    similarity: Annotated[float, Field(ge=0, le=1)] | None = None


class RepeatDismissed(EventData):
    """Somebody looked: this complaint and `of` are two."""

    TYPE: ClassVar[str] = "amends.complaint.repeat_dismissed.v1"
    of: UUID
    by: Short
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None
