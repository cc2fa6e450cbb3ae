"""CSV files as people make them: any encoding, any delimiter, quoted line breaks, a byte order mark, Excel's `sep=` line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from services.intake.adapters.mapping import CsvShape
from services.intake.submissions import Unreadable
from shared.frozen import dataclass
from shared.text.characters import decode

GUESSED = CsvShape()
DELIMITERS = ",;\t|"
MAX_CELL = 16_777_216
_SEP = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line of the file on which it begins, and its cells."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the rows below it; rows that hold nothing are left out.

    `text` is what follows a `sep=` line (`declared`); the rows begin on its line `body_line`.
    """

    header: tuple[str, ...]
    encoding: str
    delimiter: str
    text: str
    shape: CsvShape
    header_rows: int
    body_line: int
    declared: bool

    def rows(self) -> Iterator[Row]:
        """The rows in order. Raises Unreadable where a quote is opened and never closed."""
        reader = _reader(self.text, self.delimiter, self.shape.quote)
        line = 1
        for seen, cells in enumerate(reader, 1):
            if seen > self.header_rows and any(cell.strip() for cell in cells):
                yield Row(line, [cell.replace("\x00", "") for cell in cells])
            line = reader.line_num + 1


def open_table(data: bytes, shape: CsvShape = GUESSED) -> Table:
    """The table in a file. Raises Unreadable when there is none."""
    text, encoding = _decoded(data, shape.encoding)
    declared = _SEP.match(text)
    delimiter = shape.delimiter or (declared.group(1) if declared else None)
    if declared:
        text = text[declared.end() :]
    if not text.strip():
        raise Unreadable(422, "Empty file", "the file holds no header and no rows")
    delimiter = delimiter or _delimiter(text, shape.quote)
    _closed(text, delimiter, shape.quote)
    reader = _reader(text, delimiter, shape.quote)
    for header_rows, cells in enumerate(reader, 1):
        if any(cell.strip() for cell in cells):
            return Table(
                _header(cells), encoding, delimiter, text, shape, header_rows, reader.line_num + 1, declared is not None
            )
    raise Unreadable(422, "Empty file", "the file holds no header and no rows")


def _decoded(data: bytes, encoding: str | None) -> tuple[str, str]:
    if encoding is None and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = data[:4096]
        if start.count(0) > len(start) // 4:  # UTF-16 without its mark: every other byte of plain letters is zero
            encoding = "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
    if encoding is None:
        return decode(data)
    try:
        return data.decode(encoding).lstrip("\ufeff"), encoding
    except (UnicodeDecodeError, LookupError) as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise Unreadable(
            422, "Wrong encoding", f"the file is not {encoding}{where}; declare another `csv.encoding`"
        ) from None


def _delimiter(text: str, quote: str) -> str:
    """The sign that parts the header best: counted outside quotes, up to the end of the first row."""
    counts = dict.fromkeys(DELIMITERS, 0)
    quoted = False
    for character in text.lstrip()[:65_536]:
        if character == quote:
            quoted = not quoted
        elif not quoted and character in "\r\n":
            break
        elif not quoted and character in counts:
            counts[character] += 1
    return max(counts, key=lambda each: counts[each])


def _reader(text: str, delimiter: str, quote: str, strict: bool = False) -> Any:
    csv.field_size_limit(MAX_CELL)
    # Line ends inside quotes are kept as they are: no translation of newlines.
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=strict)


def _closed(text: str, delimiter: str, quote: str) -> None:
    """A quote that is never closed would swallow all rows behind it in silence."""
    if text.count(quote) % 2 == 0:
        return
    reader = _reader(text, delimiter, quote, strict=True)
    line = 1
    try:
        for _ in reader:
            line = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            detail = (
                f"a quote that opens in the row on line {line} is never closed: the rows behind it cannot be told apart"
            )
            raise Unreadable(422, "Unclosed quote", detail) from None


def _header(cells: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns: trimmed, those without a name numbered, doubles told apart."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.replace("\x00", "").split()) or f"column {number}"
        while name in names:
            name = f"{name} (column {number})"
        names.append(name)
    while names and names[-1] == f"column {len(names)}":  # a delimiter at the end of the line
        names.pop()
    return tuple(names)
