"""The adapter boundary: what one delivery (bytes and headers, as they came) holds. Pure.

An adapter turns a `Delivery` into submissions: each is a contact, a reply, a status, set aside, or a rejection with its
reason. It keeps no state, asks nobody and never raises on bad input: what cannot be read at all is `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from shared.contracts.complaints import Contact, Source


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came. `headers` has lower-case names, and only those that an adapter may need."""

    id: UUID
    source: str
    received_at: datetime
    content_type: str
    headers: Mapping[str, str]
    body: bytes


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
class SetAside:
    """No complaint: an auto-reply, a bot, a private note. Kept, never answered."""

    identity: Identity
    source: Source
    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that cannot be used. `field` and `reason` say where and why, without repeating the content."""

    event_id: str | None
    field: str
    reason: str


Submission = ContactSubmission | ReplySubmission | StatusSubmission | SetAside
Item = Submission | Rejection


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
