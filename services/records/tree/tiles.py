"""Tiles (https://c2sp.org/tlog-tiles): the hashes of the tree by 256, and the records by 256, each under its path.

Level 0 holds the leaf hashes, level l + 1 the roots of the full tiles of level l. Only the last tile of a level is
partial. A bundle of records has each with its length before it (2 bytes, big-endian).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from services.records.tree import merkle

HEIGHT = 8
WIDTH = 1 << HEIGHT
TILE_SIZE = WIDTH * merkle.HASH_SIZE
ENTRIES = "entries"
MAX_ENTRY = 65_535
_PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])((?:/x[0-9]{3})*/[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")

# (level, first, count) -> so many hashes of a level, one behind the other.
Read = Callable[[int, int, int], bytes]
Need = tuple[int, int, int]


def path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where tile `number` of a level stands, below the log's prefix; of `entries`, where the records stand."""
    text = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        text = f"x{number % 1000:03d}/{text}"
    return f"tile/{level}/{text}" + (f".p/{width}" if width < WIDTH else "")


def parse(name: str) -> tuple[int | str, int, int] | None:
    """Level (or `entries`), number and width of a path that `path` makes; None for any other."""
    match = _PATH.fullmatch(name)
    if match is None:
        return None
    level = match[1] if match[1] == ENTRIES else int(match[1])
    number = int(match[2].replace("/x", "").replace("/", ""))
    width = int(match[3] or WIDTH)
    return (level, number, width) if path(level, number, width) == name else None


def count(level: int, size: int) -> int:
    """How many hashes the tree of `size` has at a level: its full subtrees of 256**level records."""
    return size >> HEIGHT * level


def widths(level: int, size: int) -> Iterator[tuple[int, int]]:
    """Every tile of a level in the tree of `size`, as (number, width)."""
    full, rest = divmod(count(level, size), WIDTH)
    yield from ((number, WIDTH) for number in range(full))
    if rest:
        yield full, rest


def levels(size: int) -> range:
    """The levels that the tree of `size` has."""
    return range((size.bit_length() + HEIGHT - 1) // HEIGHT)


def hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + merkle.HASH_SIZE] for at in range(0, len(tile), merkle.HASH_SIZE)]


def bundle(entries: Iterable[bytes]) -> bytes:
    """Records as a bundle."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundle(data: bytes) -> tuple[list[bytes], int]:
    """The records of a bundle, and how many bytes at its end are no record."""
    found, at, end = [], 0, len(data)
    while at + 2 <= end:
        length = data[at] << 8 | data[at + 1]
        if at + 2 + length > end:
            break
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found, end - at


def needs(ranges: Sequence[merkle.Range]) -> list[Need]:
    """What must be read to know the hashes of `ranges`: each part lies within one tile."""
    return [_place(height, index) for start, end in ranges for height, index in merkle.full_subtrees(start, end)]


def range_hashes(ranges: Sequence[merkle.Range], read: Read) -> list[bytes]:
    """The hash of each range: a proof, when the ranges are those that merkle.inclusion or consistency names."""
    return [
        merkle.join(
            merkle.root(hashes(read(*_place(height, index)))) for height, index in merkle.full_subtrees(start, end)
        )
        for start, end in ranges
    ]


def tree_root(size: int, read: Read) -> bytes:
    """The root of the tree of `size`."""
    return range_hashes([(0, size)], read)[0] if size else merkle.EMPTY_ROOT


def _place(height: int, index: int) -> Need:
    """A full subtree as hashes that lie beside each other in one tile."""
    level, more = divmod(height, HEIGHT)
    return level, index << more, 1 << more
