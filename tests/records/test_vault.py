"""Encryption at rest: what is sealed opens only with its key, in its place, unchanged."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from services.records.payloads import opened, stored
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.privacy import ComplaintErased
from shared.errors import StartRefused
from shared.vault import CannotOpen, MasterKeys, new_key, open_sealed, read_master_keys, seal

SALT = bytes(range(32))


@given(st.binary(max_size=300), st.binary(max_size=20), st.data())
def test_one_changed_bit_or_another_place_and_it_does_not_open(plain: bytes, place: bytes, data: st.DataObject) -> None:
    cipher = AESGCM(new_key())
    sealed = seal(cipher, plain, place)
    assert open_sealed(cipher, sealed, place) == plain
    assert plain not in sealed or len(plain) < 3
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    for wrong in ((bytes(changed), place), (sealed, place + b"x"), (sealed[:-1], place), (b"", place)):
        with pytest.raises(CannotOpen):
            open_sealed(cipher, *wrong)


def test_a_new_master_key_wraps_and_the_old_one_still_unwraps() -> None:
    key, owner = new_key(), uuid4().bytes
    before = MasterKeys({"first": bytes(32)})
    wrapped = before.wrap(key, owner)
    after = MasterKeys({"second": bytes(range(32)), "first": bytes(32)})
    assert after.unwrap(wrapped, owner) == key
    assert not after.current(wrapped)
    assert after.current(after.wrap(key, owner))
    with pytest.raises(CannotOpen, match="second"):
        before.unwrap(after.wrap(key, owner), owner)
    with pytest.raises(CannotOpen):
        after.unwrap(wrapped, uuid4().bytes)


@pytest.mark.parametrize("text", ["", "first 00", "first " + "0" * 64 + "\nfirst " + "1" * 64, "first", "x " + "g" * 64])
def test_a_wrong_key_file_is_refused_without_showing_a_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(StartRefused) as refused:
        read_master_keys(file)
    assert str(file) in str(refused.value)
    assert "000000" not in str(refused.value)


def test_payloads_are_sealed_with_their_salt_and_erased_ones_are_nothing() -> None:
    cipher, event = AESGCM(new_key()), uuid4()
    salt, payload = stored(cipher, event, ComplaintReceived.TYPE, SALT, b"her words")
    assert salt == b""
    assert SALT not in payload
    assert b"words" not in payload
    assert opened(cipher, event, salt, payload) == (SALT, b"her words")
    assert opened(None, event, salt, payload) is None  # the key is destroyed
    late = stored(None, event, ComplaintReceived.TYPE, SALT, b"her words")
    assert late == (b"", b"")
    assert opened(None, event, *late) is None
    assert stored(None, event, ComplaintErased.TYPE, SALT, b"proof") == (SALT, b"proof")
    assert opened(None, event, SALT, b"proof") == (SALT, b"proof")
