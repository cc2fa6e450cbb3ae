"""The issues that a text raises, numbered, and what it did to the customer: sentences of the text, in its own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.text.reading.lexicon import Hit
from shared.text.reading.words import Words

MOST_ISSUES = 8
_LONGEST = 300
Sentences = Mapping[int, tuple[int, int]]
ByLabel = Mapping[str, Sequence[Hit]]
_IMPACT = ("impact", "need.")
_MARKER = re.compile(r"^\s*(?:\(?\d{1,2}[.):]|[-*•])\s+")


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, in the customer's words; characters `start` to `end` of the text."""

    number: int
    text: str
    start: int
    end: int


def find_issues(words: Words, sentences: Sentences, found: ByLabel) -> tuple[Issue, ...]:
    """Sentences that say that something went wrong about something; the first sentence with words where none does."""
    about = _in(words, found, "category.", "threat.safety")
    wrong = _in(words, found, "problem", "threat.safety")
    wished = _in(words, found, "wanted.")
    told = [number for number in sentences if number in about and number in wrong and number not in wished]
    told = told or [number for number in sentences if number in about and number in wrong]
    told = told or [number for number in sentences if number in about][:1] or list(sentences)[:1]
    return tuple(
        Issue(count, _shortened(words.text[start:end]), start, end)
        for count, (start, end) in enumerate((sentences[number] for number in told[:MOST_ISSUES]), start=1)
    )


def find_impact(words: Words, sentences: Sentences, found: ByLabel) -> str | None:
    """The sentence that says what it did to the customer, if one does."""
    counts = Counter(
        words.sentence[hit.first] for label, hits in found.items() if label.startswith(_IMPACT) for hit in hits
    )
    if not counts:
        return None
    start, end = sentences[max(counts, key=lambda number: (counts[number], -number))]
    return _shortened(words.text[start:end])


def _in(words: Words, found: ByLabel, *labels: str) -> frozenset[int]:
    return frozenset(words.sentence[hit.first] for label in found if label.startswith(labels) for hit in found[label])


def _shortened(text: str) -> str:
    text = " ".join(_MARKER.sub("", text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rsplit(' ', 1)[0]}…"
