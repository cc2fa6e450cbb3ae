"""The canonical JSON of `POST /v1/complaints`: one object, a list, or NDJSON. Unknown fields are refused, not lost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from services.intake.adapters.fields import moment, phone, tags
from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    Identity,
    Item,
    Rejection,
    ReplySubmission,
    SetAside,
    StatusSubmission,
    Unreadable,
)
from shared.contracts.complaints import (
    Attachment,
    AuthorKind,
    Category,
    Channel,
    Contact,
    ContactPreference,
    Money,
    Priority,
    Raw,
    Short,
    Source,
    SupportNeed,
    Tag,
    TimeQuality,
)
from shared.text.characters import clean

MAX_ITEMS = 1_000
MAX_TEXT = 100_000
MAX_SUBJECT = 998
Id = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
LongText = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
YEARS = range(1900, 2200)


def _in_utc(time: datetime) -> datetime:
    # Deadlines are worked out from these times: none may leave what a date can hold.
    if time.year not in YEARS:
        raise PydanticCustomError("year", "the year should be between 1900 and 2199")
    return time.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
# The sender's wish is not our severity, but it is the best hint until the text is read.
SEVERITY_OF: dict[str, int] = {"low": 1, "normal": 2, "high": 3, "urgent": 4, "unknown": 2}


class Given(BaseModel):
    """A part of the canonical item as the sender gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GivenCustomer(Given):
    ref: Short | None = None
    name: Short | None = None
    emails: Annotated[tuple[Short, ...], Field(max_length=20)] = ()
    phones: Annotated[tuple[Short, ...], Field(max_length=20)] = ()
    locale: Short | None = None
    country: Short | None = None
    postcode: Short | None = None
    zone: Short | None = None
    contact_preference: ContactPreference = "any"
    support_needs: tuple[SupportNeed, ...] = ()


class GivenContact(Given):
    """A contact (the default kind) or a reply of the organisation."""

    kind: Literal["contact", "reply"] = "contact"
    event_id: Id = Field(description="Your id of this message: the idempotency key. Sending it again is harmless.")
    record_id: Id = Field(description="Your case, ticket or thread: contacts of one record are one complaint.")
    event_type: Short | None = None
    system: Short = "api"
    record_url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    message_id: Short | None = None
    occurred_at: Moment | None = Field(None, description="When the customer acted, with offset; default: now.")
    occurred_at_quality: TimeQuality | None = None
    channel: Channel = "api"
    channel_raw: Short | None = None
    author_kind: AuthorKind = "customer"
    customer: GivenCustomer = GivenCustomer()
    on_behalf_of: bool | None = None
    subject: Annotated[str, StringConstraints(max_length=MAX_SUBJECT)] | None = None
    text: LongText = Field("", description="The customer's own words, whole.")
    language: Short | None = None
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=100)] = ()
    priority: Priority = "unknown"
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    category: Category = "other"
    product: Short | None = None
    issue: Short | None = None
    organisation_unit: Short | None = None
    remedy_sought: Short | None = None
    money_claimed: Money | None = None
    incident_at: Moment | None = None
    due_at_source: Moment | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=100)] = ()
    custom: Annotated[dict[str, str | int | float | bool], Field(max_length=100)] = {}


class GivenStatus(Given):
    """Your system changed the status of the record."""

    kind: Literal["status"]
    event_id: Id
    record_id: Id
    event_type: Short | None = None
    system: Short = "api"
    status: Literal["open", "waiting", "resolved", "closed"]
    status_source: Short | None = None
    occurred_at: Moment | None = None
    by: Short | None = None
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None


CANONICAL_ITEM: TypeAdapter[GivenContact | GivenStatus] = TypeAdapter(GivenContact | GivenStatus)


