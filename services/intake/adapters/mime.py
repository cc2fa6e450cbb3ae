"""A mail as its bytes hold it (RFC 5322, 2045-2049, 2231): headers, and a tree of parts. Bounded for hostile input.

Headers are read with the standard library, a value at a time and only those that are asked for. The body is cut at its
boundaries here, because the library's parser takes time with the product of lines and depth: 25 MiB of line ends in
nested parts would keep it busy for minutes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.utils import collapse_rfc2231_value, getaddresses
from typing import NamedTuple

from shared.text.characters import clean, decode

MAX_HEADER_BYTES = 1_048_576
MAX_HEADERS = 10_000
MAX_VALUE = 32_768
MAX_STRUCTURED = 4_096  # Content-Type and the like, whose reading in the library is not linear
MAX_DEPTH = 12
MAX_PARTS = 500

_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOLD = re.compile(rb"\n(?=[ \t])")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,40}\?[bBqQ]\?)")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")
_UU = re.compile(rb"^begin [0-7]{3,4} ([^\n]{1,255})\n", re.MULTILINE)


class Address(NamedTuple):
    name: str
    email: str


class Headers:
    """The header fields in order. Names are compared without regard to case; values are decoded when asked for."""

    def __init__(self, fields: Sequence[tuple[str, bytes]]) -> None:
        self._fields: dict[str, list[bytes]] = {}
        for name, value in fields:
            self._fields.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def raw(self, name: str) -> str | None:
        """The first value of a field, unfolded and undecoded."""
        values = self._fields.get(name)
        return _unfolded(values[0]) if values else None

    def all_raw(self, name: str) -> list[str]:
        return [_unfolded(value) for value in self._fields.get(name, ())]

    def text(self, name: str) -> str | None:
        """The first value of a field as people read it."""
        value = self.raw(name)
        return None if value is None else " ".join(clean(decode_words(value)).split())

    def addresses(self, name: str) -> list[Address]:
        """The addresses of all fields of this name. Display names are decoded after the list is taken apart."""
        found = []
        for value in self.all_raw(name):
            try:
                pairs = getaddresses([value[:MAX_VALUE]])
            except (RecursionError, IndexError, ValueError):
                pairs = []
            pairs = [(n, a) for n, a in pairs if _ADDRESS.fullmatch(a)] or [("", a) for a in _ADDRESS.findall(value)[:20]]
            found += [Address(" ".join(clean(decode_words(n)).split()), clean(a).strip()) for n, a in pairs[:100]]
        return found


@dataclass(slots=True)
class Part:
    """One part. A leaf, and the mail itself, have their bytes (still encoded) in `body`; a multipart has `parts`."""

    headers: Headers
    media_type: str
    charset: str | None
    name: str | None
    attached: bool
    parameters: dict[str, str]
    body: bytes = b""
    parts: list[Part] = field(default_factory=list)

    def content(self) -> bytes:
        """The bytes after the transfer encoding is undone; damaged encodings give what can be read of them."""
        encoding = (self.headers.raw("content-transfer-encoding") or "").partition(";")[0].strip().strip('"').lower()
        if encoding == "base64":
            return unbase64(self.body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding in ("x-uuencode", "uuencode", "x-uue"):
            found = _UU.search(self.body)
            return uudecode(self.body[found.end() if found else 0 :])
        return self.body

    def text(self, limit: int) -> str:
        """The content of a text part; at most `limit` bytes of it are looked at."""
        return decode(self.content()[:limit], self.charset)[0]

    def leaves(self) -> Iterator[Part]:
        """The parts that hold something, in order."""
        if self.parts:
            for part in self.parts:
                yield from part.leaves()
        else:
            yield self


def parse(data: bytes) -> Part:
    """The mail as a tree. Never fails: what is no mail at all is a text part without headers."""
    ended = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if b"\n" not in ended[:MAX_HEADER_BYTES] and b"\r" in ended:
        ended = ended.replace(b"\r", b"\n")
    start = len(ended) - len(ended.lstrip(b"\n"))
    if ended.startswith(b"From ", start):  # the line that mbox puts before each mail
        start = ended.find(b"\n", start) + 1
    return _part(_Text(ended), start, len(ended), 0, "text/plain")


class _Text:
    """The bytes of one mail, and how many parts may still be made of them. Parts are places in it, not copies."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts = MAX_PARTS


def _part(text: _Text, start: int, end: int, depth: int, default_type: str) -> Part:
    text.parts -= 1
    headers, start = _split_headers(text.data, start, end)
    part = _described(headers, default_type)
    boundary = part.parameters.get("boundary")
    if part.media_type.startswith("multipart/") and boundary and depth < MAX_DEPTH:
        inner = "message/rfc822" if part.media_type == "multipart/digest" else "text/plain"
        for piece_start, piece_end in _pieces(text.data, start, end, boundary.encode("utf-8", "surrogateescape")):
            if text.parts <= 0:
                break
            part.parts.append(_part(text, piece_start, piece_end, depth + 1, inner))
    if part.media_type.startswith("multipart/") and not part.parts:
        part.media_type = "message/rfc822" if boundary and depth == MAX_DEPTH else "text/plain"
    if depth == 0 or not part.parts:
        part.body = text.data[start:end]
    return part


