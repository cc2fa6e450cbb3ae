"""Mail made to break readers: any bytes give one item, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake.submissions import ContactSubmission, SetAside, Unreadable
from tests.mail.mails import HEADERS, contact, mail, read

HEAD = b"From: ada@example.org\nSubject: s\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"
MEBI = 1_048_576


def nested(depth: int, inner: bytes) -> bytes:
    levels = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    return HEAD + levels + b"Content-Type: text/plain\n\n" + inner


HOSTILE = {
    "10,000 headers": b"".join(b"X-%d: v\n" % n for n in range(10_000)) + mail(),
    "one endless header": b"Subject: " + b"a" * MEBI + b"\n" + mail(),
    "a folded header without end": b"Subject: x\n" + b" y\n" * MEBI + b"\nhi",
    "headers only": b"a: b\n" * 200_000,
    "nested 10,000 deep": nested(10_000, b"deep"),
    "nested, with a long body": nested(20, b"\n" * (2 * MEBI)),
    "one boundary for all levels": MIXED + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 50_000,
    "a million parts": MIXED + b"--b\n\nx\n" * 300_000,
    "a hundred thousand addresses": b"From: " + b"a@b.c, " * 100_000 + b"\n\nhi",
    "comments in comments": b"From: " + b"(" * 100_000 + b"\n\nhi",
    "groups in groups": b"From: " + b"a:" * 100_000 + b"\n\nhi",
    "encoded words without end": b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\nhi",
    "parameters without end": b"Content-Type: text/plain; " + b'a="' * 50_000 + b"\n\nhi",
    "a part number that is no number": b"Content-Type: text/plain; name*99999999999999999999*=x; name*=\xff''\n\nhi",
    "references without end": b"References: " + b"<a@b> " * 200_000 + b"\n\nhi",
    "uuencode without end": HEAD + b"Content-Transfer-Encoding: x-uuencode\n\n" + b"begin 644 a\n" * 50_000,
    "base64 of nothing": HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"=!" * MEBI,
    "deep HTML": HEAD + b"Content-Type: text/html\n\n" + b"<div>" * 200_000,
    "much HTML": MIXED + (b"--b\nContent-Type: text/html\n\n" + b"<div>" * 900 + b"&" * 20_000 + b"\n") * 100,
    "quotations without end": HEAD + b"\n" + b"On 1 Jan 2020 x wrote:\n> a\nb\n" * 50_000,
    "marks piled up": HEAD + b"Content-Type: text/plain; charset=utf-8\n\na" + ("\u0301\u0316" * 100_000).encode(),
    "NUL and nothing else": b"\x00" * MEBI,
    "carriage returns": b"a: b\r" * 100_000,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_bounded_time(raw: bytes) -> None:
    started = time.process_time()
    assert isinstance(read(raw), ContactSubmission | SetAside)
    assert time.process_time() - started < 20, "unbounded, each of these takes minutes"


def test_bounded_memory() -> None:
    raw = nested(12, b"x\n" * (2 * MEBI))
    tracemalloc.start()
    read(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * len(raw), "parts are places in the mail, not copies of it"


def test_the_text_behind_ten_thousand_headers_is_read() -> None:
    assert contact(HOSTILE["10,000 headers"]).text == "It leaks."


LINES = [
    *(f"{name}: {value}".encode() for name, value in HEADERS.items()),
    b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: multipart/alternative; boundary=c",
    b"Content-Type: text/html; charset=utf-7", b"Content-Type: message/rfc822", b'Content-Type: text/plain; charset="\xff"; format=flowed',
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: x-uuencode", b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Disposition: attachment; filename*=x''%",
    b"--b", b"--b--", b"--c", b"--c--", b"", b"", b" folded", b"begin 644 x", b"#0V%T", b"end", b"> quoted", b"-- ", b"<p>It <b>leaks",
    b"From: =?utf-8?b?!?= <@>", b"From: a@b, c@d;:", b"Date: 99 Foo 0000 99:99:99 +99999", b"Received: ; ; Mon, 2 Mar 2026 10:00:00 -9999",
    b"Return-Path: <>", b"References: <a\x00b@c> <", b"Subject: =?\xff?q?=ZZ?=", b"It leaks.", b"\xff\xfe\x00", b"On 2 Mar 2026 x wrote:",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(LINES) | st.binary(max_size=40), max_size=30), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_lines_give_one_item(lines: list[bytes], ends: bytes) -> None:
    try:
        item = read(ends.join(lines))
    except Unreadable:
        assert not b"".join(lines).strip()
        return
    assert 1 <= len(item.identity.event_id) <= 255
    assert 1 <= len(item.identity.record_id) <= 255
    assert item.identity.event_id.isprintable()
    if not isinstance(item, SetAside):
        assert item.contact.model_dump_json()  # type: ignore[union-attr]
