"""Checkpoints (https://c2sp.org/tlog-checkpoint): the signed head of the tree."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.records.tree import merkle, note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Head:
    """The tree of the log `origin` when it had `size` records."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Head:
        """From the text of a note. Raises BadNote. Extension lines are passed over: they say nothing about the tree."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise note.BadNote("a checkpoint has at least three lines: origin, size, root")
        origin, size, root = lines[:3]
        if not _SIZE.fullmatch(size):
            raise note.BadNote("the checkpoint's size is no number")
        decoded = note.unb64(root, "the checkpoint's root")
        if len(decoded) != merkle.HASH_SIZE:
            raise note.BadNote("the checkpoint's root is not 32 bytes long")
        return cls(origin, int(size), decoded)


def encode(root: bytes) -> str:
    """A hash as checkpoints and proofs write it."""
    return base64.b64encode(root).decode()


def sign(head: Head, signers: Sequence[note.Signer]) -> note.Note:
    """The checkpoint of `head`, signed by all `signers`, whose name must be the log's."""
    if any(signer.verifier.name != head.origin for signer in signers) or not signers:
        raise note.BadNote(f"the keys of another name cannot sign for the log {head.origin}")
    return note.sign(head.text, signers)


def open_trusted(
    text: str, keys: Iterable[note.Verifier], witnesses: Sequence[note.Verifier] = (), quorum: int | None = None
) -> tuple[Head, note.Note]:
    """Read a checkpoint that one of the log's `keys` has signed, and `quorum` of `witnesses` (default: all). Raises BadNote.

    A key counts for the log of its own name only, and a witness's key never stands for the log's.
    """
    signed = note.parse(text)
    head = Head.parse(signed.text)
    own = [key for key in keys if key.name == head.origin and key.algorithm == note.ED25519]
    if not note.trusted(signed, own):
        of = "" if own else f": it is of the log {head.origin}, and the given key is not"
        raise note.BadNote(f"the checkpoint is not signed by the given key{of}")
    cosigners = [key for key in witnesses if key.algorithm == note.COSIGNATURE]
    wanted = len(witnesses) if quorum is None else quorum
    there = {(each.name, each.key_id) for each in note.trusted(signed, cosigners)}
    if len(there) < wanted:
        raise note.BadNote(f"the checkpoint is cosigned by {len(there)} of the given witnesses; {wanted} are wanted")
    return head, signed
