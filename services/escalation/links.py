"""Signed links in notifications: whoever has one may answer this one hand-off, until it lapses. No key is needed.

The token says complaint, hand-off and time, and carries an HMAC-SHA256 over them under a key derived from the id key. It is
bound to one number: when the hand-off was answered or has moved on, it does nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

SIZE = 16 + 4 + 8
MAC = 16


class Claim(NamedTuple):
    """What a token is good for."""

    complaint_id: UUID
    number: int
    until: datetime


class BadLink(Exception):
    """Forged, damaged or over. The text says which, and discloses nothing."""


class Links:
    """Makes and reads tokens."""

    def __init__(self, id_key: bytes, base: str) -> None:
        self._key = hmac.digest(id_key, b"hand-off links", hashlib.sha256)
        self._base = base.rstrip("/")

    def url(self, complaint_id: UUID, number: int, until: datetime) -> str:
        """The address to answer at; empty when no address from outside is set up."""
        return f"{self._base}/hand-off/{self.token(complaint_id, number, until)}" if self._base else ""

    def token(self, complaint_id: UUID, number: int, until: datetime) -> str:
        body = complaint_id.bytes + number.to_bytes(4, "big") + int(until.timestamp()).to_bytes(8, "big")
        return base64.urlsafe_b64encode(body + self._mac(body)).decode().rstrip("=")

    def read(self, token: str, now: datetime) -> Claim:
        """Raises BadLink."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raw = b""
        body = raw[:SIZE]
        if len(raw) != SIZE + MAC or not hmac.compare_digest(raw[SIZE:], self._mac(body)):
            raise BadLink("This link is damaged or was not made by us. Open it again from the notification.")
        until = datetime.fromtimestamp(int.from_bytes(body[20:], "big"), UTC)
        if now > until:
            raise BadLink("The time to answer is over; the complaint has moved on.")
        return Claim(UUID(bytes=body[:16]), int.from_bytes(body[16:20], "big"), until)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:MAC]
