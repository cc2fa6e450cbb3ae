"""A text as the lexicons read it: lower-case words in one spelling, each with its place, sentence and quotation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# One alternative a kind of token: word, number, end of a sentence, end of a clause, emoji.
_TOKEN = re.compile(
    r"([^\W\d_](?:\w|['’`](?=\w)|\*+)*)"
    r"|(\d+(?:[.,:]\d+)*\w*)"
    r"|([.!?…。]+|\n[ \t>]*\n)"
    r"|([,;:()–—\n]|- )"
    r"|([\u2600-\u27bf\U0001f300-\U0001faff])"
)
_WORD, _NUMBER, _STOP, _PAUSE, _EMOJI = 1, 2, 3, 4, 5
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
    """The words of a text. `sentence` and `clause` number them by place; `normal` is what the lexicons search."""

    text: str
    words: list[str]
    spans: list[tuple[int, int]]
    sentence: list[int]
    clause: list[int]
    quoted: list[bool]
    normal: str
    at: dict[int, int]
    letters: int = 0
    shouted: int = 0
    exclamations: int = 0
    emoji: int = 0

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where the words from `first` to `last` stand in the text."""
        return self.spans[first][0], self.spans[last][1]


def read_words(text: str, forms: Mapping[str, str]) -> Words:
    """Split a text. `forms` gives the one spelling of words that have several ("dont": "do not")."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters become two: the places would shift
        lower = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    sentence: list[int] = []
    clause: list[int] = []
    at: dict[int, int] = {}
    inside, part, position = 0, 0, 1
    letters = shouted = exclamations = emoji = 0
    for found in _TOKEN.finditer(lower):
        kind, token = found.lastindex, found[0]
        if kind == _WORD:
            start, end = span = found.span()
            letters += end - start
            if end - start > 1 and text[start] != token[0] and text[start:end].isupper() and not _is_mask(token):
                shouted += end - start
            word = forms.get(token) or _one_spelling(token, forms)
        elif kind == _NUMBER:
            span = found.span()
            word = _number(token)
        elif kind == _EMOJI:
            span, word = found.span(), token
            emoji += 1
        else:
            if kind == _STOP:
                inside += 1
                if "!" in token:
                    exclamations += token.count("!")
            part += 1
            continue
        for each in word.split(" ") if " " in word else (word,):
            at[position] = len(words)
            position += len(each) + 1
            words.append(each)
            spans.append(span)
            sentence.append(inside)
            clause.append(part)
    normal = f" {' '.join(words)} "
    quoted = _quoted(text, spans)
    return Words(text, words, spans, sentence, clause, quoted, normal, at, letters, shouted, exclamations, emoji)


def _is_mask(token: str) -> bool:
    return not token.strip("x")


def _one_spelling(token: str, forms: Mapping[str, str]) -> str:
    """Straight apostrophes, no possessive 's, no "soooo", "f***" as the lexicon writes it."""
    if token.isascii() and token.isalpha():
        return _unrepeated(token, forms)
    token = token.replace("’", "'").replace("`", "'")
    if "*" in token:
        token = _MASKED.sub("*", token)
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
