"""The tree in PostgreSQL: full tiles over the leaves, checkpoints, keys. SQL as named constants.

Integrating is a step of its own: saves append leaves, this fills tiles from them, publishing signs what is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from services.records.tree import merkle, tiles
from services.records.tree.checkpoint import Head
from shared import failpoints
from shared.errors import AmendsError
from shared.postgres.pool import Connection

if TYPE_CHECKING:  # of the service's pool, or of a command
    import asyncpg

    Conn = Connection | asyncpg.Connection[asyncpg.Record]
else:
    Conn = Connection

SIZE = "select size from ledger_head"
INTEGRATED = "select coalesce(max(number) + 1, 0) from ledger_tile where level = $1"
# One replica at a time; another one that finds it taken has nothing to do.
LOCK = "select pg_try_advisory_xact_lock(hashtext('amends-ledger-tree'))"
LEAVES = "select idx, leaf, leaf_hash from ledger_leaf where idx >= $1 and idx < $2 order by idx"
ROOTS = "select root from ledger_tile where level = $1 and number >= $2 and number < $3 order by number"
ADD_TILE = "insert into ledger_tile (level, number, hashes, root) values ($1, $2, $3, $4) on conflict do nothing"
TILE = "select hashes from ledger_tile where level = $1 and number = $2"
TILES = "select number, hashes, root from ledger_tile where level = $1 and number >= $2 and number < $3 order by number"
# Level 0 is the leaves' own hashes, level l the roots of the tiles of level l - 1.
HASHES = """
select case when need.level = 0
    then (select string_agg(leaf_hash, ''::bytea order by idx) from ledger_leaf
          where idx >= need.first and idx < need.first + need.count)
    else (select string_agg(root, ''::bytea order by number) from ledger_tile as tile
          where tile.level = need.level - 1 and number >= need.first and number < need.first + need.count)
    end
from unnest($1::integer[], $2::bigint[], $3::bigint[]) with ordinality as need (level, first, count, place) order by place
"""
# A checkpoint's first line names its log: after a restored backup there may be a second one (docs/how-to/operate.md).
LAST_CHECKPOINT = """
select size, root, note from ledger_checkpoint where $1::text is null or starts_with(note, $1 || E'\\n')
order by number desc limit 1
"""
CHECKPOINTS = "select size, root, note, signed_at from ledger_checkpoint order by size, number"
# So many at most, spread evenly, and always the last.
SPREAD = """
select size, note from (
    select size, note, row_number() over (order by size desc, number desc) as place, count(*) over () as total
    from ledger_checkpoint where size <= $1 and starts_with(note, $3 || E'\\n')
) as counted where (place - 1) % greatest(1, total / $2) = 0 order by size
"""
ADD_CHECKPOINT = "insert into ledger_checkpoint (size, root, note) values ($1, $2, $3)"
KEYS = "select vkey from ledger_key order by first_used_at desc, vkey"
ADD_KEY = "insert into ledger_key (vkey) values ($1) on conflict do nothing"
RECORD = """
select leaf.idx, leaf.leaf, leaf.complaint_id, payload.salt, payload.payload
from ledger_leaf as leaf left join ledger_payload as payload using (idx) where leaf.event_id = $1
"""

TILES_A_TIME = 64
INTEGRATE_TILES = 8  # 2,048 leaves: a few milliseconds in which the service does nothing else


class LedgerDamaged(AmendsError):
    """The tables are not what was appended; nothing is integrated or signed over it."""


class Stored(NamedTuple):
    """A checkpoint as it was published."""

    size: int
    root: bytes
    note: str

    @property
    def origin(self) -> str:
        """The name of its log."""
        return self.note.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the ledger, its payload as it is stored: sealed, mostly."""

    index: int
    leaf: bytes
    complaint_id: UUID
    salt: bytes | None
    payload: bytes | None


async def size(conn: Conn) -> int:
    """How many leaves there are."""
    found: int = await conn.fetchval(SIZE)
    return found


async def integrate(conn: Conn) -> int:
    """Fill the tiles that are full by now. Returns how many leaves they hold; raises LedgerDamaged."""
    there = await size(conn)
    while True:
        async with conn.transaction():
            if not await conn.fetchval(LOCK):
                return await _integrated(conn, 0)
            if await _integrate_leaves(conn, there):
                continue
            for level in range(1, len(tiles.levels(there))):
                await _integrate_roots(conn, level)
            return await _integrated(conn, 0)


async def _integrated(conn: Conn, level: int) -> int:
    return int(await conn.fetchval(INTEGRATED, level)) * tiles.WIDTH


