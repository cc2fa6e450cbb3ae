"""Trees in memory for the tests, and exports of them as files: built by the plain definition, hash by hash."""

from __future__ import annotations

from pathlib import Path

from services.records.log_folder import Writer
from services.records.tree import checkpoint, merkle, note, tiles
from services.records.tree.checkpoint import Head

ORIGIN = "complaints.example.com/ledger"
KEY = note.new_signer(ORIGIN)


class Tree:
    """All records and all hashes of a log."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.rows = [[merkle.leaf_hash(leaf) for leaf in leaves]]
        while len(self.rows[-1]) >= tiles.WIDTH:
            row = self.rows[-1]
            self.rows.append([merkle.root(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)])

    def read(self, level: int, first: int, count: int) -> bytes:
        return b"".join(self.rows[level][first : first + count])

    def head(self, size: int | None = None) -> Head:
        size = len(self.leaves) if size is None else size
        return Head(ORIGIN, size, merkle.root(self.rows[0][:size]))

    def checkpoint(self, size: int | None = None, key: note.Signer = KEY) -> str:
        return str(checkpoint.sign(self.head(size), [key]))

    def write(self, folder: Path, *, earlier: tuple[int, ...] = (), key: note.Signer = KEY) -> None:
        """As `amends records export-log` does."""
        writer = Writer(folder)
        size = len(self.leaves)
        for level in tiles.levels(size):
            for number, width in tiles.widths(level, size):
                writer.tile(level, number, self.read(level, number * 256, width))
                if level == 0:
                    writer.entries(number, self.leaves[number * 256 : number * 256 + width])
        for each in earlier:
            writer.earlier(each, self.checkpoint(each))
        writer.keys(key.verifier.vkey, [])
        writer.finish(self.checkpoint(key=key))


def leaves(count: int, word: str = "record") -> list[bytes]:
    """Records that are not alike."""
    return [f"{word} {number}".encode() for number in range(count)]
