"""A text as the lexicons read it: lower-case words in one spelling, each with its place, sentence and quotation."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

_BETWEEN = re.compile(r"([^\w'’`*]+)")
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
_STOPS = re.compile(r"[.!?…。]|\n[ \t>]*\n")
_PAUSES = re.compile(r"[,;:()–—\n]|- ")
_QUOTED = re.compile(
    r'"[^"\n]{1,400}"|“[^“”]{1,400}”|„[^„“”]{1,400}[“”]|«[^«»]{1,400}»|(?<![\w‘\'])[‘\'](?=\w)[^‘\'’\n]{2,200}[’\'](?!\w)'
    r"|^>.*$",
    re.MULTILINE,
)
_QUOTES = re.compile("[\"“„«'‘>]")
_REPEATED = re.compile(r"(\w)\1{2,}")
_MASKED = re.compile(r"\*+")
# Ages are read from numbers: "#young" (under 18), "#adult", "#old" (65 and above); anything else is "#".
_YOUNG, _OLD, _OLDEST = 18, 65, 115


@dataclass(slots=True)
class Words:
    """The words of a text. `sentence` and `clause` number them by place.

    `normal` is what the lexicons search: in it, word number `at[p]` begins at p, which is `places` of that number.
    """

    text: str
    words: list[str]
    spans: list[tuple[int, int]]
    sentence: list[int]
    clause: list[int]
    quoted: list[bool]
    normal: str
    places: list[int]
    at: dict[int, int]
    letters: int = 0
    shouted: int = 0
    exclamations: int = 0
    emoji: int = 0

    def sentences(self) -> dict[int, tuple[int, int]]:
        """Where each sentence with words stands: characters from and to, by its number."""
        places: dict[int, tuple[int, int]] = {}
        for number, (start, end) in zip(self.sentence, self.spans, strict=True):
            known = places.get(number)
            places[number] = (start, end) if known is None else (known[0], end)
        return places

    def bounds(self, sentence: int) -> tuple[int, int]:
        """The first word of a sentence, and the first one behind it."""
        return bisect_left(self.sentence, sentence), bisect_right(self.sentence, sentence)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where the words from `first` to `last` stand in the text."""
        return self.spans[first][0], self.spans[last][1]


def read_words(text: str, forms: Mapping[str, str]) -> Words:
    """Split a text. `forms` gives the one spelling of words that have several ("dont": "do not")."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters become two: the places would shift
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    sentence: list[int] = []
    clause: list[int] = []
    inside = part = place = 0
    letters = shouted = exclamations = emoji = 0
    number_before = False
    pieces = _BETWEEN.split(lower)
    for index, piece in enumerate(pieces):
        start, place = place, place + len(piece)
        if index % 2:  # what stands between two words
            if piece == " ":
                continue
            if number_before and piece in (".", ",") and pieces[index + 1][:1].isdigit():
                number_before = False  # "1.20", "4,000": one number, and no age
                words[-1] = "#"
                pieces[index + 1] = pieces[index + 1].lstrip("0123456789")
                place += len(text[place:]) - len(text[place:].lstrip("0123456789"))
                spans[-1] = (spans[-1][0], place)
                continue
            if not piece.isascii():
                for found in _EMOJI.finditer(piece):
                    emoji += 1
                    words.append(found[0])
                    spans.append((start + found.start(), start + found.end()))
                    sentence.append(inside)
                    clause.append(part)
            if _STOPS.search(piece):
                inside += 1
                part += 1
                exclamations += piece.count("!")
            elif _PAUSES.search(piece):
                part += 1
            number_before = False
            continue
        if not piece:
            continue
        word = forms.get(piece)
        if word is None:
            if piece[0].isdigit():
                word = _number(piece)
                number_before = True
            elif piece.isascii() and piece.isalpha():
                word = piece if _REPEATED.search(piece) is None else _unrepeated(piece, forms)
            else:
                word = _one_spelling(piece, forms)
                if not word:
                    continue
        letters += place - start
        if place - start > 1 and text[start] != piece[0] and text[start:place].isupper() and not _is_mask(piece):
            shouted += place - start
        span = (start, place)
        if " " in word:
            for each in word.split(" "):
                words.append(each)
                spans.append(span)
                sentence.append(inside)
                clause.append(part)
        else:
            words.append(word)
            spans.append(span)
            sentence.append(inside)
            clause.append(part)
    normal = " ".join(words)
    places = list(accumulate((len(each) + 1 for each in words[:-1]), initial=1)) if words else []
    at = {position: number for number, position in enumerate(places)}
    quoted = _quoted(text, spans)
    return Words(
        text, words, spans, sentence, clause, quoted, f" {normal} ", places, at, letters, shouted, exclamations, emoji
    )


def _is_mask(token: str) -> bool:
    return not token.strip("x")


def _one_spelling(token: str, forms: Mapping[str, str]) -> str:
    """Straight apostrophes, no possessive 's, no "soooo", "f***" as the lexicon writes it; "" where no word is left."""
    token = token.replace("’", "'").replace("`", "'").strip("'")
    if "*" in token:
        token = _MASKED.sub("*", token.lstrip("*"))
        if not token.strip("*_"):
            return ""
        if token.endswith("*") and token not in forms:
            token = token.rstrip("*")
    known = forms.get(token)
    if known:
        return known
    if token.endswith("'s"):
        token = token[:-2]
        return forms.get(token) or token
    return _unrepeated(token.replace("'", " ") if "'" in token else token, forms)


def _unrepeated(token: str, forms: Mapping[str, str]) -> str:
    if _REPEATED.search(token) is None or _is_mask(token):
        return token
    token = _REPEATED.sub(r"\1", token)
    return forms.get(token) or token


def _number(token: str) -> str:
    if token.isdecimal() and len(token) <= 3:
        value = int(token)
        return "#young" if value < _YOUNG else "#adult" if value < _OLD else "#old" if value <= _OLDEST else "#"
    return "#" if token.isdecimal() else f"#{token.lstrip('0123456789.,:')}"


def _quoted(text: str, spans: list[tuple[int, int]]) -> list[bool]:
    marks = [False] * len(spans)
    if _QUOTES.search(text) is None:
        return marks
    number = 0
    for found in _QUOTED.finditer(text):
        start, end = found.span()
        while number < len(spans) and spans[number][0] < start:
            number += 1
        while number < len(spans) and spans[number][1] <= end:
            marks[number] = True
            number += 1
    return marks
