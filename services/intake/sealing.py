"""Deliveries at rest: each body sealed under a key of its own, which is destroyed when its complaint is erased.

A delivery may hold several complaints (a list, a file). It is destroyed whole when one of them is erased, as soon as nothing
in it has still to be read: what the others said is in their events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.postgres.pool import Connection
from shared.vault import KeyStore, new_key, open_sealed, seal

KEYS = "select delivery_id, wrapped from delivery_key where delivery_id = any($1::uuid[])"
MARK = """
insert into delivery_to_erase (delivery_id)
select distinct delivery_id from submission where complaint_id = any($1::uuid[]) on conflict do nothing
"""
# Who sent it under which id may name the person; that the complaint is erased ends whatever comes under a new one.
FORGET = """
update submission set event_id = 'erased/' || gen_random_uuid(), sha256 = '', reason = null
where complaint_id = any($1::uuid[]) and outcome is not null
"""
DESTROY = """
with ready as (
    select delivery_id from delivery_to_erase where not exists (
        select from submission
        where submission.delivery_id = delivery_to_erase.delivery_id
            and (outcome is null or (outcome = 'dead_letter' and not complaint_id = any($1::uuid[])))
    )
    limit 1000 for update skip locked
), done as (
    delete from delivery_to_erase using ready where delivery_to_erase.delivery_id = ready.delivery_id
), keys as (
    delete from delivery_key using ready where delivery_key.delivery_id = ready.delivery_id
)
update delivery set body = '', headers = '{}' from ready where delivery.id = ready.delivery_id
"""


def sealed(keys: KeyStore, bodies: Sequence[tuple[UUID, bytes]]) -> list[tuple[bytes, bytes]]:
    """Of each delivery (id, body) its key, wrapped, and the body sealed with it: to be stored in one transaction."""
    done = []
    for delivery_id, body in bodies:
        key = new_key()
        done.append((keys.wrap(key, delivery_id.bytes), seal(AESGCM(key), body, delivery_id.bytes)))
    return done


async def opened(conn: Connection, keys: KeyStore, rows: Iterable[Any]) -> dict[UUID, bytes]:
    """The bodies of delivery rows by id; of an erased one nothing. Those of before encryption have no key: plain."""
    rows = list(rows)
    wrapped = {row["delivery_id"]: row["wrapped"] for row in await conn.fetch(KEYS, [row["id"] for row in rows])}
    bodies: dict[UUID, bytes] = {}
    for row in rows:
        delivery_id = row["id"]
        key = wrapped.get(delivery_id)
        bodies[delivery_id] = (
            row["body"]
            if key is None
            else open_sealed(AESGCM(keys.unwrap(key, delivery_id.bytes)), row["body"], delivery_id.bytes)
        )
    return bodies


async def erase(conn: Connection, complaints: Iterable[UUID]) -> None:
    """In the transaction that ends the complaints: destroy their deliveries, and forget the ids that they came under."""
    erased = sorted(complaints)
    await conn.execute(MARK, erased)
    await conn.execute(DESTROY, erased)
    await conn.execute(FORGET, erased)
