"""The case of a bundle on paper: the same case gives the same bytes. Pure.

Its font has the Latin, Greek and Cyrillic letters of all languages that are written with them. What it lacks (and what is written
from the right, which needs more than letters) shows as U+FFFD, and how much that was is said below the text: case.html has it.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
import unicodedata
import zlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import fontTools
import fpdf
import pymupdf_fonts
from fontTools.ttLib import TTFont

# Cascadia Mono (SIL Open Font License); every letter of it has this width, in em.
FAMILY, STYLES, LETTER = "cascadia", {"": "cascadia", "B": "cascadiab"}, 1200 / 2048
# What the bytes depend on.
MADE_BY = f"fpdf2 {fpdf.FPDF_VERSION}, fonttools {fontTools.version}, zlib {zlib.ZLIB_RUNTIME_VERSION}"
_FROM_THE_RIGHT = ("R", "AL", "AN")
_MISSING = "\ufffd"


class Told(Protocol):
    """An event as it is told."""

    @property
    def at(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def words(self) -> str: ...
    @property
    def place(self) -> str: ...


class _Page(fpdf.FPDF):
    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(FAMILY, size=8)
        self.cell(0, 6, f"{self.title}, page {self.page_no()}")


def pdf(case: dict[str, Any], summary: Sequence[tuple[str, str]], lines: Sequence[Told], made_by: str) -> bytes:
    """The case that events.json holds, its texts cleaned already."""
    page = _Page()
    page.set_compression(False)  # smaller differences between versions of zlib
    page.set_title(f"Case file {case['complaint_id']}")
    page.set_creation_date(datetime.fromisoformat(case["events"][-1]["recorded_at"]))
    page.set_producer(made_by)
    with tempfile.TemporaryDirectory() as folder:  # fpdf2 reads fonts from files alone
        for style, name in STYLES.items():
            file = Path(folder) / f"{name}.ttf"
            file.write_bytes(pymupdf_fonts.myfont(name))
            page.add_font(FAMILY, style, file)
    page.set_auto_page_break(True, margin=16)
    page.add_page()
    _write(page, f"Case file of complaint {case['complaint_id']}", 14, "B")
    for name, value in summary:
        _write(page, f"{name}: {value}", 10)
    _write(page, f"README.txt tells how to check this file. Letters that its font lacks show as {_MISSING}: case.html has them.", 9)
    for line in lines:
        page.ln(2)
        _write(page, f"{line.at} {line.what}: {line.text}", 9, "B")
        if line.words:
            _write(page, line.words, 9)
        _write(page, line.place, 7)
    return bytes(page.output())


def _write(page: _Page, text: str, size: int, style: str = "") -> None:
    """Wrapped here, every letter of the font being of one width: fpdf2's own wrapping takes a minute for 10,000 contacts."""
    page.set_font(FAMILY, style, size)
    width = int(page.epw * page.k / (LETTER * size))
    shown, lost = _printable(text)
    if lost:
        shown += f"\n[{lost} letters are not shown here: this font does not have them. case.html shows the whole text.]"
    for paragraph in shown.split("\n"):
        for line in textwrap.wrap(paragraph, width) or [""]:
            page.cell(0, size * 0.45, line, new_x="LMARGIN", new_y="NEXT")


def _printable(text: str) -> tuple[str, int]:
    """What the font has of a text, one sign for each stretch that it lacks, and how many letters those are."""
    lost = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal lost
        lost += len(found[0])
        return _MISSING

    return _lacking().sub(mark, unicodedata.normalize("NFC", text).replace("\t", "    ")), lost


@cache
def _lacking() -> re.Pattern[str]:
    """A stretch of what the font cannot show, blanks within it included."""
    there = set.intersection(*(set(TTFont(BytesIO(pymupdf_fonts.myfont(name))).getBestCmap()) for name in STYLES.values()))
    letters = [chr(code) for code in sorted(there | {10, 32}) if unicodedata.bidirectional(chr(code)) not in _FROM_THE_RIGHT]
    other = f"[^{''.join(re.escape(letter) for letter in letters)}]"
    return re.compile(f"{other}+(?: +{other}+)*")