async def _integrate_leaves(conn: Conn, there: int) -> bool:
    """Some tiles of level 0; False when none is full."""
    first = await _integrated(conn, 0)
    end = min(first + INTEGRATE_TILES * tiles.WIDTH, there // tiles.WIDTH * tiles.WIDTH)
    if first >= end:
        return False
    rows = await conn.fetch(LEAVES, first, end)
    for place, row in enumerate(rows, first):
        if row["idx"] != place or merkle.leaf_hash(row["leaf"]) != row["leaf_hash"]:
            raise LedgerDamaged(f"the ledger is damaged: row {place} is missing or not what its hash says; run: amends records verify")
    if len(rows) != end - first:
        raise LedgerDamaged(f"the ledger is damaged: row {first + len(rows)} is missing; run: amends records verify")
    hashes = [row["leaf_hash"] for row in rows]
    await _add(conn, 0, first // tiles.WIDTH, hashes)
    await failpoints.reach("ledger.tiles")
    return True


async def _integrate_roots(conn: Conn, level: int) -> None:
    first, end = await _integrated(conn, level), await conn.fetchval(INTEGRATED, level - 1)
    end = end // tiles.WIDTH * tiles.WIDTH
    if first < end:
        await _add(conn, level, first // tiles.WIDTH, [row["root"] for row in await conn.fetch(ROOTS, level - 1, first, end)])


async def _add(conn: Conn, level: int, number: int, hashes: Sequence[bytes]) -> None:
    await conn.executemany(
        ADD_TILE,
        [
            (level, number + place, b"".join(tile), merkle.root(tile))
            for place, tile in enumerate(
                hashes[at : at + tiles.WIDTH] for at in range(0, len(hashes), tiles.WIDTH)
            )
        ],
    )  # fmt: skip


async def range_hashes(conn: Conn, ranges: Sequence[merkle.Range]) -> list[bytes]:
    """The hashes of `ranges`: a proof. One round trip. Raises LedgerDamaged when something is not there."""
    needs = tiles.needs(ranges)
    if not needs:
        return []
    columns = [list(column) for column in zip(*needs, strict=True)]
    found = [row[0] for row in await conn.fetch(HASHES, *columns)]
    for need, data in zip(needs, found, strict=True):
        if data is None or len(data) != need[2] * merkle.HASH_SIZE:
            raise LedgerDamaged(f"the tree lacks hashes of level {need[0]} from {need[1]} on; run: amends records verify")
    by_need = dict(zip(needs, found, strict=True))
    return tiles.range_hashes(ranges, lambda *need: bytes(by_need[need]))


async def head(conn: Conn, origin: str, leaves: int) -> Head:
    """The head of the tree of so many leaves, of which the full tiles are integrated."""
    hashes = await range_hashes(conn, [(0, leaves)] if leaves else [])
    return Head(origin, leaves, hashes[0] if leaves else merkle.EMPTY_ROOT)


async def last_checkpoint(conn: Conn, origin: str | None = None) -> Stored | None:
    """The checkpoint that was published last, of the log `origin` or of any."""
    row = await conn.fetchrow(LAST_CHECKPOINT, origin)
    return None if row is None else Stored(*row)


async def add_checkpoint(conn: Conn, found: Head, note: str, vkeys: Sequence[str]) -> None:
    """Publish a checkpoint, and the keys that signed it."""
    for vkey in vkeys:
        await conn.execute(ADD_KEY, vkey)
    await conn.execute(ADD_CHECKPOINT, found.size, found.root, note)


async def keys(conn: Conn) -> list[str]:
    """Every public key that ever signed, the newest first, as this database has them."""
    return [row["vkey"] for row in await conn.fetch(KEYS)]


async def record(conn: Conn, event_id: UUID) -> Record | None:
    """The record of an event."""
    row = await conn.fetchrow(RECORD, event_id)
    return None if row is None else Record(*row)


async def leaf_tiles(
    conn: Conn, end: int, query: str = LEAVES
) -> AsyncIterator[tuple[int, list[Any], bytes | None]]:
    """The rows of `query` from 0 to `end` by tiles of 256, with the stored tile where there is one.

    Yields (number, rows, hashes). What is missing is missing.
    """
    step = TILES_A_TIME * tiles.WIDTH
    for first in range(0, end, step):
        last = min(first + step, end)
        rows = await conn.fetch(query, first, last)
        from_tile, to_tile = first // tiles.WIDTH, (last + tiles.WIDTH - 1) // tiles.WIDTH
        stored = {row["number"]: row["hashes"] for row in await conn.fetch(TILES, 0, from_tile, to_tile)}
        at = 0
        for number in range(from_tile, to_tile):
            begin = at
            while at < len(rows) and rows[at]["idx"] < (number + 1) * tiles.WIDTH:
                at += 1
            yield number, rows[begin:at], stored.get(number)


async def leaves(conn: Conn, number: int, width: int) -> list[bytes]:
    """The records of a bundle: fewer than `width` where some are missing."""
    first = number * tiles.WIDTH
    return [row["leaf"] for row in await conn.fetch(LEAVES, first, first + width)]


async def tile(conn: Conn, level: int, number: int, width: int) -> bytes | None:
    """The hashes of a tile of any level and width; None where some are missing."""
    if width == tiles.WIDTH:
        found: bytes | None = await conn.fetchval(TILE, level, number)
    else:
        (row,) = await conn.fetch(HASHES, [level], [number * tiles.WIDTH], [width])
        found = row[0]
    return found if found is not None and len(found) == width * merkle.HASH_SIZE else None


async def upper_tile(conn: Conn, level: int, number: int, width: int) -> bytes | None:
    """The stored hashes of a tile of level 1 and more, full or not."""
    if width == tiles.WIDTH:
        found: bytes | None = await conn.fetchval(TILE, level, number)
        return found
    first = number * tiles.WIDTH
    rows = await conn.fetch(ROOTS, level - 1, first, first + width)
    return b"".join(row["root"] for row in rows)


async def signed_at(conn: Conn) -> list[tuple[Stored, datetime]]:
    """All checkpoints by size."""
    return [(Stored(row["size"], row["root"], row["note"]), row["signed_at"]) for row in await conn.fetch(CHECKPOINTS)]
