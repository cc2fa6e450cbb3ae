"""Out of the database: the public log as files, and proofs of single records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.records import proofs, tree_store
from services.records.log_folder import Writer
from services.records.payloads import CaseKeys, opened
from services.records.tree import checkpoint, merkle, note, tiles
from services.records.tree.proof import Proof
from services.records.tree_store import Conn
from shared.cli import Failed

EARLIER = 256


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof, what it proves, and how many records the log had."""

    proof: Proof
    payload: bytes
    size: int


async def export(conn: Conn, writer: Writer, tell: Callable[[int, int], None]) -> dict[str, Any]:
    """Write the log of the last checkpoint. What the tables hold is written as it is; whoever checks it finds what is wrong."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        last = await tree_store.last_checkpoint(conn)
        if last is None:
            raise Failed("no checkpoint is signed yet: is the signer running? (amends records sign)")
        current, retired = await keys_of(conn, last)
        for level in tiles.levels(last.size):
            if level:
                for number, width in tiles.widths(level, last.size):
                    stored = await tree_store.upper_tile(conn, level, number, width)
                    if stored:
                        writer.tile(level, number, stored)
        async for number, rows, stored in tree_store.leaf_tiles(conn, last.size):
            hashes = stored if stored is not None else b"".join(row["leaf_hash"] for row in rows)
            if rows:
                writer.entries(number, [row["leaf"] for row in rows])
            if hashes:
                writer.tile(0, number, hashes)
            tell(min((number + 1) * tiles.WIDTH, last.size), last.size)
        for row in await conn.fetch(tree_store.SPREAD, last.size, EARLIER, last.origin):
            if row["size"] < last.size:
                writer.earlier(row["size"], row["note"])
        writer.keys(current, retired)
        writer.finish(last.note)
    return {"size": last.size, "root": checkpoint.encode(last.root)}


async def keys_of(conn: Conn, last: tree_store.Stored) -> tuple[str, list[str]]:
    """The public key that signs the log now, and those that did before."""
    known = [vkey for vkey in await tree_store.keys(conn) if note.read_verifier(vkey).name == last.origin]
    current = next((key.vkey for key in await signers_of(conn, last.note)), known[0])
    return current, [key for key in known if key != current]


async def signers_of(conn: Conn, text: str) -> list[note.Verifier]:
    """The known keys that signed a checkpoint, in the order of its signatures: the current one first."""
    known = [note.read_verifier(vkey) for vkey in await tree_store.keys(conn)]
    return [key for each in note.parse(text).signatures for key in known if key.owns(each)]


async def prove(conn: Conn, event_id: UUID, case_keys: CaseKeys | None) -> Proven | None:
    """The proof of an event under the last checkpoint; None when that does not cover it yet. Raises Failed."""
    record = await tree_store.record(conn, event_id)
    if record is None:
        raise Failed(f"no event {event_id} is recorded; the timeline of its complaint shows the ids (amends timeline ID --json)")
    if case_keys is None and record.payload and not record.salt:
        raise Failed("the payloads are sealed: name the file with the master keys in AMENDS_MASTER_KEY_FILE")
    ciphers = {} if case_keys is None else await case_keys.for_reading(conn, [record.complaint_id])
    plain = opened(ciphers.get(record.complaint_id), event_id, record.salt or b"", record.payload or b"")
    if plain is None:
        raise Failed(f"event {event_id} was erased: that it happened can still be checked in the log, its content cannot be shown")
    last = await tree_store.last_checkpoint(conn)
    if last is None or last.size <= record.index:
        return None
    hashes = await tree_store.range_hashes(conn, merkle.inclusion(record.index, last.size))
    return Proven(proofs.make(record.index, record.leaf, plain.salt, hashes, last.note), plain.payload, last.size)
