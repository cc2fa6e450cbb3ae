"""The signer: the only one that holds the log's key. It remembers what it signed, and signs nothing that contradicts it.

It may run in the service or as a process of another user (`amends records sign`). It needs no database: the head and a
proof are given to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.records.tree import checkpoint, merkle, note
from services.records.tree.checkpoint import Head
from shared.errors import AmendsError, StartRefused


class SigningRefused(AmendsError):
    """The tree is not a continuation of what was signed before; the text says what that means and what to do."""


class Signer:
    """Signs the heads of one log with all its keys: the first is the current one, others are being rotated out."""

    def __init__(self, keys: Sequence[note.Signer], memory: Path) -> None:
        if len({key.verifier.name for key in keys}) != 1:
            raise StartRefused("the signing keys have different names; a log has one name, whatever its keys")
        self._keys = tuple(keys)
        self._memory = memory

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._keys[0].verifier.name

    @property
    def verifiers(self) -> tuple[note.Verifier, ...]:
        """The public keys, the current one first."""
        return tuple(key.verifier for key in self._keys)

    def remembered(self) -> Head | None:
        """The last head that was signed; None before the first. Raises SigningRefused when the memory is damaged."""
        try:
            head = Head.parse(note.parse(self._memory.read_text(encoding="utf-8")).text)
        except FileNotFoundError:
            return None
        except (note.BadNote, UnicodeDecodeError) as error:
            raise SigningRefused(
                f"{self._memory} is damaged ({error}); give the signer an outside copy of the last checkpoint: "
                "amends records sign --adopt FILE"
            ) from None
        if head.origin != self.origin:
            raise SigningRefused(
                f"{self._memory} belongs to the log {head.origin}, the key to {self.origin}; "
                "each log has its own memory (AMENDS_RECORDS_SIGNER_STATE_FILE)"
            )
        return head

    def sign(self, head: Head, proof: Sequence[bytes]) -> note.Note:
        """The checkpoint of `head`. `proof` shows that it continues what `remembered` gave. Raises SigningRefused.

        What is signed is remembered before it is handed out: after a crash in between, the same or more is signed again.
        """
        with self._alone():
            before = self.remembered() or Head(self.origin, 0, merkle.EMPTY_ROOT)
            if head.size < before.size:
                raise SigningRefused(
                    f"the ledger has {head.size} records, but {before.size} were signed: an old copy of the database was put back, "
                    "or its end was removed. Nothing is signed. See docs/how-to/operate.md, 'When the ledger went back'"
                )
            if not merkle.verify_consistency(before.size, head.size, proof, before.root, head.root):
                raise SigningRefused(
                    f"the first {before.size} records are not those that were signed: the history was rewritten or forked. "
                    "Nothing is signed. Run: amends records verify"
                )
            signed = checkpoint.sign(head, self._keys)
            self._remember(str(signed))
        return signed

    def adopt(self, text: str, keys: Sequence[note.Verifier]) -> Head:
        """Begin from a checkpoint that was kept outside, signed by one of `keys`. Never goes back behind the memory."""
        head, _ = checkpoint.open_trusted(text, keys)
        if head.origin != self.origin:
            raise SigningRefused(f"this is a checkpoint of {head.origin}, the key is that of {self.origin}")
        with self._alone():
            with contextlib.suppress(SigningRefused):
                before = self.remembered()
                if before is not None and before.size > head.size:
                    raise StartRefused(f"the signer remembers {before.size} records; a checkpoint of {head.size} is older")
            self._remember(text)
        return head

    def _remember(self, text: str) -> None:
        try:
            write_durably(self._memory, text)
        except OSError as error:
            raise SigningRefused(f"the signer cannot remember: {self._memory} cannot be written ({error.strerror})") from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two signers on one memory take turns."""
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            lock = self._memory.with_name(self._memory.name + ".lock").open("a")
        except OSError as error:
            raise SigningRefused(f"the signer cannot remember: {self._memory} cannot be written ({error.strerror})") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def write_durably(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file so that after a power cut it has the old content or the new one, and says so only then."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(key_file: Path, memory: Path | None = None) -> Signer:
    """The signer of a key file: private keys, one a line, the current one first. Raises StartRefused."""
    try:
        text = key_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise StartRefused(f"the signing key {key_file} cannot be read ({reason}); make one: amends records keygen") from None
    try:
        keys = [note.read_signer(line) for line in text.splitlines() if line.strip()]
    except note.BadNote as error:
        raise StartRefused(f"{key_file} holds no signing key: {error}") from None
    if not keys or any(key.verifier.algorithm != note.ED25519 for key in keys):
        raise StartRefused(f"{key_file} holds no signing key of a log; make one: amends records keygen")
    return Signer(keys, memory or key_file.with_name(key_file.name + ".signed"))
