"""What an adapter finds in one delivery, said in the adapter's terms and kept as submissions within the contract's bounds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from services.intake.adapters import fields
from services.intake.adapters.canonical import MAX_SUBJECT, MAX_TEXT, SEVERITY_OF
from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    Identity,
    Item,
    Rejection,
    ReplySubmission,
    SetAside,
    StatusSubmission,
)
from shared.contracts.complaints import (
    Attachment,
    AuthorKind,
    Channel,
    Contact,
    Customer,
    Raw,
    Source,
    TextStatus,
    Thread,
)
from shared.text.characters import clean
from shared.text.html import safe_html, to_text
from shared.text.quotes import strip_reply

Status = Literal["open", "waiting", "resolved", "closed"]
MAX_HTML = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message as the sender's payload has it: values loose, meaning exact. `at` are the times that it may have
    occurred at, the best first. `pending`: the payload does not carry the text. `record_key` is what makes contacts one
    complaint, where that is not the record itself."""

    record_id: str
    event_id: str
    event_type: Any = None
    record_key: str | None = None
    record_url: Any = None
    message_id: Any = None
    at: tuple[Any, ...] = ()
    channel: Channel = "unknown"
    channel_raw: Any = None
    author_kind: AuthorKind = "customer"
    customer: Customer = field(default_factory=Customer)
    subject: Any = None
    text: Any = None
    html: Any = None
    pending: bool = False
    language: Any = None
    attachments: tuple[Attachment, ...] = ()
    priority: Any = None
    product: Any = None
    issue: Any = None
    unit: Any = None
    due_at: Any = None
    tags: Any = None
    custom: Any = None
    parent: Any = None
    completes: Any = None


def customer(
    *,
    ref: Any = None,
    name: Any = None,
    emails: tuple[Any, ...] = (),
    phones: tuple[Any, ...] = (),
    locale: Any = None,
    country: Any = None,
    postcode: Any = None,
    zone: Any = None,
    region: str | None = None,
) -> Customer:
    """The person, from loose values."""
    return Customer(
        ref=fields.ident(ref),
        name=fields.short(name),
        emails=fields.emails(emails),
        phones=fields.phones(phones, region),
        locale=fields.language(locale),
        country=fields.short(country),
        postcode=fields.short(postcode),
        zone=fields.short(zone),
    )


def attachments(
    values: Any,
    name: str,
    url: str,
    media_type: str,
    size: str = "size",
    default_type: str = "application/octet-stream",
) -> tuple[Attachment, ...]:
    """Attachments from a list of objects: which of their keys hold the name, address, media type and size."""
    found = []
    for each in fields.objects(values)[:100]:
        bytes_ = each.get(size)
        address = fields.short(each.get(url), 2048)
        found.append(
            Attachment(
                name=fields.short(each.get(name))
                or (address or "attachment").rpartition("/")[2].partition("?")[0][:255]
                or "attachment",
                media_type=fields.short(each.get(media_type)) or default_type,
                size=bytes_
                if isinstance(bytes_, int) and not isinstance(bytes_, bool) and 0 <= bytes_ < 2**53
                else None,
                ref=address,
            )
        )
    return tuple(found)


