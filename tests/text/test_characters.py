"""Encodings as senders declare them, rightly or not."""

from __future__ import annotations

import codecs
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text.characters import clean, decode


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("Größe".encode(), "utf-8", "Größe"),
        ("Größe".encode(), None, "Größe"),
        ("Größe".encode(), "iso-8859-1", "Größe"),  # declared wrongly; UTF-8 that fits is UTF-8
        ("Größe".encode("latin-1"), "iso-8859-1", "Größe"),
        ("Größe".encode("latin-1"), "utf-8", "Gr\ufffd\ufffde"),
        ("Größe".encode("latin-1"), None, "Größe"),
        ("Größe".encode("latin-1"), "x-unknown", "Größe"),
        ("“quoted” – 5 €".encode("cp1252"), "iso-8859-1", "“quoted” – 5 €"),
        ("ご迷惑".encode("shift_jis"), "Shift_JIS", "ご迷惑"),
        ("ご迷惑".encode("iso2022_jp"), "iso-2022-jp", "ご迷惑"),
        ("환불".encode("euc_kr"), "ks_c_5601-1987", "환불"),
        ("退款".encode("gb18030"), "gb2312", "退款"),
        ("жалоба".encode("koi8-r"), "KOI8-R", "жалоба"),
        (codecs.BOM_UTF16_LE + "Größe".encode("utf-16-le"), "us-ascii", "Größe"),
        (codecs.BOM_UTF8 + "Größe".encode(), "latin1", "Größe"),
        (b"plain", "zip", "plain"),
        (b"plain", "rot13", "plain"),
        (b"plain", "idna", "plain"),
        (b"plain", "x" * 500, "plain"),
        (b"plain", "\x00", "plain"),
        (b"plain", "a\nb", "plain"),
    ],
)
def test_what_people_wrote_is_read(data: bytes, charset: str | None, text: str) -> None:
    assert decode(data, charset)[0] == text


@given(st.binary(max_size=100), st.none() | st.text(max_size=20) | st.sampled_from(["utf-7", "hz", "utf-16", "idna", "cp949"]))
def test_decoding_never_fails_and_gives_text_that_can_be_stored(data: bytes, charset: str | None) -> None:
    decode(data, charset)[0].encode()


def test_marks_piled_up_do_not_take_the_square_of_their_number() -> None:
    piled = "a" + "\u0301\u0316" * 50_000
    started = time.process_time()
    assert clean(piled) == piled
    assert time.process_time() - started < 5, "normalizing these takes a minute"


@given(st.text())
def test_clean_text_is_normal_and_without_controls(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert clean(cleaned) == cleaned
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in cleaned)
