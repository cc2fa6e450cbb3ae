"""Encryption at rest: AES-256-GCM under a data key for each complaint or delivery, itself wrapped by a master key.

To destroy the wrapped data key is to erase what it encrypts, in every backup that does not hold the key table too. The
master keys come from `KeyStore`: a file here, a key-management service for whoever has one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import StartRefused

KEY_SIZE = 32
NONCE_SIZE = 12


class CannotOpen(Exception):
    """The bytes were not sealed with this key for this place, or they were changed."""


class KeyStore(Protocol):
    """Wraps data keys. Whoever has the tables without it can read nothing."""

    def wrap(self, key: bytes, owner: bytes) -> bytes:
        """The data key of `owner` (an id), in a form that may be stored."""
        ...

    def unwrap(self, wrapped: bytes, owner: bytes) -> bytes:
        """The reverse. Raises CannotOpen."""
        ...


class MasterKeys:
    """Master keys by name, the newest first: it wraps; all unwrap. So a new one is put in front, and old ones stay until
    `amends records rewrap` has taken the last key out of them."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("no master key")
        self._newest = next(iter(keys)).encode()
        self._ciphers = {name.encode(): AESGCM(key) for name, key in keys.items()}

    def wrap(self, key: bytes, owner: bytes) -> bytes:
        return bytes([len(self._newest)]) + self._newest + seal(self._ciphers[self._newest], key, owner)

    def unwrap(self, wrapped: bytes, owner: bytes) -> bytes:
        name = wrapped[1 : 1 + wrapped[0]] if wrapped else b""
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise CannotOpen(f"there is no master key named '{name.decode(errors='replace')}'")
        return open_sealed(cipher, wrapped[1 + len(name) :], owner)

    def current(self, wrapped: bytes) -> bool:
        """Whether the newest master key wraps it."""
        return wrapped[1 : 1 + wrapped[0]] == self._newest


def new_key() -> bytes:
    """A fresh data key."""
    return secrets.token_bytes(KEY_SIZE)


def seal(cipher: AESGCM, plain: bytes, place: bytes) -> bytes:
    """Nonce and ciphertext; it opens only for the same `place` (an id), so that it cannot be moved elsewhere."""
    nonce = secrets.token_bytes(NONCE_SIZE)
    return nonce + cipher.encrypt(nonce, plain, place)


def open_sealed(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """The plain bytes. Raises CannotOpen."""
    try:
        return cipher.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], place)
    except (InvalidTag, ValueError):
        raise CannotOpen("sealed with another key, for another place, or changed since") from None


def read_master_keys(path: Path) -> MasterKeys:
    """Lines `name hex-of-32-bytes`, the newest first; # begins a comment. Raises StartRefused without showing a key."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StartRefused(f"AMENDS_MASTER_KEY_FILE={path}: {error.strerror or 'cannot be read'}") from None
    return parse_master_keys(lines, str(path))


def parse_master_keys(lines: list[str], origin: str) -> MasterKeys:
    """The same from its lines. `origin` is named in errors."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        name, _, text = line.partition("#")[0].strip().partition(" ")
        if not name:
            continue
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE or len(name) > 64 or name in keys:
            raise StartRefused(
                f"{origin} line {number}: not 'NAME KEY' with a new name and 64 hexadecimal digits (openssl rand -hex 32)"
            )
        keys[name] = key
    if not keys:
        raise StartRefused(f"{origin}: no master key in it; make one with: echo first $(openssl rand -hex 32)")
    return MasterKeys(keys)
