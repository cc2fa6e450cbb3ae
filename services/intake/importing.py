"""Files on their way in: a CSV cut into pieces of whole rows, a maildir or mbox into its mails."""

from __future__ import annotations

import hashlib
import io
import mailbox
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.intake.adapters.mapping import CsvShape
from services.intake.adapters.rows import Table, open_table

ROWS = 500
PIECE_BYTES = 4_194_304
_MARKED = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Piece:
    """What is sent in one request. `labels` name its items, in order: the line of a row, the name of a mail."""

    content_type: str
    body: bytes
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """All of an import: how many items, which content (for going on later), and its pieces."""

    kind: str
    items: int
    digest: str
    pieces: Iterator[Piece]


def open_load(path: Path, shape: CsvShape | None = None) -> Load:
    """What `path` holds: a maildir, a folder of .eml files, one mail, an mbox, otherwise a CSV file."""
    if path.is_dir():
        return _mails_in(path)
    data = path.read_bytes()
    if path.suffix.lower() == ".eml":
        return Load("mail", 1, _digest([data]), iter([Piece("message/rfc822", data, (path.name,))]))
    if data.startswith(b"From "):
        return _mbox(path)
    return _csv(data, shape or CsvShape())


def _csv(data: bytes, shape: CsvShape) -> Load:
    table = open_table(data, shape)
    starts = [row.line for row in table.rows()]
    return Load("csv", len(starts), _digest([data]), _csv_pieces(table, starts))


def _csv_pieces(table: Table, starts: Sequence[int]) -> Iterator[Piece]:
    """The header, then as many whole rows as fit, in the encoding of the file."""
    lines = list(io.StringIO(table.text, newline=""))
    head = "".join(lines[: table.body_line - 1])
    if table.declared:
        head = f"sep={table.delimiter}\n{head}"
    begin = 0
    while begin < len(starts):
        end = begin
        size = 0
        while end < len(starts) and end - begin < ROWS and size < PIECE_BYTES:
            last = starts[end + 1] if end + 1 < len(starts) else len(lines) + 1
            size += sum(len(line) for line in lines[starts[end] - 1 : last - 1])
            end += 1
        last = starts[end] if end < len(starts) else len(lines) + 1
        body = head + "".join(lines[starts[begin] - 1 : last - 1])
        yield Piece("text/csv", body.encode(table.encoding), tuple(f"line {line}" for line in starts[begin:end]))
        begin = end


def _mails_in(folder: Path) -> Load:
    if (folder / "cur").is_dir() or (folder / "new").is_dir():
        files = sorted(p for name in ("cur", "new") for p in (folder / name).glob("*") if p.is_file())
    else:
        files = sorted(p for p in folder.rglob("*.eml") if p.is_file())
    names = [str(p.relative_to(folder)) for p in files]
    pieces = (Piece("message/rfc822", p.read_bytes(), (name,)) for p, name in zip(files, names, strict=True))
    return Load("mail", len(files), _digest([name.encode() for name in names]), pieces)


def _mbox(path: Path) -> Load:
    box = mailbox.mbox(path, create=False)
    keys = box.keys()
    # An mbox marks lines that look like its own separator; the mark is not the writer's.
    pieces = (
        Piece("message/rfc822", _MARKED.sub(rb"\1", box.get_bytes(key)), (f"mail {number}",)) for number, key in enumerate(keys, 1)
    )
    return Load("mail", len(keys), _digest([str(path.stat().st_size).encode(), path.read_bytes()[:65_536]]), pieces)


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
