"""Ten thousand random tamperings with an exported log: every one is found, and what is named is right. No false alarm.

The log is in memory as the files are, so that each try costs little; `test_folder.py` does the same with real files.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from services.records.tree import merkle, tiles
from services.records.tree.audit import Audit, Finding
from services.records.tree.checkpoint import Head
from tests.ledger.trees import Tree, leaves

SIZES = (1, 2, 7, 255, 256, 257, 300, 511, 600, 1_024)
TREES = {size: Tree(leaves(size)) for size in SIZES}
BIG = Tree(leaves(66_100))  # three levels
TRIES = 10_000


@dataclass
class Copy:
    """What an attacker works on: records and stored hashes of every level, as lists."""

    records: list[bytes]
    rows: list[list[bytes]]
    head: Head
    earlier: list[Head] = field(default_factory=list)

    @classmethod
    def of(cls, tree: Tree, earlier: tuple[int, ...] = ()) -> Copy:
        return cls(list(tree.leaves), [list(row) for row in tree.rows], tree.head(), [tree.head(size) for size in earlier])

    def audit(self) -> Finding | None:
        running = Audit(self.head, self.earlier)
        for number, width in tiles.widths(0, self.head.size):
            records = self.records[number * 256 : number * 256 + width]
            running.add(number, [merkle.leaf_hash(each) for each in records], self._stored(0, number, width))
        return running.finish(self._stored)

    def _stored(self, level: int, number: int, width: int) -> bytes | None:
        if level >= len(self.rows):
            return None
        return b"".join(self.rows[level][number * 256 : number * 256 + width]) or None

    def rebuild(self, levels: int) -> None:
        """Make the stored hashes of the lowest levels fit the records again."""
        rows = Tree(self.records).rows
        self.rows[:levels] = rows[:levels]


# Each changes a copy, and returns which record is the first wrong one.
def change(copy: Copy, chance: random.Random) -> int:
    index = chance.randrange(len(copy.records))
    copy.records[index] += b"!"
    return index


def remove(copy: Copy, chance: random.Random) -> int:
    index = chance.randrange(len(copy.records))
    del copy.records[index]
    return index


def insert(copy: Copy, chance: random.Random) -> int:
    index = chance.randrange(len(copy.records))
    copy.records.insert(index, b"never happened")
    return index


def swap(copy: Copy, chance: random.Random) -> int:
    if len(copy.records) < 2:
        return change(copy, chance)
    one, other = sorted(chance.sample(range(len(copy.records)), 2))
    copy.records[one], copy.records[other] = copy.records[other], copy.records[one]
    return one


def truncate(copy: Copy, chance: random.Random) -> int:
    index = chance.randrange(len(copy.records))
    del copy.records[index:]
    return index


def rewrite_tail(copy: Copy, chance: random.Random) -> int:
    index = chance.randrange(len(copy.records))
    copy.records[index:] = [record + b" rewritten" for record in copy.records[index:]]
    return index


TAMPERINGS: tuple[Callable[[Copy, random.Random], int], ...] = (change, remove, insert, swap, truncate, rewrite_tail)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_done_to_records_is_found_and_the_first_wrong_one_is_named(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(TRIES // 10 // 2):
        copy = Copy.of(TREES[chance.choice(SIZES)])
        tamper = chance.choice(TAMPERINGS)
        first = tamper(copy, chance)
        found = copy.audit()
        assert found is not None, tamper
        assert found.index == first, (tamper, found)


@pytest.mark.parametrize("seed", range(10))
def test_with_the_hashes_rebuilt_the_range_is_named(seed: int) -> None:
    """The attacker makes some or all levels of stored hashes fit: then only what is above them tells."""
    chance = random.Random(1_000 + seed)
    for _ in range(TRIES // 10 // 4):
        size = chance.choice(SIZES)
        earlier = tuple(sorted(chance.sample(range(size + 1), min(3, size))))
        copy = Copy.of(TREES[size], earlier)
        tamper = chance.choice(TAMPERINGS)
        first = tamper(copy, chance)
        copy.rebuild(chance.randrange(1, len(copy.rows) + 1))
        found = copy.audit()
        assert found is not None, tamper
        if found.index is not None:
            assert found.index == first or tamper in (remove, truncate), (tamper, first, found)
        assert found.start <= first or tamper in (insert, remove, truncate), (tamper, first, found)
        assert found.end > first or tamper in (remove, truncate), (tamper, first, found)


@pytest.mark.parametrize("seed", range(10))
def test_a_stored_hash_a_head_or_an_earlier_head_that_was_changed_is_found(seed: int) -> None:
    chance = random.Random(2_000 + seed)
    for _ in range(TRIES // 10 // 4):
        size = chance.choice(SIZES)
        copy = Copy.of(TREES[size], (size // 3, size // 2))
        what = chance.choice(("hash", "missing", "root", "earlier", "size"))
        if what == "hash":
            row = chance.choice([row for row in copy.rows if row])
            at = chance.randrange(len(row))
            row[at] = bytes([row[at][0] ^ 1]) + row[at][1:]
        elif what == "missing":
            row = chance.choice([row for row in copy.rows if row])
            del row[chance.randrange(len(row))]
        elif what == "root":
            copy.head = Head(copy.head.origin, size, merkle.node_hash(copy.head.root, copy.head.root))
        elif what == "earlier":
            at = chance.randrange(2)
            copy.earlier[at] = Head(copy.head.origin, copy.earlier[at].size, merkle.node_hash(copy.head.root, copy.head.root))
        else:
            copy.head = Head(copy.head.origin, size + chance.randrange(1, 300), copy.head.root)
        assert copy.audit() is not None, what


def test_three_levels_name_the_record_the_tile_or_the_range() -> None:
    for level_rebuilt, span in ((0, 1), (1, 256), (2, 65_536), (3, 66_100)):
        for index in (5, 40_000, 65_535):
            copy = Copy.of(BIG)
            copy.records[index] += b"!"
            if level_rebuilt:
                copy.rebuild(level_rebuilt)
            found = copy.audit()
            assert found is not None
            assert found.start <= index < found.end
            assert found.end - found.start == span, (level_rebuilt, index, found)
            assert found.index == (index if span == 1 else None)


def test_earlier_checkpoints_narrow_a_rewritten_history() -> None:
    """All hashes and even the head fit the rewritten records; only heads that were kept outside tell."""
    honest = TREES[1_024]
    records = [*honest.leaves[:700], *leaves(400, "forked")]
    forked = Tree(records)
    copy = Copy.of(forked)
    copy.earlier = [honest.head(size) for size in (100, 600, 701, 900)]
    found = copy.audit()
    assert found is not None
    assert (found.start, found.end, found.index) == (600, 701, None)


def test_an_older_copy_is_found_by_a_later_checkpoint() -> None:
    copy = Copy.of(TREES[600])
    copy.earlier = [TREES[1_024].head()]
    found = copy.audit()
    assert found is not None
    assert found.index == 600
