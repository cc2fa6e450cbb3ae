"""The audit: records against stored hashes against signed heads, and which record is the first that is wrong.

Only a signed root is believed. Below it a stored hash counts as far as the root confirms it: the root confirms the last
tiles of all levels, these confirm the full tiles under them, and so on down to single records. Where both a record and
its stored hashes were changed, what is left is the range of records that the last confirmed hash covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from services.records.tree import merkle, tiles
from services.records.tree.checkpoint import Head

# (level, number, width) -> the stored hashes of a tile, None where there are none.
ReadTile = Callable[[int, int, int], bytes | None]
Row = list[bytes | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in the records [start, end). `index`: the first wrong record, where it can be named."""

    start: int
    end: int
    reason: str
    index: int | None = None


def exact(index: int, reason: str) -> Finding:
    """One record that is wrong."""
    return Finding(index, index + 1, reason, index)


def between(start: int, end: int, why: str) -> Finding:
    """A range of records of which one is wrong at least."""
    if start >= end:
        return Finding(start, end, why)
    return Finding(start, end, f"a record from {start} to {end - 1} was changed, removed, inserted or moved: {why}")


class Audit:
    """Give it every tile of leaf hashes from the left (`add`), then ask (`finish`). Holds 1/256 of the hashes only.

    `earlier` are other signed heads of the same log, each of which must be a beginning of it.
    """

    def __init__(self, head: Head, earlier: Sequence[Head] = ()) -> None:
        self._head = head
        self._earlier = sorted(earlier, key=lambda each: each.size)
        self._next_earlier = 0
        self._good, self._bad = 0, head.size  # the largest confirmed head, the smallest that is not
        self._mismatch: Head | None = None
        self._rows: dict[int, Row] = {level: [] for level in tiles.levels(head.size)}
        self._tail: list[bytes] = []
        self._tail_stored: bytes | None = None
        self._full = head.size // tiles.WIDTH
        # Tile -> the first place where stored hash and record differ, and the stored hashes' own root.
        self._differs: dict[int, tuple[int, bytes | None]] = {}
        self._missing: int | None = None
        self._peaks: list[tuple[int, bytes | None]] = []
        self._confirm(0, 0, [])

    def add(self, number: int, hashes: list[bytes], stored: bytes | None) -> None:
        """Tile `number` of level 0: the hashes of the records that are there, and the hashes that are stored."""
        first = number * tiles.WIDTH
        width = min(tiles.WIDTH, self._head.size - first)
        if len(hashes) < width and self._missing is None:
            self._missing = first + len(hashes)
        self._confirm(first + min(width, tiles.WIDTH - 1), first, hashes)
        if width < tiles.WIDTH:
            self._tail, self._tail_stored = hashes, stored
            return
        whole = merkle.root(hashes) if len(hashes) == width else None
        self._rows.setdefault(1, []).append(whole)
        self._push(whole)
        self._confirm(first + tiles.WIDTH, first + tiles.WIDTH, [])
        if stored is not None and stored == b"".join(hashes):
            return
        kept = tiles.hashes(stored or b"")
        same = next((i for i, (a, b) in enumerate(zip(hashes, kept, strict=False)) if a != b), min(len(hashes), len(kept)))
        self._differs[number] = (
            first + min(same, width - 1),
            merkle.root(kept) if stored is not None and len(stored) == tiles.TILE_SIZE else None,
        )

    def cut_short(self) -> Finding:
        """Instead of `finish`, where far fewer records are there than the head signs: the first that is missing, or the fork."""
        return self._unconfirmed()

    def finish(self, read: ReadTile) -> Finding | None:
        """The first that is wrong; None when records, stored hashes and signed heads agree. `read` gives levels from 1 on."""
        stored = self._upper(read)
        tails = self._confirmed_tails(stored)
        if tails is None:
            return self._unconfirmed()
        for level in reversed(tails):
            base = tiles.count(level, self._head.size) // tiles.WIDTH * tiles.WIDTH
            for place, confirmed in enumerate(tails[level]):
                found = self._descend(level, base + place, confirmed, stored)
                if found is not None:
                    return found
        if self._mismatch is not None:
            return self._forked()
        return self._cut_off() or self._damage(stored)

    def _upper(self, read: ReadTile) -> dict[tuple[int, int], bytes | None]:
        """Work out the levels from 1 on; the stored tiles that differ from that."""
        found: dict[tuple[int, int], bytes | None] = {}
        size = self._head.size
        for level in tiles.levels(size):
            if level == 0:
                continue
            row = self._rows[level]
            for number, width in tiles.widths(level, size):
                hashes = row[number * tiles.WIDTH : number * tiles.WIDTH + width]
                known = [each for each in hashes if each is not None]
                stored = read(level, number, width)
                if len(known) < width or stored != b"".join(known):
                    found[level, number] = stored
                if width == tiles.WIDTH:
                    self._rows.setdefault(level + 1, []).append(merkle.root(known) if len(known) == width else None)
        return found

    def _confirmed_tails(self, stored: dict[tuple[int, int], bytes | None]) -> dict[int, list[bytes]] | None:
        """The hashes of the last tile of each level, from records or as stored, that together give the signed root."""
        size = self._head.size
        choices: list[list[list[bytes]]] = []
        for level in tiles.levels(size):
            number, width = divmod(tiles.count(level, size), tiles.WIDTH)
            if level == 0:
                derived: Sequence[bytes | None] = self._tail
                kept = self._tail_stored
            else:
                derived = self._rows[level][number * tiles.WIDTH :]
                kept = stored.get((level, number))
            whole = [each for each in derived if each is not None]
            options = [whole] if len(whole) == width else []
            if kept is not None and len(kept) == width * merkle.HASH_SIZE and tiles.hashes(kept) != whole:
                options.append(tiles.hashes(kept))
            choices.append(options)
        for chosen in product(*choices):
            peaks = [peak for level in reversed(range(len(chosen))) for peak in _peaks(chosen[level])]
            if merkle.join(peaks) == self._head.root:
                return dict(enumerate(chosen))
        return None

    def _descend(
        self, level: int, index: int, confirmed: bytes, stored: dict[tuple[int, int], bytes | None]
    ) -> Finding | None:
        """The first wrong record under a hash that the root confirms."""
        if level == 0:
            place = index % tiles.WIDTH
            right = place < len(self._tail) and self._tail[place] == confirmed
            return None if right else self._wrong(index)
        if self._rows[level][index] == confirmed:
            return None
        start = index << tiles.HEIGHT * level
        interval = between(
            start, start + (1 << tiles.HEIGHT * level), "its stored hashes below this were changed as well"
        )
        if level == 1:
            first, kept_root = self._differs.get(index, (0, None))
            return self._wrong(first) if kept_root == confirmed else interval
        below = level - 1
        row = self._rows[below][index * tiles.WIDTH : (index + 1) * tiles.WIDTH]
        kept = stored.get((below, index))
        if kept is None or len(kept) != tiles.TILE_SIZE or merkle.root(tiles.hashes(kept)) != confirmed:
            return interval
        for place, (derived, each) in enumerate(zip(row, tiles.hashes(kept), strict=True)):
            if derived != each:
                return self._descend(below, index * tiles.WIDTH + place, each, stored) or interval
        return interval

    def _wrong(self, index: int) -> Finding:
        if self._missing is not None and index >= self._missing:
            return exact(index, f"record {index} is missing")
        return exact(index, f"record {index} is not the one that was signed")

    def _unconfirmed(self) -> Finding:
        """Nothing gives the signed root: what the earlier heads leave over."""
        if self._missing is not None and self._missing < self._bad:
            return exact(self._missing, f"record {self._missing} is missing: the checkpoint signs {self._head.size}")
        if self._mismatch is not None:
            return self._forked()
        return between(self._good, self._head.size, f"the root is not the one that the checkpoint of {self._head.size} signs")

    def _forked(self) -> Finding:
        return between(
            self._good, self._bad, f"the records do not give the root that the earlier checkpoint of {self._bad} signs; "
            "history was rewritten or forked"
        )  # fmt: skip

    def _cut_off(self) -> Finding | None:
        """An earlier head that signs more records than there are: an old copy, or the end was removed."""
        later = self._earlier[-1].size if self._earlier else 0
        size = self._head.size
        if later <= size:
            return None
        return exact(size, f"record {size} is missing: a checkpoint of {later} records was signed before; an old copy was put back")

    def _damage(self, stored: dict[tuple[int, int], bytes | None]) -> Finding | None:
        """All records are right: the first stored hash that is not."""
        found = [
            exact(first, f"the stored hash of record {first} is wrong or missing; the record itself is the signed one")
            for first, _ in self._differs.values()
        ]
        if self._tail_stored != b"".join(self._tail) and (self._tail or self._tail_stored is not None):
            kept = tiles.hashes(self._tail_stored or b"")
            place = next((i for i, (a, b) in enumerate(zip(self._tail, kept, strict=False)) if a != b), len(kept))
            index = self._full * tiles.WIDTH + min(place, len(self._tail) - 1)
            found.append(
                exact(index, f"the stored hash of record {index} is wrong or missing; the record itself is the signed one")
            )
        for level, number in stored:
            start = number << tiles.HEIGHT * (level + 1)
            end = min(start + (1 << tiles.HEIGHT * (level + 1)), self._head.size)
            found.append(
                Finding(start, end, f"the stored hashes of level {level}, tile {number} are wrong or missing; the records are right")
            )
        return min(found, key=lambda each: each.start, default=None)

    def _push(self, whole: bytes | None) -> None:
        """One more full tile into the peaks: full subtrees of falling size."""
        height = tiles.HEIGHT
        while self._peaks and self._peaks[-1][0] == height:
            _, left = self._peaks.pop()
            whole = None if left is None or whole is None else merkle.node_hash(left, whole)
            height += 1
        self._peaks.append((height, whole))

    def _confirm(self, until: int, first: int, hashes: list[bytes]) -> None:
        """Compare with the earlier heads up to the size `until`: the peaks so far, and the hashes from `first` on."""
        while self._next_earlier < len(self._earlier) and self._earlier[self._next_earlier].size <= until:
            head = self._earlier[self._next_earlier]
            self._next_earlier += 1
            inside = hashes[: head.size - first]
            peaks = [peak for _, peak in self._peaks]
            known = [peak for peak in peaks if peak is not None]
            complete = len(known) == len(peaks) and len(inside) == head.size - first
            if self._mismatch is not None:
                continue
            if complete and merkle.join([*known, *_peaks(inside)]) == head.root:
                self._good = head.size
            else:
                self._mismatch, self._bad = head, head.size


def _peaks(hashes: Sequence[bytes]) -> Iterator[bytes]:
    """The full subtrees over less than a tile of hashes, from the largest."""
    for height, index in merkle.full_subtrees(0, len(hashes)):
        yield merkle.root(hashes[index << height : (index + 1) << height])
