"""Links to the customer page: signed, so that they cannot be guessed or changed, and with an end (ADR 0017).

A token is base64url of: version (1 byte), complaint id (16), number of the check-in (2), end in seconds since 1970 (4),
then the first 16 bytes of HMAC-SHA256 over these. It names nobody, and is good for one complaint's question only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

_BODY = struct.Struct(">B16sHI")
_VERSION, _MAC = 1, 16
_LONGEST = 100


class BadLink(Exception):
    """The link was changed, cut off, or never was one of ours."""


class ExpiredLink(Exception):
    """The link was ours, and its time is over."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a valid link says."""

    complaint_id: UUID
    number: int


class Links:
    """Signs with the first key; accepts all of them, so that the key can be changed."""

    def __init__(self, keys: Sequence[bytes], valid: timedelta) -> None:
        self._keys = tuple(keys)
        self._valid = valid

    def token(self, complaint_id: UUID, number: int, now: datetime) -> str:
        """A token for check-in `number`, valid from `now` on."""
        body = _BODY.pack(_VERSION, complaint_id.bytes, number & 0xFFFF, int((now + self._valid).timestamp()))
        return base64.urlsafe_b64encode(body + _mac(self._keys[0], body)).decode().rstrip("=")

    def read(self, token: str, now: datetime) -> Link:
        """What the token is about. Raises BadLink or ExpiredLink."""
        if len(token) > _LONGEST:
            raise BadLink
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadLink from None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if len(body) != _BODY.size or not any(hmac.compare_digest(mac, _mac(key, body)) for key in self._keys):
            raise BadLink
        version, complaint_id, number, ends = _BODY.unpack(body)
        if version != _VERSION:
            raise BadLink
        if now > datetime.fromtimestamp(ends, UTC):
            raise ExpiredLink
        return Link(UUID(bytes=complaint_id), number)


def derived_key(id_key: bytes) -> bytes:
    """The key of a deployment that names none of its own."""
    return hmac.digest(id_key, b"amends followup links 1", "sha256")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC]
