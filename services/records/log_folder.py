"""The public log as a folder of files (https://c2sp.org/tlog-tiles), and its audit without a database.

    checkpoint               the signed head of the tree
    log.vkey                 the log's public key; retired.vkeys: the keys before, if any
    tile/LEVEL/...           hashes        tile/entries/...   the records
    checkpoints/SIZE         earlier checkpoints, which narrow down where a history was rewritten
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from services.records import ledger
from services.records.tree import checkpoint, merkle, note, tiles
from services.records.tree.audit import Audit, Finding, exact
from services.records.tree.checkpoint import Head

CHECKPOINT, VKEY, RETIRED, EARLIER = "checkpoint", "log.vkey", "retired.vkeys", "checkpoints"
Tell = Callable[[int, int], None]
# A checkpoint may claim any size: so many bundles are looked for in vain behind the last one that is there.
MOST_MISSING = 4_096
MAX_BUNDLE = tiles.WIDTH * (tiles.MAX_ENTRY + 2)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of an audit. `reason` is empty when all is well; `first_bad` the first wrong record, if it has a name."""

    valid: bool
    size: int | None
    root: str | None
    first_bad: int | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        fields = ("valid", "size", "root", "first_bad", "reason", *(("notes",) if self.notes else ()))
        return {name: getattr(self, name) for name in fields}


def report(head: Head | None, finding: Finding | None, notes: Sequence[str] = ()) -> Report:
    """The outcome in the words of the contract."""
    size, root = (None, None) if head is None else (head.size, checkpoint.encode(head.root))
    if finding is None:
        return Report(True, size, root, notes=tuple(notes))
    return Report(False, size, root, finding.index, finding.reason, tuple(notes))


def refused(reason: str, text: str = "") -> Report:
    """An audit that ends at the checkpoint itself; what it claims is shown, not believed."""
    try:
        claimed = Head.parse(note.parse(text).text)
    except note.BadNote:
        return Report(False, None, None, None, reason)
    return Report(False, claimed.size, checkpoint.encode(claimed.root), None, reason)


def read_keys(text: str) -> list[note.Verifier]:
    """The public keys of a file, one a line. Raises BadNote."""
    keys = [note.read_verifier(line) for line in text.splitlines() if line.strip()]
    if not keys:
        raise note.BadNote("there is no key in it; a public key is one line: NAME+HASH+BASE64")
    return keys


def audit(
    folder: Path, keys: Sequence[note.Verifier], known: Sequence[Head] = (), *, witnesses: Sequence[note.Verifier] = (),
    quorum: int | None = None, tell: Tell = lambda done, size: None,
) -> Report:  # fmt: skip
    """Check everything in `folder` against its checkpoint, which must be signed by one of `keys`, and cosigned by `quorum`
    of `witnesses` (default: all).

    `known` are heads that the auditor has kept: the log must begin with each of them. `tell` hears how many of how many
    records are done.
    """
    try:
        text = _text(folder / CHECKPOINT)
    except FileNotFoundError:
        return refused("there is no checkpoint in the folder")
    except UnicodeDecodeError:
        return refused("the checkpoint is no text")
    except OSError as error:
        return refused(f"the checkpoint cannot be read: {error.strerror}")
    try:
        head, _ = checkpoint.open_trusted(text, keys, witnesses, quorum)
    except note.BadNote as error:
        return refused(str(error), text)
    files = _Files(folder)
    named, forged = _named_keys(folder, text)
    earlier, notes, odd_one = _earlier(folder, keys, named, head)
    forged = forged or odd_one
    if forged:
        return report(head, Finding(0, head.size, forged), notes)
    running = Audit(head, [*earlier, *known])
    oddities: list[Finding] = []
    back_dated = BackDated()
    for number, width in islice(tiles.widths(0, head.size), files.bundles + MOST_MISSING):
        entries, odd = files.entries(number, width)
        oddities += odd
        oddities += back_dated.look(number * tiles.WIDTH, entries)
        running.add(number, [merkle.leaf_hash(entry) for entry in entries], files.tile(0, number, width))
        tell(number * tiles.WIDTH + width, head.size)
    lost = head.size > (files.bundles + MOST_MISSING) * tiles.WIDTH
    found = running.cut_short() if lost else running.finish(files.tile)
    oddities += files.odd(head.size)
    first = min([*([found] if found else []), *oddities], key=lambda each: each.start, default=None)
    return report(head, first, notes)


