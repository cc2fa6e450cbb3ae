"""Proofs of one record (https://c2sp.org/tlog-proof): text that anybody can check offline, for ever.

The extra line holds what ties the customer's payload to the record: the salt (32 bytes), then the leaf itself.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.records.tree import checkpoint, merkle, note

MAGIC = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Proof:
    """The record `index`, the hashes from its sibling up to the root, and a checkpoint as it was signed."""

    extra: bytes
    index: int
    hashes: tuple[bytes, ...]
    signed: str

    def __str__(self) -> str:
        extra = f"extra {base64.b64encode(self.extra).decode()}\n" if self.extra else ""
        hashes = "".join(checkpoint.encode(each) + "\n" for each in self.hashes)
        return f"{MAGIC}\n{extra}index {self.index}\n{hashes}\n{self.signed}"

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Raises BadNote."""
        head, empty, signed = text.partition("\n\n")
        lines = head.split("\n")
        if not empty or lines.pop(0) != MAGIC:
            raise note.BadNote(f"this is no proof: its first line is not {MAGIC}, or its checkpoint is missing")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = note.unb64(lines.pop(0).removeprefix("extra "), "the extra line")
        index = lines.pop(0) if lines else ""
        if not index.startswith("index ") or not _INDEX.fullmatch(index.removeprefix("index ")):
            raise note.BadNote("the proof has no line with the record's index")
        hashes = tuple(note.unb64(line, "a hash of the proof") for line in lines)
        if any(len(each) != merkle.HASH_SIZE for each in hashes) or len(hashes) > 63:
            raise note.BadNote("a hash of the proof is not 32 bytes long")
        return cls(extra, int(index.removeprefix("index ")), hashes, signed)

    def check(
        self, leaf: bytes, keys: Sequence[note.Verifier], witnesses: Sequence[note.Verifier] = (), quorum: int | None = None
    ) -> checkpoint.Head:
        """The head of the log that holds `leaf` at the proof's index. Raises BadNote when it is not proved."""
        head, _ = checkpoint.open_trusted(self.signed, keys, witnesses, quorum)
        if not merkle.verify_inclusion(merkle.leaf_hash(leaf), self.index, head.size, self.hashes, head.root):
            raise note.BadNote(f"the record is not number {self.index} of the log that the checkpoint signs")
        return head
