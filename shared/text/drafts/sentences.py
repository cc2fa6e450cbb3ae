"""A draft as the check reads it: its words, what the lexicon finds, and its sentences with what each does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.text.drafts.rules import Language
from shared.text.reading.lexicon import Hit
from shared.text.reading.words import Words


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: its labels, the stems of its words, and whether it is mostly a quotation."""

    text: str
    start: int
    end: int
    labels: frozenset[str]
    stems: frozenset[str]
    quoted: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A draft, read."""

    text: str
    words: Words
    hits: Sequence[Hit]
    sentences: tuple[Sentence, ...]
    stems: frozenset[str]


def read_draft(language: Language, draft: str) -> Reading:
    """Read a draft with the lexicon of its language."""
    words = language.lexicon.words(draft.replace(";", "."))  # what stands after a semicolon is a sentence here
    hits = language.lexicon.find(words)
    numbers: dict[int, tuple[int, int]] = {}
    for index, number in enumerate(words.sentence):
        first, _ = numbers.get(number, (index, index))
        numbers[number] = (first, index)
    sentences = []
    for number, (first, last) in numbers.items():
        start, end = words.span(first, last)
        text = draft[start:end]
        labels = frozenset(hit.label for hit in hits if words.sentence[hit.first] == number)
        quoted = sum(words.quoted[first : last + 1]) * 2 > last + 1 - first
        sentences.append(Sentence(text, start, end, labels, language.vocabulary.stems(text), quoted))
    return Reading(draft, words, hits, tuple(sentences), language.vocabulary.stems(draft))
