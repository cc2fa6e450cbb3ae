"""The lexicon engine: what a phrase finds, and what negation, quotation, exceptions and sentences make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text.reading.documents import build
from shared.text.reading.lexicon import Lexicon
from shared.text.reading.patterns import PatternRefused


def lexicon(block: str) -> Lexicon:
    return Lexicon(
        {"found": block},
        lists={"who": "driver\ncourier"},
        forms={"don't": "do not", "dont": "do not", "i'm": "i am", "f*ing": "fucking"},
        negators=["not", "never", "no", "nobody"],
        undone=["only", "make me"],
        openers=["i", "we", "but", "and"],
    )


def shown(block: str, text: str) -> list[str]:
    found = lexicon(block)
    words = found.words(text)
    return [text[slice(*words.span(hit.first, hit.last))] for hit in found.find(words)]


@pytest.mark.parametrize(
    ("pattern", "text", "passages"),
    [
        ("fed up", "I am FED  UP with it", ["FED  UP"]),
        ("fed up", "fed. Up we go", []),
        ("fed up", "refed upper", []),
        ("refund*", "two refunded orders", ["refunded"]),
        ("(take|taking) .. to court", "I'm taking you and them to court.", ["taking you and them to court"]),
        ("take ..1 to court", "take all of them to court", []),
        ("(post|share) & (online|{who})", "It goes online, I will post it. I share", ["online, I will post"]),
        ("(post|share) & (online|{who})", "I post it. It is online", []),
        ("(rude|\n  slow) driver", "a slow driver", ["slow driver"]),
        ("take ..2\n  to court", "take you to court", ["take you to court"]),
        ("{who} (|was) (|really) rude", "the driver was. Your courier was rude", ["courier was rude"]),
        ("(me|my ..2|us) sick", "it made my two sons sick", ["my two sons sick"]),
        ("#old years", "I am 83 years, she 17 years", ["83 years"]),
        ("#young", "a 7, a 77", ["7"]),
        ("fucking thing", "F***ing thing", ["F***ing thing"]),
        ("so bad", "soooo bad", ["soooo bad"]),
        ("do not", "I don’t", ["don’t"]),
        ("mother", "my mother's flat", ["mother's"]),
    ],
)
def test_a_phrase_finds_whole_words_of_one_sentence(pattern: str, text: str, passages: list[str]) -> None:
    assert shown(pattern, text) == passages


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I will sue you", True),
        ("I am not going to sue you", False),
        ("nobody here will ever sue you", False),
        ("If you do not pay, I sue you", True),
        ("if you do not pay and I sue you", True),
        ("not only sue you", True),
        ("do not make me sue you", True),
        ('The letter says "we sue you" and more', False),
        ("The letter says “we sue you” and more", False),
        ("The boys' room, I sue you, the girls' room", True),
        ("a tennis sue you", False),
        ("for a laugh I sue you", False),
        ("That was for a laugh. I sue you", True),
    ],
)
def test_negation_quotation_and_exceptions(text: str, found: bool) -> None:
    block = "sue you\n- tennis sue\n-- for a laugh"
    assert bool(shown(block, text)) is found


def test_a_phrase_can_hold_after_negation_and_in_quotes() -> None:
    assert shown("! good enough", "not good enough") == ["good enough"]
    assert shown('" good enough', 'he said "good enough"') == ["good enough"]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{nobody} here", "there is no list 'nobody'"),
        ("(a|b", "not closed"),
        ("a) b", "outside of parentheses"),
        ("(|a)", "all of its words may be left out"),
        ("a ..", "words on both sides"),
        ("(refund* me|pay)", "may only end a word"),
    ],
)
def test_a_pattern_that_cannot_be_read_says_why(pattern: str, told: str) -> None:
    with pytest.raises(PatternRefused, match=told.replace("(", r"\(")):
        lexicon(pattern)


@pytest.mark.parametrize(
    ("text", "found"),
    [("I do not post it online", False), ("I post it, but never online", False), ("I post it online", True)],
)
def test_no_part_of_a_pattern_may_be_negated(text: str, found: bool) -> None:
    assert bool(shown("post & online", text)) is found


def test_everyday_words_tell_the_language() -> None:
    english = Lexicon({"found": "sue"}, everyday=["the", "i", "my", "you", "is", "it"])
    assert english.is_of(english.words("I want the parcel you owe my brother. Is it lost?"))
    assert not english.is_of(english.words("Ich will das Paket, das Sie meinem Bruder schulden."))
    assert not english.is_of(english.words("my my"))


def test_a_list_has_one_meaning() -> None:
    with pytest.raises(ValueError, match="'who' is in two documents"):
        build([{"lists": {"who": "driver"}}, {"lists": {"who": "courier"}}])


@given(st.text(max_size=300))
def test_any_text_is_read_and_every_passage_lies_within_it(text: str) -> None:
    found = lexicon("a\nb*\n#\n#young\na .. b")
    words = found.words(text)
    for hit in found.find(words):
        start, end = words.span(hit.first, hit.last)
        assert 0 <= start < end <= len(text)
