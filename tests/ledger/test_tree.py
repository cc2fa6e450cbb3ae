"""The tree is RFC 6962's: pymerkle is the oracle for roots; every proof holds, and none with anything changed."""

from __future__ import annotations

import random
from hashlib import sha256

import pymerkle
import pytest

from services.records.tree import merkle, tiles
from services.records.tree.audit import Audit
from services.records.tree.checkpoint import Head
from tests.ledger.trees import Tree, leaves

SIZES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1_000]


def test_roots_are_those_of_an_independent_implementation() -> None:
    oracle = pymerkle.InmemoryTree(algorithm="sha256")
    records = leaves(2_000)
    hashes: list[bytes] = []
    for size, record in enumerate(records, 1):
        oracle.append_entry(record)
        hashes.append(merkle.leaf_hash(record))
        assert merkle.root(hashes) == oracle.get_root(), size
    assert merkle.root([]) == sha256(b"").digest()


@pytest.mark.parametrize("size", SIZES[1:])
def test_tiles_give_the_same_root_as_all_hashes(size: int) -> None:
    tree = Tree(leaves(size))
    assert tiles.tree_root(size, tree.read) == merkle.root(tree.rows[0])


@pytest.mark.parametrize("size", range(1, 70))
def test_every_inclusion_proof_holds_and_none_that_was_touched(size: int) -> None:
    tree = Tree(leaves(size))
    root = merkle.root(tree.rows[0])
    for index, leaf in enumerate(tree.rows[0]):
        proof = tiles.range_hashes(merkle.inclusion(index, size), tree.read)
        assert merkle.verify_inclusion(leaf, index, size, proof, root)
        for wrong in touched(proof):
            assert not merkle.verify_inclusion(leaf, index, size, wrong, root)
        assert not merkle.verify_inclusion(sha256(leaf).digest(), index, size, proof, root)
        for other in {index - 1, index + 1, size} - {index}:
            assert not merkle.verify_inclusion(leaf, other, size, proof, root)


@pytest.mark.parametrize("size", range(1, 70))
def test_every_consistency_proof_holds_and_none_that_was_touched(size: int) -> None:
    tree = Tree(leaves(size))
    root = merkle.root(tree.rows[0])
    for old in range(size + 1):
        before = merkle.root(tree.rows[0][:old])
        proof = tiles.range_hashes(merkle.consistency(old, size), tree.read)
        assert merkle.verify_consistency(old, size, proof, before, root)
        for wrong in touched(proof):
            assert not merkle.verify_consistency(old, size, wrong, before, root)
        assert not merkle.verify_consistency(old, size, proof, sha256(before).digest(), root)
        assert not merkle.verify_consistency(old, size, proof, before, sha256(root).digest()) or old == 0


@pytest.mark.parametrize("size", [256, 257, 700, 1_300])
def test_proofs_through_several_levels_of_tiles(size: int) -> None:
    tree, chance = Tree(leaves(size)), random.Random(size)
    root = merkle.root(tree.rows[0])
    for _ in range(40):
        index, old = chance.randrange(size), chance.randrange(size + 1)
        proof = tiles.range_hashes(merkle.inclusion(index, size), tree.read)
        assert merkle.verify_inclusion(tree.rows[0][index], index, size, proof, root)
        proof = tiles.range_hashes(merkle.consistency(old, size), tree.read)
        assert merkle.verify_consistency(old, size, proof, merkle.root(tree.rows[0][:old]), root)


def test_a_tree_of_three_levels() -> None:
    size = 70_000
    tree = Tree(leaves(size))
    assert [len(list(tiles.widths(level, size))) for level in tiles.levels(size)] == [274, 2, 1]
    assert list(tiles.widths(0, size))[-1] == (273, 112), "the example of tlog-tiles"
    assert list(tiles.widths(1, size))[-1] == (1, 17)
    assert list(tiles.widths(2, size)) == [(0, 1)]
    assert tiles.tree_root(size, tree.read) == merkle.root(tree.rows[0])
    assert audit(tree, tree.head(), [tree.head(each) for each in (0, 1, 256, 65_536, 65_537, 69_999)]) is None


@pytest.mark.parametrize("size", SIZES)
def test_no_false_alarm(size: int) -> None:
    tree = Tree(leaves(size))
    assert audit(tree, tree.head(), [tree.head(each) for each in range(0, size + 1, max(1, size // 17))]) is None


def test_paths_are_those_of_the_specification() -> None:
    assert tiles.path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tiles.path("entries", 0, 7) == "tile/entries/000.p/7"
    for level in (0, 3, "entries"):
        for number in (0, 999, 1_000, 1_234_067):
            for width in (1, 255, 256):
                assert tiles.parse(tiles.path(level, number, width)) == (level, number, width)
    for wrong in ("tile/0/1", "tile/0/x000/001", "tile/64/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/00/000", "tile/0/001/002"):
        assert tiles.parse(wrong) is None


def touched(proof: list[bytes]) -> list[list[bytes]]:
    """Proofs with one thing changed."""
    found = [[*proof[:at], bytes([each[0] ^ 1]) + each[1:], *proof[at + 1 :]] for at, each in enumerate(proof)]
    found += [[*proof, bytes(32)], *([proof[:-1], proof[1:]] if proof else [])]
    if len(set(proof)) > 1:
        found.append([proof[1], proof[0], *proof[2:]])
    return found


def audit(tree: Tree, head: Head, earlier: list[Head]) -> object:
    running = Audit(head, earlier)
    for number, width in tiles.widths(0, head.size):
        running.add(number, tree.rows[0][number * 256 : number * 256 + width], tree.read(0, number * 256, width))
    return running.finish(lambda level, number, width: tree.read(level, number * 256, width))
