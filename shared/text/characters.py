"""Characters: from bytes in whatever encoding to clean Unicode. Nothing is dropped that a person could have written."""

from __future__ import annotations

import codecs
import re
import unicodedata

# What browsers make of these labels (WHATWG Encoding): senders say latin1 and mean Windows-1252.
_MEANT = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "iso-8859-8-i": "iso-8859-8",
}
# Codecs that are no character sets, though Python has them among the text encodings.
_NOT_TEXT = {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "unicode-escape", "undefined"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
MAX_MARKS = 30  # as Unicode's Stream-Safe Text Format has it (UAX 15)
_MAYBE_MARKS = re.compile(f"[\u0300-\U0010ffff]{{{MAX_MARKS + 1},}}")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """NFC, line ends as newlines, and no control characters but newline and tab. The untouched bytes stay in the delivery."""
    if text.isascii() and text.isprintable():
        return text
    kept = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return kept if _piled(kept) else unicodedata.normalize("NFC", kept)


def _piled(text: str) -> bool:
    """More marks over one letter than any language has: normalizing them takes time with the square of their number."""
    for run in _MAYBE_MARKS.finditer(text):
        marks = 0
        for character in run.group():
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks > MAX_MARKS:
                return True
    return False


def decode(data: bytes, charset: str | None = None) -> tuple[str, str]:
    """Text of `data`, and the encoding that was used. Never fails: undecodable bytes become U+FFFD.

    A byte order mark wins, then the declared charset if it is known and fits, then UTF-8 if it fits, then the declared
    charset with replacements, then Windows-1252 (in which every byte that people write is a character).
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, "replace").lstrip("\ufeff"), encoding
    declared = _known(charset)
    if declared == "cp1252" and not data.isascii():
        declared = "utf-8" if _fits(data, "utf-8") else declared
    for encoding in filter(None, (declared, "utf-8")):
        if _fits(data, encoding):
            return _SURROGATES.sub("\ufffd", data.decode(encoding)), encoding
    encoding = declared or "cp1252"
    return _SURROGATES.sub("\ufffd", data.decode(encoding, "replace")), encoding


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except (ValueError, LookupError):
        return False
    return True


def _known(charset: str | None) -> str | None:
    """Python's name of a declared charset, or None for one that does not exist or is no character set."""
    if not charset:
        return None
    name = charset.strip().strip("\"'").lower()
    if len(name) > 40 or not name.isascii():
        return None
    name = _MEANT.get(name, name)
    try:
        b"".decode(name)  # refuses what is no text encoding, such as zip
        return None if codecs.lookup(name).name in _NOT_TEXT else name
    except (LookupError, ValueError):
        return None
