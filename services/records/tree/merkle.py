"""The Merkle tree of RFC 6962, section 2: roots, inclusion proofs, consistency proofs. SHA-256 throughout.

A proof is a list of hashes of ranges [start, end) of leaves. `inclusion` and `consistency` say which ranges; whoever
keeps the tree says their hashes (tiles.py); `verify_*` need nothing but the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
Range = tuple[int, int]


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a record: SHA-256(0x00 || leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes (or over the roots of subtrees that are all full and of one size)."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        # A last one without a partner rises as it is: that is RFC 6962's unbalanced right edge.
        odd = [row.pop()] if len(row) % 2 else []
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)] + odd
    return row[0]


def join(parts: Iterable[bytes]) -> bytes:
    """The root of adjacent full subtrees of falling size, from left to right."""
    row = list(parts)
    if not row:
        return EMPTY_ROOT
    found = row.pop()
    while row:
        found = node_hash(row.pop(), found)
    return found


def full_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The full subtrees that [start, end) consists of, as (height, index): it covers index * 2**height and following.

    `start` must be one that occurs in a proof: a multiple of the size of the first of them.
    """
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def inclusion(index: int, size: int) -> list[Range]:
    """PATH(index, D[size]): the ranges whose hashes prove the record `index` in the tree of `size`, from the leaf up."""
    if not 0 <= index < size:
        raise ValueError(f"there is no record {index} in a tree of {size}")
    found: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency(old: int, new: int) -> list[Range]:
    """PROOF(old, D[new]): the ranges whose hashes prove that the tree of `new` begins with the tree of `old`."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot begin with one of {old}")
    if old in (0, new):
        return []
    found: list[Range] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start, whole = middle, False
    if not whole:
        found.append((start, end))
    return found[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether `proof` shows the leaf hash `leaf` at `index` in the tree of `size` with the root `expected`."""
    if not 0 <= index < size or len(proof) > 64:
        return False
    position, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if position % 2 or position == last:
            found = node_hash(other, found)
            while not position % 2 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, other)
        position, last = position >> 1, last >> 1
    return last == 0 and found == expected


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `new` with `new_root` begins with the tree of `old` with `old_root`."""
    if not 0 <= old <= new or len(proof) > 64:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and (new > 0 or new_root == EMPTY_ROOT)
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:  # a whole subtree of the new one: its hash is known
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if position % 2 or position == last:
            first, second = node_hash(other, first), node_hash(other, second)
            while not position % 2 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, other)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1
