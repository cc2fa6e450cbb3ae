"""People by OpenID Connect: a token of the company's own identity provider instead of an API key.

Amends manages no users. The provider signs who somebody is and which roles they have; a role stands for scopes (ROLES).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared.config import OidcSettings
from shared.errors import StartRefused
from shared.http.keys import NotAccepted

log = structlog.get_logger(__name__)

# What each role may do, at whichever service has the scope.
ROLES: dict[str, frozenset[str]] = {
    "agent": frozenset({"cases:read", "cases:write"}),
    "lead": frozenset({"cases:read", "cases:write"}),
    "policy-owner": frozenset({"cases:read", "policies:read", "policies:write"}),
    "auditor": frozenset({"cases:read", "policies:read"}),
    "privacy": frozenset({"cases:read", "cases:erase"}),
    "ops": frozenset({"ops", "cases:read"}),
}
# Signed with a key that only the provider has: never a shared secret, never `none`.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
LEEWAY_S = 30
REFRESH_S, AGAIN_S = 600.0, 30.0
MAX_JWKS = 1_000_000


class People:
    """Checks tokens against the provider's keys, which are looked up again every ten minutes, and when one is not known."""

    def __init__(self, settings: OidcSettings, *, now: Callable[[], float] = time.time) -> None:
        if not settings.audience or not (settings.jwks_url or settings.jwks_file):
            raise StartRefused("AMENDS_OIDC_ISSUER needs AMENDS_OIDC_AUDIENCE and AMENDS_OIDC_JWKS_URL or AMENDS_OIDC_JWKS_FILE")
        if settings.jwks_url and not settings.jwks_url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise StartRefused("AMENDS_OIDC_JWKS_URL must be https: whoever can change the keys can be anybody")
        self._settings = settings
        self._now = now
        self._keys: KeySet | None = None
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def check(self, token: str) -> tuple[str, frozenset[str]]:
        """Who it is, and the scopes of their roles. Raises NotAccepted; OSError or httpx2's when there are no keys yet."""
        await self._look(REFRESH_S)
        try:
            claims = self._claims(token)
        except _Unknown:
            await self._look(AGAIN_S)
            try:
                claims = self._claims(token)
            except _Unknown:
                raise NotAccepted("The token is not signed by a key of the identity provider.") from None
        name = claims.get(self._settings.name_claim) or claims.get("sub")
        if not isinstance(name, str) or not 0 < len(name) <= 255:
            raise NotAccepted("The token does not say who it is.")
        roles = _inside(claims, self._settings.roles_claim)
        known = [ROLES[role] for role in roles if isinstance(role, str) and role in ROLES]
        return name, frozenset().union(*known)

    def _claims(self, token: str) -> dict[str, Any]:
        keys = self._keys
        if keys is None:
            raise _Unknown
        try:
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        except JoseError as error:
            if error.error in ("bad_signature", "missing_key", "invalid_key_id"):
                raise _Unknown from None
            raise NotAccepted("This is not a token that is accepted here.") from None
        except ValueError:
            raise _Unknown from None
        claims: dict[str, Any] = decoded.claims
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._now()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.audience},
            exp={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            if error.error == "expired_token":
                raise NotAccepted("The token has expired. Sign in again.") from None
            raise NotAccepted("The token is not for here: issuer, audience or time do not fit.") from None
        return claims

    async def _look(self, older_than_s: float) -> None:
        if self._now() - self._looked_at < older_than_s:
            return
        async with self._looking:
            if self._now() - self._looked_at < older_than_s:
                return
            try:
                self._keys = KeySet.import_key_set(json.loads(await self._text()))
                self._looked_at = self._now()
            except Exception as error:
                log.warning("the identity provider's keys cannot be read; the last ones serve on", error=type(error).__name__)
                self._looked_at = self._now() - older_than_s + AGAIN_S  # not at every request
                if self._keys is None:
                    raise

    async def _text(self) -> str:
        if self._settings.jwks_file is not None:
            return await asyncio.to_thread(self._settings.jwks_file.read_text, "utf-8")
        async with httpx2.AsyncClient(timeout=5.0) as client:
            answer = await client.get(self._settings.jwks_url)
            answer.raise_for_status()
            return answer.text[:MAX_JWKS]


class _Unknown(Exception):
    """Signed by a key that is not known (yet)."""


def _inside(claims: dict[str, Any], path: str) -> list[Any]:
    """What stands at a dotted path; a single text counts as a list of one."""
    found: Any = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, str):
        return found.split()
    return found if isinstance(found, list) else []