def _split_headers(data: bytes, start: int, end: int) -> tuple[Headers, int]:
    """The header fields, and where the body begins: behind the first empty line, or with the first line that is no field."""
    if data.startswith(b"\n", start, end):
        return Headers([]), start + 1
    blank = data.find(b"\n\n", start, end)
    block = data[start : min(blank if blank >= 0 else end, start + MAX_HEADER_BYTES)]
    fields: list[tuple[str, bytes]] = []
    at = 0
    for line in _lines(block):
        found = _FIELD.fullmatch(line)
        if found is None and not line.startswith((b">From ", b"From ")) and not _only_fields(block[at + len(line) + 1 :]):
            return Headers(fields), start + at
        if found is not None and len(fields) < MAX_HEADERS:
            fields.append((found.group(1).decode("ascii").lower(), found.group(2)))
        at += len(line) + 1
    return Headers(fields), blank + 2 if blank >= 0 else end


def _lines(block: bytes) -> Iterator[bytes]:
    """The lines of a header block, each with its continuation lines."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        while end >= 0 and block[end + 1 : end + 2] in (b" ", b"\t"):
            end = block.find(b"\n", end + 1)
        end = len(block) if end < 0 else end
        yield block[start:end]
        start = end + 1


def _only_fields(rest: bytes) -> bool:
    """Nothing but fields follows: the line before them is a damaged one, not the first of the body."""
    return bool(rest.strip()) and all(_FIELD.fullmatch(line) for line in _lines(rest[:MAX_STRUCTURED]))


def _pieces(data: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
    """From where to where the parts between the boundary lines go; up to the end where the last line is missing."""
    begun = None
    line = re.compile(rb"\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\n|\Z)")
    for found in line.finditer(data, max(0, start - 1), end):
        if begun is not None:
            yield begun, max(begun, found.start())
        begun = min(found.end() + 1, end)
        if found.group(1):
            return
    if begun is not None:
        yield begun, end


def _described(headers: Headers, default_type: str) -> Part:
    message: Message[str, str] = Message()
    for header in ("content-type", "content-disposition"):
        value = headers.raw(header)
        if value:
            message[header] = value[:MAX_STRUCTURED]
    media_type = default_type
    disposition: str | None = None
    name: str | None = None
    parameters: dict[str, str] = {}
    try:
        media_type = message.get_content_type() if "content-type" in message else default_type
        disposition = message.get_content_disposition()
        parameters = {key.lower(): collapse_rfc2231_value(value) for key, value in message.get_params([])[1:]}
        name = message.get_filename()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # described so badly that the library gives up: what was read so far counts
    if name is not None:
        name = " ".join(clean(decode_words(name)).split())[:255] or None
    return Part(headers, media_type, parameters.get("charset"), name, disposition == "attachment", parameters)


def _unfolded(value: bytes) -> str:
    cut = _FOLD.sub(b"", value[:MAX_VALUE]).strip()
    return cut.decode("ascii") if cut.isascii() else decode(cut)[0]


def decode_words(value: str) -> str:
    """A header value with its encoded words (RFC 2047) read, also inside quotes and split within a character."""
    if "=?" not in value:
        return value
    joined = _BETWEEN_WORDS.sub(r"\1", value)
    pieces: list[tuple[str | None, bytes]] = []
    at = 0
    for word in _ENCODED_WORD.finditer(joined):
        if word.start() > at:
            pieces.append((None, joined[at : word.start()].encode("utf-8", "surrogatepass")))
        charset = word.group(1).partition("*")[0].lower()  # RFC 2231 lets a language follow
        data = word.group(3).encode("utf-8", "replace")
        data = unbase64(data) if word.group(2) in "bB" else binascii.a2b_qp(data.replace(b"_", b" "), header=True)
        if pieces and pieces[-1][0] == charset:
            pieces[-1] = (charset, pieces[-1][1] + data)
        else:
            pieces.append((charset, data))
        at = word.end()
    pieces.append((None, joined[at:].encode("utf-8", "surrogatepass")))
    return "".join(decode(data, charset or "utf-8")[0] for charset, data in pieces)


def unbase64(data: bytes) -> bytes:
    """Base64 with whatever does not belong to it left out, and without its last, incomplete byte."""
    kept = data.translate(None, _NOT_BASE64)
    kept = kept[: -1 if len(kept) % 4 == 1 else None]
    return base64.b64decode(kept + b"=" * (-len(kept) % 4))


def uudecode(data: bytes) -> bytes:
    """The bytes of uuencoded lines up to `end`; lines that are damaged give what they hold."""
    out = []
    for line in data.split(b"\n"):
        if line.strip() in (b"end", b"`"):
            break
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:  # too long: some encoders put a checksum at the end
            length = (((line[:1] or b" ")[0] - 32) & 63) * 4 // 3 + 1
            try:
                out.append(binascii.a2b_uu(line[: length + 1]))
            except binascii.Error:
                continue
    return b"".join(out)


@dataclass(slots=True)
class UuFile:
    name: str
    content: bytes


def take_uuencoded(data: bytes) -> tuple[bytes, list[UuFile]]:
    """A text without the files that old mail programs put into it (`begin 644 name` to `end`), and the files."""
    files: list[UuFile] = []
    kept, at = [], 0
    while len(files) < MAX_PARTS and (found := _UU.search(data, at)) is not None:
        end = data.find(b"\nend", found.end() - 1)
        if end < 0 or data[end + 4 : end + 5] not in (b"", b"\n", b"\r", b" "):
            break
        kept.append(data[at : found.start()])
        files.append(UuFile(clean(decode(found.group(1))[0]).strip()[:255], uudecode(data[found.end() : end])))
        at = end + 4
    kept.append(data[at:])
    return b"".join(kept), files
