"""Payloads of the ledger at rest: salt and payload sealed together under the complaint's own key.

What a row holds tells how to read it: a salt beside the payload: plain; no salt: sealed; neither: erased before it came.
Events about the record itself (erased, confirmed) hold nothing personal and stay plain: they are the proof of erasure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.records.ledger import SALT_SIZE
from shared.contracts.privacy import CONFIRMED, ComplaintErased
from shared.errors import Conflict
from shared.postgres.pool import Connection as PoolConnection
from shared.vault import CannotOpen, KeyStore, new_key, open_sealed, seal

FIND = "select complaint_id, wrapped from complaint_key where complaint_id = any($1::uuid[])"
ADD = """
insert into complaint_key (complaint_id, wrapped) select * from unnest($1::uuid[], $2::bytea[]) order by 1 on conflict do nothing
"""
PLAIN = frozenset({ComplaintErased.TYPE, *(event.TYPE for event in CONFIRMED.values())})
REMEMBERED = 50_000

Ciphers = Mapping[UUID, AESGCM]
Connection: TypeAlias = "PoolConnection | asyncpg.Connection[asyncpg.Record]"  # the commands have one without a pool


class Opened(NamedTuple):
    """What a leaf commits to."""

    salt: bytes
    payload: bytes


def stored(cipher: AESGCM | None, event_id: UUID, event_type: str, salt: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """The columns (salt, payload) of a row. Without a cipher the complaint is erased: what came late is not kept."""
    if event_type in PLAIN:
        return salt, payload
    return (b"", b"") if cipher is None else (b"", seal(cipher, salt + payload, event_id.bytes))


def opened(cipher: AESGCM | None, event_id: UUID, salt: bytes, payload: bytes) -> Opened | None:
    """The reverse; None when it is erased. Raises CannotOpen when the bytes were changed."""
    if salt:
        return Opened(salt, payload)
    if not payload or cipher is None:
        return None
    plain = open_sealed(cipher, payload, event_id.bytes)
    return Opened(plain[:SALT_SIZE], plain[SALT_SIZE:])


class CaseKeys:
    """The keys of complaints, as this process needs them. A key is remembered only once its row is committed."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._known: OrderedDict[UUID, AESGCM] = OrderedDict()

    async def for_writing(self, conn: Connection, complaints: Iterable[UUID]) -> Ciphers:
        """Their ciphers, with new keys for those that have none; in the transaction that seals with them."""
        found = await self.for_reading(conn, complaints)
        made = {complaint: new_key() for complaint in complaints if complaint not in found}
        if made:
            wrapped = [self._store.wrap(key, complaint.bytes) for complaint, key in made.items()]
            if await conn.execute(ADD, list(made), wrapped) != f"INSERT 0 {len(made)}":
                raise Conflict("another replica has made the same keys at this moment")
        return {**found, **{complaint: AESGCM(key) for complaint, key in made.items()}}

    async def for_reading(self, conn: Connection, complaints: Iterable[UUID]) -> dict[UUID, AESGCM]:
        """The ciphers of those that have a key; the others are erased or were never recorded."""
        wanted = set(complaints)
        found = {complaint: self._known[complaint] for complaint in wanted & self._known.keys()}
        missing = wanted - found.keys()
        for row in await conn.fetch(FIND, list(missing)) if missing else ():
            complaint = UUID(bytes=row["complaint_id"].bytes)
            found[complaint] = self._known[complaint] = AESGCM(
                self._store.unwrap(bytes(row["wrapped"]), complaint.bytes)
            )
        for complaint in found:
            self._known.move_to_end(complaint)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    def forget(self, complaints: Iterable[UUID]) -> None:
        """They are erased."""
        for complaint in complaints:
            self._known.pop(complaint, None)


__all__ = ["CannotOpen", "CaseKeys", "Ciphers", "Opened", "opened", "stored"]
