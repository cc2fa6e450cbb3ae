"""The adapter boundary: what one delivery (bytes and headers, as they came) holds. Pure.

An adapter turns a `Delivery` into submissions: each is a contact, a reply, a status, set aside, or a rejection with its
reason. It keeps no state, asks nobody and never raises on bad input: what cannot be read at all is `Unreadable`.

Whoever called `POST /v1/complaints` is told of a rejection and nothing is stored. Who sends webhooks, mail or files has
been answered already: there a rejection is kept as an outcome of its own (`Rejected`), and a delivery that cannot be read
goes to the dead letters whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from shared.contracts.complaints import Contact, Source
from shared.contracts.letters import LetterId
from shared.frozen import dataclass, field


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request, mail or file as it came. `source` is the name of the source that sent it.

    `headers` has lower-case names, and only those that an adapter may need (never a credential). `content_type` is the
    media type in lower case, without parameters. `options` are the source's settings of today (a mapping, a time zone):
    not stored with the delivery, so that one read again is read by the mended mapping.
    """

    id: UUID
    source: str
    received_at: datetime
    content_type: str
    headers: Mapping[str, str]
    body: bytes
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which message of the sender this is (`event_id`, the idempotency key), about which record, with which content."""

    event_id: str
    record_id: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class ContactSubmission:
    """The customer (or someone for them) wrote."""

    identity: Identity
    contact: Contact


@dataclass(frozen=True, slots=True)
class ReplySubmission:
    """The organisation answered the customer."""

    identity: Identity
    contact: Contact


@dataclass(frozen=True, slots=True)
class StatusSubmission:
    """The contact centre reports the status of its record."""

    identity: Identity
    source: Source
    status: Literal["open", "waiting", "resolved", "closed"]
    status_source: str | None
    occurred_at: datetime
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Bounced:
    """The letters whose ids a bounce quotes, the addresses in it, and what the mail system says (RFC 3463)."""

    letters: tuple[LetterId, ...]
    addresses: tuple[str, ...]
    status: str | None


@dataclass(frozen=True, slots=True)
class SetAside:
    """No complaint: an auto-reply, a bot, a private note. Kept, never answered. `bounced`: it may be about a letter of ours."""

    identity: Identity
    source: Source
    reason: str
    bounced: Bounced | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that cannot be used. `field` and `reason` say where and why, without repeating the content."""

    event_id: str | None
    field: str
    reason: str
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejection whose sender was answered already: kept, so that it is seen."""

    identity: Identity
    source: Source
    reason: str


Submission = ContactSubmission | ReplySubmission | StatusSubmission | SetAside | Rejected
Item = Submission | Rejection


WHOLE = -1  # the item number of a delivery that cannot be read


@dataclass(frozen=True, slots=True)
class Unread:
    """A delivery whose sender was answered already and that cannot be read: it is parked whole, and can be read again."""

    identity: Identity
    reason: str


_KINDS: dict[type, str] = {
    ContactSubmission: "contact", ReplySubmission: "reply", StatusSubmission: "status", SetAside: "set_aside", Rejected: "rejected",
}  # fmt: skip


def kind_of(submission: Submission) -> str:
    """What a submission was read as, in one word."""
    return _KINDS[type(submission)]


class Unreadable(Exception):
    """The delivery as a whole cannot be read. `status` is the HTTP status for senders who can be told."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


class Adapter(Protocol):
    """How one kind of sender is read."""

    @property
    def name(self) -> str: ...

    def read(self, delivery: Delivery) -> Sequence[Item]:
        """The items of the delivery, in order. Raises only Unreadable."""
        ...


def unread(delivery: Delivery, reason: str) -> Unread:
    """The delivery as one submission. Its content is its id: what is sent again unchanged is there already."""
    sha256 = hashlib.sha256(delivery.body).digest()
    name = f"unread:{sha256.hex()}"
    return Unread(Identity(name, name, sha256), reason)


def keep(item: Item, delivery: Delivery, number: int, system: str) -> Submission:
    """The item as it is stored when its sender cannot be told: a rejection becomes `Rejected`.

    Without an event id, the content stands for it: the same bad item sent again is the same submission.
    """
    if not isinstance(item, Rejection):
        return item
    sha256 = hashlib.sha256(delivery.body).digest()
    event_id = item.event_id or f"sha256:{sha256.hex()}#{number}"
    record_id = item.record_id or event_id
    source = Source(system=system, instance=delivery.source, record_id=record_id[:255], event_id=event_id[:255])
    return Rejected(Identity(event_id[:255], record_id[:255], sha256), source, f"{item.field} {item.reason}"[:255])
