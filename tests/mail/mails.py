"""Mails for the tests, made of pieces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.intake.adapters.email import Email
from services.intake.submissions import ContactSubmission, Delivery, Item
from shared.contracts.complaints import Contact

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
HEADERS = {
    "From": "Ada Lovelace <ada@example.org>",
    "To": "Complaints <complaints@shop.example>",
    "Subject": "The kettle leaks",
    "Date": "Wed, 4 Mar 2026 09:58:00 +0000",
    "Message-ID": "<m1@example.org>",
}


def mail(body: str | bytes = "It leaks.\r\n", /, **headers: str | None) -> bytes:
    """A raw mail: the usual headers, changed by `headers` (underscores are dashes, None removes one)."""
    given = {name.lower(): (name, value) for name, value in HEADERS.items()}
    for name, value in headers.items():
        dashed = name.replace("_", "-")
        given.pop(dashed.lower(), None)
        if value is not None:
            given[dashed.lower()] = (dashed, value)
    head = "".join(f"{name}: {value}\r\n" for name, value in given.values())
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + (body if isinstance(body, bytes) else body.encode())


def multipart(*parts: tuple[str, str | bytes], kind: str = "mixed") -> tuple[str, bytes]:
    """Content-Type and body of a multipart; each part is its headers (lines) and its body."""
    out = b"preamble\r\n"
    for headers, body in parts:
        out += b"--b1\r\n" + headers.replace("\n", "\r\n").encode() + b"\r\n\r\n"
        out += (body if isinstance(body, bytes) else body.encode()) + b"\r\n"
    return f'multipart/{kind}; boundary="b1"', out + b"--b1--\r\nepilogue\r\n"


def read(raw: bytes, options: Mapping[str, Any] | None = None) -> Item:
    """The one item of a mail, received at NOW."""
    (item,) = Email().read(Delivery(UUID(int=1), "post", NOW, "message/rfc822", {}, raw, options=options or {}))
    return item


def contact(raw: bytes, options: Mapping[str, Any] | None = None) -> Contact:
    """The contact of a mail that a customer wrote."""
    item = read(raw, options)
    assert isinstance(item, ContactSubmission), item
    return item.contact