class Collected:
    """The items of one delivery, in order. `system` is the name that events carry for the sender's software."""

    def __init__(self, delivery: Delivery, system: str) -> None:
        self.items: list[Item] = []
        self._delivery = delivery
        self._system = system
        self._sha256 = hashlib.sha256(delivery.body).digest()
        self._zone = fields.zone_of(delivery.options)

    def digest(self) -> str:
        """The content's own id, for senders that give none."""
        return self._sha256.hex()

    def contact(self, said: Said) -> None:
        """The customer, or someone for them, wrote or called."""
        identity, contact = self._message(said)
        self.items.append(ContactSubmission(identity, contact))

    def reply(self, said: Said) -> None:
        """The organisation's staff answered the customer."""
        identity, contact = self._message(said)
        self.items.append(ReplySubmission(identity, contact.model_copy(update={"author_kind": "agent"})))

    def status(self, said: Said, status: Status, raw: Any, *, by: Any = None, reason: Any = None) -> None:
        """The record changed its status."""
        when = self._when(said)
        self.items.append(
            StatusSubmission(
                self._identity(said),
                self._source(said),
                status,
                fields.short(raw),
                when[0],
                fields.short(by),
                fields.short(reason, 2000),
            )
        )

    def set_aside(self, said: Said, reason: str) -> None:
        """Nothing of the customer: kept with the reason, never answered."""
        self.items.append(SetAside(self._identity(said), self._source(said), reason[:255]))

    def reject(self, event_id: str | None, field: str, reason: str, record_id: str | None = None) -> None:
        """An item that lacks what it needs."""
        self.items.append(Rejection(event_id, field, reason, record_id))

    def _identity(self, said: Said) -> Identity:
        return Identity(bounded(said.event_id), bounded(said.record_key or said.record_id), self._sha256)

    def _source(self, said: Said) -> Source:
        return Source(
            system=self._system,
            instance=self._delivery.source,
            record_id=bounded(said.record_id),
            event_id=bounded(said.event_id),
            event_type=fields.short(said.event_type),
            record_url=fields.short(said.record_url, 2048),
        )

    def _when(self, said: Said) -> fields.Moment:
        for value in said.at:
            found = fields.moment(value, self._zone)
            if found is not None:
                return found
        return fields.Moment(self._delivery.received_at, "receipt_time")

    def _message(self, said: Said) -> tuple[Identity, Contact]:
        when = self._when(said)
        words = _words(said)
        priority = fields.priority(said.priority)
        due = fields.moment(said.due_at, self._zone)
        parent = fields.ident(said.parent)
        return self._identity(said), Contact(
            source=self._source(said),
            message_id=None if (message := fields.ident(said.message_id)) is None else bounded(message),
            occurred_at=when.time,
            occurred_at_quality=when.quality,
            received_at=self._delivery.received_at,
            channel=said.channel,
            channel_raw=fields.short(said.channel_raw),
            author_kind=said.author_kind,
            customer=said.customer,
            subject=fields.short(said.subject, MAX_SUBJECT),
            text=words.text,
            text_status=words.status,
            text_full=words.full,
            html=words.html,
            thread=None if parent is None else Thread(in_reply_to=parent),
            language=fields.language(said.language),
            attachments=said.attachments,
            priority=priority,
            priority_source=fields.short(
                said.priority if not isinstance(said.priority, dict) else fields.first(said.priority, "name", "value")
            ),
            severity=SEVERITY_OF[priority],
            product=fields.short(said.product),
            issue=fields.short(said.issue),
            organisation_unit=fields.short(said.unit),
            due_at_source=None if due is None else due.time,
            tags=fields.tags(said.tags),
            custom=fields.scalars(said.custom),
            completes=fields.ident(said.completes),
            raw=Raw(
                delivery_id=self._delivery.id,
                item=len(self.items),
                sha256=self._sha256.hex(),
                content_type=fields.short(self._delivery.content_type) or "application/octet-stream",
            ),
        )


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    status: TextStatus
    full: str | None
    html: str | None


def _words(said: Said) -> _Words:
    """The customer's words: text where the sender has it, otherwise what a reader of the HTML sees."""
    html = said.html if isinstance(said.html, str) and said.html.strip() else None
    safe = None if html is None else safe_html(clean(html))
    text = said.text if isinstance(said.text, str) and said.text.strip() else None
    if text is None:
        text = "" if html is None else to_text(html)
    whole = clean(text).strip("\n")
    if not whole.strip():
        return _Words("", "pending_fetch" if said.pending else "empty", None, None)
    new, changed = strip_reply(whole) if said.channel == "email" else (whole, False)
    status: TextStatus = "stripped" if changed else "complete"
    if said.pending:
        status = "pending_fetch"
    elif len(new) > MAX_TEXT:
        status = "truncated"
    return _Words(
        new[:MAX_TEXT],
        status,
        whole[:MAX_TEXT] if changed else None,
        None if safe is None or len(safe) > MAX_HTML else safe,
    )


def bounded(name: str) -> str:
    """An id that fits its column: one that is too long keeps its start and gets its own hash."""
    if len(name) <= fields.MAX_SHORT:
        return name
    return f"{name[:180]}~{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"