class BackDated:
    """Watches the times of recording, which never run back in a ledger that only grows."""

    def __init__(self) -> None:
        self._last = b""

    def look(self, first: int, leaves: Sequence[bytes]) -> list[Finding]:
        """The first of `leaves` (numbered from `first`) that says it was recorded before the one in front of it."""
        for index, leaf in enumerate(leaves, first):
            at = ledger.recorded_at_of(leaf)
            if at is not None:
                if at < self._last:
                    return [exact(index, f"record {index} is back-dated: it says it was recorded before record {index - 1}")]
                self._last = at
        return []


class _Files:
    """The tiles that are there, whatever their width."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[tuple[int | str, int], list[int]] = {}
        for path in (folder / "tile").rglob("*"):
            place = tiles.parse(path.relative_to(folder).as_posix()) if path.is_file() else None
            if place is not None:
                level, number, width = place
                self._found.setdefault((level, number), []).append(width)
        self.bundles = 1 + max((number for level, number in self._found if level == tiles.ENTRIES), default=-1)

    def tile(self, level: int, number: int, width: int) -> bytes | None:
        """The stored hashes of a tile; None where there are none. A wider tile serves too, cut to size."""
        chosen = self._width(level, number, width)
        if chosen is None:
            return None
        data = self._read(level, number, chosen, tiles.TILE_SIZE)
        # One that is shorter than its name says is handed on as it is and will not fit; a longer one is none.
        return data[: width * merkle.HASH_SIZE] if len(data) <= chosen * merkle.HASH_SIZE else b""

    def entries(self, number: int, width: int) -> tuple[list[bytes], list[Finding]]:
        """The records of a bundle, at most `width`, and what is odd about it."""
        chosen = self._width(tiles.ENTRIES, number, width)
        if chosen is None:
            return [], []
        found, rest = tiles.unbundle(self._read(tiles.ENTRIES, number, chosen, MAX_BUNDLE))
        first = number * tiles.WIDTH
        if len(found) > chosen or (rest and len(found) >= chosen):
            return found[:width], [exact(first + chosen, f"there is more behind record {first + chosen - 1} than its bundle holds")]
        return found[:width], []

    def odd(self, size: int) -> list[Finding]:
        """Files that a log of `size` has not, and partial tiles that do not agree with the wider ones."""
        found = []
        for (level, number), there in self._found.items():
            height = tiles.HEIGHT * (0 if level == tiles.ENTRIES else int(level))
            beyond = (number * tiles.WIDTH + max(there)) << height
            if beyond > size:
                found.append(exact(size, f"there are records or hashes behind record {size - 1} that the checkpoint does not sign"))
            if len(there) == 1:  # it was read as what it is
                continue
            widest = self._read(level, number, max(there), MAX_BUNDLE)
            for width in there:
                part = self._read(level, number, width, MAX_BUNDLE)
                if not widest.startswith(part) or not _has_width(level, part, width):
                    start = (number * tiles.WIDTH) << height
                    found.append(Finding(start, start + 1, f"{tiles.path(level, number, width)} does not agree with the wider tile"))
        return found

    def _width(self, level: int | str, number: int, wanted: int) -> int | None:
        there = self._found.get((level, number), [])
        wider = [width for width in there if width >= wanted]
        return min(wider) if wider else max(there, default=None)

    def _read(self, level: int | str, number: int, width: int, most: int) -> bytes:
        """What is in a file, at most a byte more than may be; what cannot be read is missing."""
        with contextlib.suppress(OSError), (self._folder / tiles.path(level, number, width)).open("rb") as file:
            return file.read(most + 1)
        return b""


def _has_width(level: int | str, data: bytes, width: int) -> bool:
    if level == tiles.ENTRIES:
        found, rest = tiles.unbundle(data)
        return len(found) == width and not rest
    return len(data) == width * merkle.HASH_SIZE


def _text(file: Path) -> str:
    """What stands in a file, a little more than a note may be at most. Raises OSError, UnicodeDecodeError."""
    with file.open("rb") as opened:
        return opened.read(note.MAX_NOTE + 1).decode()


def _named_keys(folder: Path, text: str) -> tuple[list[note.Verifier], str]:
    """The keys that lie in the folder, which nobody has to believe; and why they are not those of its log, if they are not."""
    found: list[note.Verifier] = []
    for name in (VKEY, RETIRED):
        try:
            keys = read_keys(_text(folder / name))
            if name == VKEY and (len(keys) != 1 or not note.trusted(note.parse(text), keys)):
                return [], f"{VKEY} in the folder is not the key that signed the checkpoint"
            found += keys
        except FileNotFoundError:
            continue
        except (note.BadNote, UnicodeDecodeError, OSError):
            return [], f"{name} in the folder is no list of public keys: it was damaged or changed"
    return found, ""


def _earlier(
    folder: Path, keys: Sequence[note.Verifier], named: Sequence[note.Verifier], head: Head
) -> tuple[list[Head], list[str], str]:
    """The earlier checkpoints of the folder: those signed by `keys`, what to note, and what is forged: also what is signed
    neither by `keys` nor by those that the folder names."""
    found, unknown = [], 0
    for path in sorted((folder / EARLIER).glob("*")):
        if not path.is_file() or not path.name.isdecimal():
            continue
        try:
            signed = note.parse(_text(path))
            each = Head.parse(signed.text)
            if each.origin != head.origin or str(each.size) != path.name:
                raise note.BadNote("it is the checkpoint of another log or size")
            if note.trusted(signed, [key for key in keys if key.name == each.origin]):
                found.append(each)
            elif named and not note.trusted(signed, [key for key in named if key.name == each.origin]):
                raise note.BadNote(f"it is signed neither by the given key nor by one in {VKEY} or {RETIRED}")
            else:
                unknown += 1
        except (UnicodeDecodeError, OSError, note.BadNote) as error:
            return [], [], f"{EARLIER}/{path.name}: {error if isinstance(error, note.BadNote) else 'it is no text that can be read'}"
    notes = [f"{unknown} earlier checkpoints are signed by keys that were not given"] if unknown else []
    return found, notes, ""


class Writer:
    """Writes a log into a folder; `finish` with the checkpoint comes last, so that it never signs what is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()

    def tile(self, level: int, number: int, hashes: bytes) -> None:
        self.put(tiles.path(level, number, len(hashes) // merkle.HASH_SIZE), hashes)

    def entries(self, number: int, leaves: Sequence[bytes]) -> None:
        self.put(tiles.path(tiles.ENTRIES, number, len(leaves)), tiles.bundle(leaves))

    def keys(self, current: str, retired: Sequence[str]) -> None:
        self.put(VKEY, current.encode() + b"\n")
        if retired:
            self.put(RETIRED, "".join(f"{key}\n" for key in retired).encode())

    def earlier(self, size: int, text: str) -> None:
        self.put(f"{EARLIER}/{size}", text.encode())

    def finish(self, text: str) -> None:
        """The checkpoint; and what an earlier export left and this one has not (partial tiles) goes."""
        self.put(CHECKPOINT, text.encode())
        for path in self._leftovers():
            path.unlink()

    def keep(self, name: str) -> None:
        """A file that is there already stays as it is."""
        self._written.add(name)

    def _leftovers(self) -> Iterator[Path]:
        for top in ("tile", EARLIER, RETIRED):
            for path in [self._folder / top, *(self._folder / top).rglob("*")]:
                if path.is_file() and path.relative_to(self._folder).as_posix() not in self._written:
                    yield path

    def put(self, name: str, data: bytes) -> None:
        """A file by its name below the folder: all of it, or as it was."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        self._written.add(name)
