"""The issues that a text raises, numbered, and what it did to the customer: sentences of the text, in its own words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.text.reading.lexicon import Hit
from shared.text.reading.words import Words

MOST_ISSUES = 8
_LONGEST = 300
_MARKER = re.compile(r"^\s*(?:\(?\d{1,2}[.):]|[-*•])\s+")


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, in the customer's words; characters `start` to `end` of the text."""

    number: int
    text: str
    start: int
    end: int


def find_issues(words: Words, hits: Sequence[Hit]) -> tuple[Issue, ...]:
    """Sentences that say that something went wrong about something; the first sentence with words where none does."""
    sentences = _sentences(words)
    about = {words.sentence[hit.first] for hit in hits if hit.label.startswith(("category.", "threat.safety"))}
    wrong = {words.sentence[hit.first] for hit in hits if hit.label in ("problem", "threat.safety")}
    wished = {words.sentence[hit.first] for hit in hits if hit.label.startswith("wanted.")}
    told = [number for number in sentences if number in about & wrong and number not in wished]
    told = told or [number for number in sentences if number in about & wrong]
    told = told or [number for number in sentences if number in about][:1] or list(sentences)[:1]
    return tuple(
        Issue(count, _shortened(words.text[start:end]), start, end)
        for count, (start, end) in enumerate((sentences[number] for number in told[:MOST_ISSUES]), start=1)
    )


def find_impact(words: Words, hits: Iterable[Hit]) -> str | None:
    """The sentence that says what it did to the customer, if one does."""
    sentences = _sentences(words)
    weights: dict[int, int] = {}
    for hit in hits:
        if hit.label == "impact" or hit.label.startswith("need."):
            number = words.sentence[hit.first]
            weights[number] = weights.get(number, 0) + 1
    if not weights:
        return None
    start, end = sentences[max(weights, key=lambda number: (weights[number], -number))]
    return _shortened(words.text[start:end])


def _sentences(words: Words) -> dict[int, tuple[int, int]]:
    places: dict[int, tuple[int, int]] = {}
    for number, (start, end) in zip(words.sentence, words.spans, strict=True):
        first, _ = places.get(number, (start, end))
        places[number] = (first, end)
    return places


def _shortened(text: str) -> str:
    text = " ".join(_MARKER.sub("", text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rsplit(' ', 1)[0]}…"
