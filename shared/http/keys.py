"""API keys: who may call what. Only a digest is stored; a key is shown once, when it is minted.

A key is `amends_<id>_<secret>`: the id (8 characters) finds its record, the secret has 256 random bits, and the prefix
lets secret scanners recognise it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import string
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers

from shared.clock import utc_now
from shared.http.problems import Problem, unavailable

log = logging.getLogger(__name__)

RawHeaders = Iterable[tuple[bytes, bytes]]

ID_LENGTH = 8
SECRET_LENGTH = 43  # base62: 256 bits
STALE_S = 300.0  # how long keys that were loaded before are still accepted when they cannot be loaded again
_ALPHABET = string.ascii_letters + string.digits
_KEY = re.compile(rb"amends_([A-Za-z0-9]{8})_[A-Za-z0-9]{32,128}").fullmatch
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{4,4096}\.[A-Za-z0-9_-]{2,8192}\.[A-Za-z0-9_-]{16,2048}").fullmatch
_NOBODY = bytes(32)

# How OpenAPI describes it; a raw route names it in its `openapi_extra`.
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_BEARER = HTTPBearer(scheme_name="bearer", description="An API key, `amends_...`, or a token of your identity provider.", auto_error=False)
_HEADER = APIKeyHeader(name="X-API-Key", scheme_name="apiKey", description="The same key.", auto_error=False)
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": _BEARER.model.description},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _HEADER.model.description},
}


class NotAccepted(Exception):
    """The token is not one that counts here. The text says why, without its contents."""


class People(Protocol):
    """Who signs in with the company's own identity provider (`oidc`)."""

    async def check(self, token: str) -> tuple[str, frozenset[str]]:
        """Who it is, and the scopes of their roles. Raises NotAccepted, and what is wrong when there are no keys yet."""
        ...


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is stored of a key. `sha256` is the digest of the whole key; `expires_at` None: never."""

    id: str
    sha256: bytes = field(repr=False)
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    disabled: bool = False


Load = Callable[[], Awaitable[Sequence[KeyRecord]]]


def mint(name: str, scopes: Iterable[str], expires_at: datetime | None = None) -> tuple[str, KeyRecord]:
    """A new key and the record to store. The key itself cannot be had again. `expires_at` must know its time zone."""
    if expires_at is not None and expires_at.tzinfo is None:
        raise ValueError("expires_at needs a time zone")
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    key = f"amends_{key_id}_{secret}"
    return key, KeyRecord(key_id, digest(key.encode()), name, frozenset(scopes), expires_at)


def digest(key: bytes) -> bytes:
    """SHA-256 of a key. Enough without salt or stretching: the secret is random, not chosen."""
    return hashlib.sha256(key).digest()


class Authenticator:
    """Checks keys against records kept in memory.

    They are loaded again by the first request after `refresh_s` seconds, and for an id that is not known at most once a
    second; so a new key works at once and a disabled one stops within `refresh_s`. If loading fails, what is in memory
    serves for STALE_S seconds more; then every request is 503.
    """

    def __init__(
        self,
        load: Load,
        refresh_s: float = 30.0,
        *,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        people: People | None = None,
    ) -> None:
        self._load = load
        self._people = people
        self._refresh_s = refresh_s
        self._now = now
        self._monotonic = monotonic
        self._records: dict[str, KeyRecord] = {}
        self._loaded_at: float | None = None
        self._tried_at = float("-inf")
        self._loading = asyncio.Lock()

    async def check(self, headers: Headers | RawHeaders, scope: str) -> KeyRecord:
        """The record of the key in a request's headers, Starlette's or the raw ones. Raises Problem 401, 403 or 503.

        A token of the identity provider gives a record too: who it is, and the scopes of their roles.
        """
        token = None if self._people is None else _given_token(headers.raw if isinstance(headers, Headers) else headers)
        if token is not None and self._people is not None:
            return _allowed(await _person(self._people, token), scope)
        key, key_id = _given_key(headers.raw if isinstance(headers, Headers) else headers)
        await self._refresh(key_id)
        record = self._records.get(key_id)
        matches = hmac.compare_digest(digest(key), _NOBODY if record is None else record.sha256)
        if record is None or not matches or record.disabled:
            raise _unauthorized("This API key is not valid.", "invalid_token")
        if record.expires_at is not None and record.expires_at <= self._now():
            raise _unauthorized("This API key has expired. Ask for a new one.", "invalid_token")
        return _allowed(record, scope)

    def require(self, scope: str) -> Callable[..., Awaitable[KeyRecord]]:
        """A FastAPI dependency: `Depends(keys.require("cases:read"))` gives the KeyRecord."""

        async def authorized(
            request: Request,
            _bearer: Annotated[object, Security(_BEARER)],  # both only so that OpenAPI tells them
            _header: Annotated[object, Security(_HEADER)],
        ) -> KeyRecord:
            return await self.check(request.scope["headers"], scope)

        return authorized

    async def _refresh(self, key_id: str) -> None:
        now = self._monotonic()
        old = self._loaded_at is None or now - self._loaded_at >= self._refresh_s
        if not old and key_id in self._records:
            return
        if now - self._tried_at >= 1.0 and not (self._loading.locked() and key_id in self._records):
            async with self._loading:
                if self._monotonic() - self._tried_at >= 1.0:
                    await self._reload()
        if self._loaded_at is None or self._monotonic() - self._loaded_at > self._refresh_s + STALE_S:
            raise unavailable("API keys cannot be checked at the moment. Try again.")

    async def _reload(self) -> None:
        started = self._monotonic()
        try:
            records = await self._load()
        except Exception as error:
            log.warning("API keys not loaded; those in memory serve on", exc_info=error)
        else:
            self._records = {record.id: record for record in records}
            self._loaded_at = started
        self._tried_at = self._monotonic()


def _allowed(record: KeyRecord, scope: str) -> KeyRecord:
    if scope in record.scopes:
        return record
    who = "This API key lacks" if record.id else "None of your roles has"
    raise Problem(
        403,
        "Not allowed",
        f"{who} the scope {scope}.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        scope=scope,
    )


def _given_token(headers: RawHeaders) -> str | None:
    """The bearer token of a request, if it has the form of a signed one (RFC 7519) and no API key stands beside it."""
    values = [value for name, value in headers if name in (b"authorization", b"x-api-key")]
    if len(values) != 1:
        return None
    kind, _, rest = values[0].partition(b" ")
    token = rest.strip()
    return token.decode() if kind.lower() == b"bearer" and _TOKEN(token) else None


async def _person(people: People, token: str) -> KeyRecord:
    try:
        name, scopes = await people.check(token)
    except NotAccepted as refused:
        raise _unauthorized(str(refused), "invalid_token") from None
    except Exception as error:
        log.warning("tokens cannot be checked", exc_info=error)
        raise unavailable("Tokens cannot be checked at the moment. Try again.") from None
    return KeyRecord("", b"", name, scopes)


def _given_key(headers: RawHeaders) -> tuple[bytes, str]:
    """The one key of a request and its id. Raises Problem 401."""
    keys: set[bytes] = set()
    for name, value in headers:
        if name == b"x-api-key":
            keys.add(value.strip())
        elif name == b"authorization":
            kind, _, rest = value.partition(b" ")
            if kind.lower() != b"bearer":
                raise _unauthorized("Send an API key: 'Authorization: Bearer amends_...' or 'X-API-Key: amends_...'.")
            keys.add(rest.strip())
    if not keys:
        raise _unauthorized("An API key is needed: 'Authorization: Bearer amends_...' or 'X-API-Key: amends_...'.")
    if len(keys) > 1:
        raise _unauthorized("The request carries two different API keys. Send one.", "invalid_request")
    key = keys.pop()
    match = _KEY(key)
    if match is None:
        raise _unauthorized("This is not an API key of Amends: those look like amends_<id>_<secret>.", "invalid_token")
    return key, match[1].decode()


def _unauthorized(detail: str, error: str = "") -> Problem:
    challenge = f'Bearer realm="amends", error="{error}"' if error else 'Bearer realm="amends"'
    return Problem(401, "Not authenticated", detail, headers={"WWW-Authenticate": challenge})


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