def item_schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schemas of one item and of a list of items, for OpenAPI."""
    one = CANONICAL_ITEM.json_schema()
    return one, {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": {"type": "object"}}


class Canonical:
    """Reads the canonical JSON."""

    name = "canonical"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        values = _ndjson(delivery.body) if delivery.content_type == "application/x-ndjson" else _json(delivery.body)
        if len(values) > MAX_ITEMS:
            raise Unreadable(
                413, "Too many items", f"One request holds at most {MAX_ITEMS} items; this one has {len(values)}."
            )
        return [read_item(delivery, number, value) for number, value in enumerate(values)]


def loosened(value: dict[str, Any]) -> dict[str, Any]:
    """An item whose sender cannot be asked to mend it: null is absent, ids may be numbers, words that are not known are
    `unknown`, and what is no field of ours goes under `custom`."""
    known = (GivenStatus if value.get("kind") == "status" else GivenContact).model_fields
    item: dict[str, Any] = {}
    custom = {k: v for k, v in _object(value.get("custom")).items() if isinstance(v, str | int | float)}
    for name, given in value.items():
        if given is None or name == "custom":
            continue
        if name in _TIMES:
            found = moment(given)
            if found is None:  # a time that nobody can read is no reason to lose the words
                custom[f"{name}_raw"] = str(given)[:255]
            else:
                item[name] = found.time.isoformat()
                if name == "occurred_at" and "occurred_at_quality" in known:
                    item.setdefault("occurred_at_quality", found.quality)
            continue
        if name == "tags":
            given = list(tags(given))
        if name in _IDS and isinstance(given, int) and not isinstance(given, bool):
            given = str(given)
        if name in known:
            item[name] = given
        elif isinstance(given, str | int | float):
            custom[name] = given
    for name, words, otherwise in _CLOSED:
        if name in item and name in known and item[name] not in words:
            if name == "channel" and isinstance(item[name], str):
                item.setdefault("channel_raw", item[name][:255])
            item[name] = otherwise
    if "customer" in item:
        fields = GivenCustomer.model_fields
        person = {k: v for k, v in _object(item["customer"]).items() if k in fields and v is not None}
        for name in ("emails", "phones"):
            if isinstance(person.get(name), str):
                person[name] = [person[name]]
        if isinstance(person.get("ref"), int):
            person["ref"] = str(person["ref"])
        item["customer"] = person
    return item | ({"custom": dict(list(custom.items())[:100])} if custom and "custom" in known else {})


_TIMES = ("occurred_at", "incident_at", "due_at_source")
_IDS = ("event_id", "record_id", "message_id")
_CLOSED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("channel", get_args(Channel), "unknown"),
    ("category", get_args(Category), "other"),
    ("priority", get_args(Priority), "unknown"),
    ("author_kind", get_args(AuthorKind), "unknown"),
)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def read_item(delivery: Delivery, number: int, value: Any) -> Item:
    """One canonical item (a JSON value) of a delivery."""
    if not isinstance(value, dict):
        return Rejection(None, "item", "must be a JSON object")
    event_id = value.get("event_id")
    try:
        given = (GivenStatus if value.get("kind") == "status" else GivenContact).model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        told = isinstance(event_id, str) and all(e["loc"] != ("event_id",) for e in errors)
        return Rejection(event_id if told else None, _field(errors[0]["loc"]), _reason(errors[0]))
    sha256 = hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()
    identity = Identity(given.event_id, given.record_id, sha256)
    source = Source(
        system=given.system,
        instance=delivery.source,
        record_id=given.record_id,
        event_id=given.event_id,
        event_type=given.event_type,
    )
    if isinstance(given, GivenStatus):
        occurred_at = given.occurred_at or delivery.received_at
        return StatusSubmission(
            identity, source, given.status, given.status_source, occurred_at, given.by, given.reason
        )
    if given.author_kind in ("bot", "system"):
        return SetAside(identity, source, f"written by a {given.author_kind}, not by a person")
    contact = _contact(delivery, number, given, source, sha256)
    if given.kind == "reply" or given.author_kind == "agent":
        return ReplySubmission(identity, contact)
    return ContactSubmission(identity, contact)


def _contact(delivery: Delivery, number: int, given: GivenContact, source: Source, sha256: bytes) -> Contact:
    if given.record_url is not None:
        source = source.model_copy(update={"record_url": given.record_url})
    customer = given.customer
    region = customer.country.upper() if customer.country is not None and len(customer.country) == 2 else None
    text = clean(given.text)  # which can lengthen it: NFC takes some characters apart
    return Contact(
        source=source,
        message_id=given.message_id,
        occurred_at=given.occurred_at or delivery.received_at,
        occurred_at_quality=given.occurred_at_quality or ("exact" if given.occurred_at else "receipt_time"),
        received_at=delivery.received_at,
        channel=given.channel,
        channel_raw=given.channel_raw,
        author_kind=given.author_kind,
        customer={
            **customer.__dict__,
            "phones": [phone(raw, region) for raw in customer.phones],
        },
        on_behalf_of=given.on_behalf_of,
        subject=None if given.subject is None else clean(given.subject)[:MAX_SUBJECT],
        text=text[:MAX_TEXT],
        text_status="empty" if not text else "complete" if len(text) <= MAX_TEXT else "truncated",
        language=given.language,
        attachments=given.attachments,
        priority=given.priority,
        priority_source=None if given.priority == "unknown" else given.priority,
        severity=given.severity or SEVERITY_OF[given.priority],
        category=given.category,
        product=given.product,
        issue=given.issue,
        organisation_unit=given.organisation_unit,
        remedy_sought=given.remedy_sought,
        money_claimed=given.money_claimed,
        incident_at=given.incident_at,
        due_at_source=given.due_at_source,
        tags=given.tags,
        custom=given.custom,
        raw=Raw(delivery_id=delivery.id, item=number, sha256=sha256.hex(), content_type=delivery.content_type),
    )


def _json(body: bytes) -> list[Any]:
    value = _loads(body, "")
    return value if isinstance(value, list) else [value]


def _ndjson(body: bytes) -> list[Any]:
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    return [_loads(line, f"line {number}: ") for number, line in lines[: MAX_ITEMS + 1]]


def _loads(body: bytes, where: str) -> Any:
    if not body.strip():
        raise Unreadable(400, "Empty body", f"{where}the body is empty; send one JSON object, a list, or NDJSON.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            body.decode()
        except UnicodeDecodeError as undecodable:
            detail = f"{where}the body is not UTF-8 (byte {undecodable.start}); JSON is always UTF-8."
            raise Unreadable(400, "Not UTF-8", detail) from None
        place = f"column {error.colno}" if where else f"line {error.lineno}, column {error.colno}"
        detail = f"{where}the body is not JSON: {error.msg} ({place})."
        raise Unreadable(400, "Malformed JSON", detail) from None


def _field(location: tuple[int | str, ...]) -> str:
    """Where in the item. A key that the sender chose may be anything: only plain names are repeated."""
    names = (
        str(part) if isinstance(part, int) or (part.isidentifier() and len(part) <= 64) else "(key)"
        for part in location
    )
    return ".".join(names) or "item"


# Where the validator's own words would tell a sender little.
_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of the canonical complaint; put your own fields under `custom`",
    "string_type": "must be text, in quotes",
    "string_pattern_mismatch": "must hold no control characters",
    "timezone_aware": "must have a zone: add Z or an offset, as in 2026-03-02T09:00:00Z",
    "datetime_parsing": "must be a time such as 2026-03-02T09:00:00Z",
    "datetime_from_date_parsing": "must be a time such as 2026-03-02T09:00:00Z",
    "datetime_type": "must be a time such as 2026-03-02T09:00:00Z",
}
_SUBJECT = re.compile(r"^(?:input|value|string|list|tuple|dictionary) should ")


def _reason(error: Any) -> str:
    if error["loc"][-1:] == ("currency",):
        return "must be three capital letters, as in EUR"
    if error["type"] in _REASONS:
        return _REASONS[error["type"]]
    text: str = error["msg"]
    return _SUBJECT.sub("must ", text[0].lower() + text[1:])
