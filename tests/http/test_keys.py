"""API keys: one right key opens what its scopes say, everything else is a 401, and the store is asked sparingly."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.keys import STALE_S, Authenticator, KeyRecord, mint
from shared.http.problems import Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY, RECORD = mint("zendesk", ["intake:write"])


class Store:
    """Key records as PostgreSQL would hold them, with a clock."""

    def __init__(self, *records: KeyRecord) -> None:
        self.records = list(records)
        self.loads = 0
        self.broken = False
        self.seconds = 0.0

    async def load(self) -> Sequence[KeyRecord]:
        self.loads += 1
        await asyncio.sleep(0)
        if self.broken:
            raise ConnectionError("PostgreSQL is down")
        return list(self.records)

    def keys(self, refresh_s: float = 30.0) -> Authenticator:
        return Authenticator(self.load, refresh_s, now=lambda: NOW, monotonic=lambda: self.seconds)


def bearer(key: str | bytes) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + (key.encode() if isinstance(key, str) else key))]


async def refused(keys: Authenticator, headers: list[tuple[bytes, bytes]], scope: str = "intake:write") -> Problem:
    with pytest.raises(Problem) as caught:
        await keys.check(headers, scope)
    return caught.value


@given(st.sets(st.sampled_from(["intake:write", "cases:read", "ops"])), st.text(max_size=10))
async def test_a_minted_key_opens_its_scopes_and_no_other(scopes: set[str], name: str) -> None:
    key, record = mint(name, scopes)
    assert key.startswith(f"amends_{record.id}_")
    assert record.sha256 == hashlib.sha256(key.encode()).digest()
    assert key not in repr(record)
    assert repr(record.sha256) not in repr(record)
    keys = Store(record).keys()
    for scope in ("intake:write", "cases:read", "ops"):
        if scope in scopes:
            assert await keys.check(bearer(key), scope) == record
            assert await keys.check([(b"x-api-key", key.encode())], scope) == record
        else:
            assert (await refused(keys, bearer(key), scope)).status_code == 403


def test_keys_do_not_repeat() -> None:
    minted = [mint("x", []) for _ in range(200)]
    assert len({key for key, _ in minted}) == len({record.id for _, record in minted}) == 200


@given(st.integers(0, len(KEY) - 1), st.integers(1, 255))
async def test_a_key_with_one_byte_changed_is_refused(at: int, change: int) -> None:
    wrong = bytearray(KEY.encode())
    wrong[at] ^= change
    problem = await refused(Store(RECORD).keys(), bearer(bytes(wrong)))
    assert problem.status_code == 401
    assert problem.headers is not None
    assert problem.headers["WWW-Authenticate"].startswith("Bearer")


@given(
    st.lists(
        st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"cookie"]), st.binary(max_size=80)), max_size=4
    )
)
async def test_no_header_whatever_makes_an_error_or_opens(headers: list[tuple[bytes, bytes]]) -> None:
    problem = await refused(Store(RECORD).keys(), headers)
    assert problem.status_code == 401
    problem.body()


async def test_refusals_never_repeat_the_key() -> None:
    keys = Store(replace(RECORD, disabled=True)).keys()
    problem = await refused(keys, bearer(KEY))
    assert KEY not in problem.body().decode()
    assert RECORD.id not in problem.body().decode()


async def test_two_different_keys_are_refused_and_the_same_twice_is_not() -> None:
    keys = Store(RECORD).keys()
    other, _ = mint("other", ["intake:write"])
    problem = await refused(keys, [*bearer(KEY), (b"x-api-key", other.encode())])
    assert "two different" in str(problem.detail)
    assert await keys.check([*bearer(KEY), (b"x-api-key", KEY.encode())], "intake:write") == RECORD


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (replace(RECORD, disabled=True), "not valid"),
        (replace(RECORD, expires_at=NOW), "expired"),
        (replace(RECORD, expires_at=NOW - timedelta(days=1)), "expired"),
    ],
)
async def test_a_disabled_or_expired_key_is_refused(record: KeyRecord, says: str) -> None:
    problem = await refused(Store(record).keys(), bearer(KEY))
    assert problem.status_code == 401
    assert says in str(problem.detail)


async def test_a_key_expires_only_when_its_time_has_come() -> None:
    keys = Store(replace(RECORD, expires_at=NOW + timedelta(seconds=1))).keys()
    assert (await keys.check(bearer(KEY), "intake:write")).name == "zendesk"


def test_an_expiry_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        mint("x", [], datetime(2026, 3, 1))  # noqa: DTZ001


async def test_records_are_loaded_once_for_many_requests_and_again_when_old() -> None:
    store = Store(RECORD)
    keys = store.keys(refresh_s=30)
    await asyncio.gather(*(keys.check(bearer(KEY), "intake:write") for _ in range(50)))
    assert store.loads == 1
    store.records = [replace(RECORD, disabled=True)]
    store.seconds = 29.9
    await keys.check(bearer(KEY), "intake:write")
    store.seconds = 30.1
    await refused(keys, bearer(KEY))
    assert store.loads == 2


async def test_a_new_key_works_at_once_and_unknown_ones_cannot_hammer_the_store() -> None:
    store = Store(RECORD)
    keys = store.keys(refresh_s=1_000)
    await keys.check(bearer(KEY), "intake:write")
    for _ in range(100):
        await refused(keys, bearer(mint("guess", [])[0]))
    assert store.loads == 1
    new_key, new_record = mint("new", ["intake:write"])
    store.records.append(new_record)
    store.seconds = 1.5
    assert await keys.check(bearer(new_key), "intake:write") == new_record
    assert store.loads == 2


async def test_while_the_store_is_down_known_keys_go_on_for_a_while() -> None:
    store = Store(RECORD)
    keys = store.keys(refresh_s=30)
    await keys.check(bearer(KEY), "intake:write")
    store.broken = True
    store.seconds = 31.0
    assert await keys.check(bearer(KEY), "intake:write") == RECORD
    store.seconds = 31.0 + STALE_S
    problem = await refused(keys, bearer(KEY))
    assert problem.status_code == 503
    assert problem.headers is not None
    assert problem.headers["Retry-After"]
    store.broken = False
    store.seconds += 2
    assert await keys.check(bearer(KEY), "intake:write") == RECORD


async def test_before_the_first_load_a_store_that_is_down_is_a_503() -> None:
    store = Store(RECORD)
    store.broken = True
    keys = store.keys()
    assert (await refused(keys, bearer(KEY))).status_code == 503
    store.broken = False
    store.seconds = 1.5
    assert await keys.check(bearer(KEY), "intake:write") == RECORD
