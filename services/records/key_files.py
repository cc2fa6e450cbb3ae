"""Key files: private keys one a line, the current one first, and the current public key beside them as FILE.vkey."""

from __future__ import annotations

from pathlib import Path

from services.records.signer import write_durably
from services.records.tree import note
from shared.cli import Failed, WrongUse


def make(file: Path, name: str | None, *, rotate: bool = False, witness: bool = False) -> str:
    """Make a key file, or put a new key in front of it. Returns the new public key; never overwrites a key."""
    lines: list[str] = []
    algorithm = note.COSIGNATURE if witness else note.ED25519
    if rotate:
        lines = _lines(file)
        before = note.read_signer(lines[0]).verifier
        if name not in (None, before.name):
            raise WrongUse(f"the keys of {file} are those of {before.name}; a log keeps its name when its key changes")
        name, algorithm = before.name, before.algorithm
    elif file.exists():
        raise WrongUse(f"{file} is there already and is not overwritten; --rotate puts a new key in front of its keys")
    if name is None:
        raise WrongUse("--name is needed: the name of the log, like complaints.example.com/ledger")
    try:
        signer = note.new_signer(name, algorithm)
    except note.BadNote as error:
        raise WrongUse(str(error)) from None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, "".join(f"{line}\n" for line in (signer.key, *lines)))
        write_durably(public_file(file), signer.verifier.vkey + "\n", 0o644)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}") from None
    return signer.verifier.vkey


def public_file(file: Path) -> Path:
    """Where the public key of a key file stands."""
    return file.with_name(file.name + ".vkey")


def _lines(file: Path) -> list[str]:
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lines:
            raise note.BadNote("it is empty")
        for line in lines:
            note.read_signer(line)
    except (OSError, UnicodeDecodeError, note.BadNote) as error:
        raise WrongUse(f"{file} holds no key to be rotated ({error})") from None
    return lines
