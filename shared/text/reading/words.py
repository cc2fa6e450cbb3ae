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

    `normal` is what the lexicons search: in it, word number `at[p]` begins at p, which is `places` of that number. The last of
    the `places` is the end.
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
    add, add_span, add_sentence, add_clause = words.append, spans.append, sentence.append, clause.append
    known = forms.get
    inside = part = place = 0
    letters = shouted = exclamations = emoji = 0
    repeats = _REPEATED.search(lower) is not None
    pieces = _BETWEEN.split(lower)
    pieces.append("")
    for index in range(0, len(pieces), 2):
        piece, between = pieces[index], pieces[index + 1]
        start = place
        place += len(piece)
        number = False
        word = known(piece)
        if word is None:
            if piece.isalpha():
                word = _unrepeated(piece, forms) if repeats else piece
            elif not piece:
                word = ""
            elif piece[0].isdigit():
                word = _number(piece)
                number = True
            else:
                word = _one_spelling(piece, forms)
        if word:
            letters += place - start
            if text[start] != piece[0] and place - start > 1 and text[start:place].isupper() and not _is_mask(piece):
                shouted += place - start
            span = (start, place)
            if " " in word:
                for each in word.split(" "):
                    add(each)
                    add_span(span)
                    add_sentence(inside)
                    add_clause(part)
            else:
                add(word)
                add_span(span)
                add_sentence(inside)
                add_clause(part)
        if between == " ":  # these three are nearly all
            place += 1
            continue
        if between == ", ":
            place += 2
            part += 1
            continue
        if between == ". ":
            place += 2
            part += 1
            inside += 1
            continue
        if number and between in (".", ",") and pieces[index + 2][:1].isdigit():
            # "1.20", "4,000": one number, and no age
            words[-1] = "#"
            rest = pieces[index + 2].lstrip("0123456789")
            place += 1 + len(pieces[index + 2]) - len(rest)
            pieces[index + 2] = rest
            spans[-1] = (start, place)
            continue
        if not between.isascii():
            for found in _EMOJI.finditer(between):
                emoji += 1
                add(found[0])
                add_span((place + found.start(), place + found.end()))
                add_sentence(inside)
                add_clause(part)
        place += len(between)
        if _STOPS.search(between):
            inside += 1
            part += 1
            exclamations += between.count("!")
        elif _PAUSES.search(between):
            part += 1
    normal = " ".join(words)
    places = list(accumulate([len(each) + 1 for each in words], initial=1))
    at = dict(zip(places, range(len(places)), strict=True))
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
    number = end = 0
    for mark in _QUOTES.finditer(text):
        # Most are apostrophes: to try the quotation only here takes a tenth of searching for it.
        found = _QUOTED.match(text, mark.start()) if mark.start() >= end else None
        if found is None:
            continue
        start, end = found.span()
        while number < len(spans) and spans[number][0] < start:
            number += 1
        while number < len(spans) and spans[number][1] <= end:
            marks[number] = True
            number += 1
    return marks
