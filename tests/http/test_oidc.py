"""Tokens of an identity provider: only its own keys, for us, in time; roles give scopes; everything else is a 401."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from shared.config import OidcSettings
from shared.errors import StartRefused
from shared.http.keys import Authenticator
from shared.http.oidc import People
from shared.http.problems import Problem

ISSUER, AUDIENCE = "https://login.example", "amends"
RSA = RSAKey.generate_key(2048, {"kid": "one"})
EC = ECKey.generate_key("P-256", {"kid": "two"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "iat": now, "sub": "u-1", "preferred_username": "anna",
        "roles": ["lead", "something else"], **more,
    }  # fmt: skip


def token(key: Any = RSA, algorithm: str = "RS256", **more: Any) -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims(**more), key, algorithms=[algorithm])


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(KeySet([RSA, EC]).as_dict(private=False)))
    return file


def authenticator(jwks: Path, **settings: Any) -> Authenticator:
    async def nobody() -> list[Any]:
        return []

    given = OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks_file=jwks, **settings)
    return Authenticator(nobody, people=People(given))


async def asked(keys: Authenticator, value: str, scope: str = "cases:write") -> Any:
    return await keys.check([(b"authorization", f"Bearer {value}".encode())], scope)


async def test_a_person_may_do_what_the_roles_say(jwks: Path) -> None:
    keys = authenticator(jwks)
    assert (await asked(keys, token())).name == "anna"
    assert (await asked(keys, token(EC, "ES256", preferred_username=None))).name == "u-1"
    with pytest.raises(Problem) as refused:
        await asked(keys, token(), "cases:erase")
    assert refused.value.status_code == 403
    assert "None of your roles" in refused.value.detail
    nested = authenticator(jwks, roles_claim="realm_access.roles")
    assert await asked(nested, token(realm_access={"roles": ["agent"]}))
    assert await asked(authenticator(jwks, roles_claim="scope"), token(scope="openid agent"))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: token(OTHER), "not signed by a key"),
        (lambda: token(exp=int(time.time()) - 600), "expired"),
        (lambda: token(aud="somebody-else"), "not for here"),
        (lambda: token(iss="https://evil.example"), "not for here"),
        (lambda: token(exp=None), "not for here"),
        (lambda: token(roles=["agent"], preferred_username=7, sub=8), ""),
        (lambda: token()[:-8] + "AAAAAAAA", "not signed by a key"),
        (lambda: "eyJhbGciOiJub25lIn0." + token().split(".")[1] + ".AAAAAAAAAAAAAAAAAAAA", ""),
        (lambda: jwt.encode({"alg": "HS256", "kid": "one"}, claims(), OctKey.import_key("x" * 64), algorithms=["HS256"]), ""),
    ],
)
async def test_what_is_not_the_providers_own_or_not_for_us_is_refused(jwks: Path, made: Any, said: str) -> None:
    with pytest.raises(Problem) as refused:
        await asked(authenticator(jwks), made())
    assert refused.value.status_code == 401
    assert said in refused.value.detail


async def test_a_new_key_of_the_provider_counts_without_a_restart(jwks: Path) -> None:
    late = RSAKey.generate_key(2048, {"kid": "late"})
    people = People(OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks_file=jwks), now=lambda: time.time() + ahead)
    ahead = 0.0
    assert (await people.check(token()))[0] == "anna"
    jwks.write_text(json.dumps(KeySet([RSA, late]).as_dict(private=False)))
    ahead = 31.0
    assert (await people.check(token(late, exp=int(time.time()) + 600)))[0] == "anna"


async def test_without_keys_it_is_503_and_api_keys_look_as_ever(jwks: Path) -> None:
    jwks.unlink()
    with pytest.raises(Problem) as away:
        await asked(authenticator(jwks), token())
    assert away.value.status_code == 503
    with pytest.raises(Problem) as refused:
        await asked(authenticator(jwks), "amends_x")
    assert refused.value.status_code == 401


def test_half_a_setting_is_refused() -> None:
    with pytest.raises(StartRefused, match="AMENDS_OIDC_AUDIENCE"):
        People(OidcSettings(issuer=ISSUER))
    with pytest.raises(StartRefused, match="https"):
        People(OidcSettings(issuer=ISSUER, audience="x", jwks_url="http://login.example/keys"))
