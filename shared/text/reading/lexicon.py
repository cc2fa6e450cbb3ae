"""A lexicon: which labels a text shows, and where, in one Aho-Corasick pass over its words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ahocorasick

from shared.text.reading.patterns import Pattern, read_lists, read_patterns
from shared.text.reading.words import Words, read_words

_LOOK_BACK = 6


class Hit(NamedTuple):
    """A label that the words from `first` to `last` show, by the pattern `source`."""

    label: str
    first: int
    last: int
    source: str


@dataclass(frozen=True, slots=True)
class _Rule:
    label: str
    pattern: Pattern
    runs: tuple[int, ...]


class Lexicon:
    """Built once from a document's data, then only read. See `patterns` for how phrases are written.

    `labels` maps a label to its block of patterns, `forms` a spelling to the one that patterns use; `negators` turn a
    phrase that follows in the same clause into nothing, unless one of the `openers` begins something new between them.
    Raises PatternRefused.
    """

    def __init__(
        self,
        labels: Mapping[str, str],
        *,
        lists: Mapping[str, str] | None = None,
        forms: Mapping[str, str] | None = None,
        negators: Iterable[str] = (),
        openers: Iterable[str] = (),
    ) -> None:
        self.forms = dict(forms or {})
        self._negators = frozenset(negators)
        self._openers = frozenset(openers)
        known = read_lists(lists or {})
        runs: dict[frozenset[str], int] = {}
        self._rules: list[list[_Rule]] = []  # by the number of a rule's longest run: the one that is rarely there
        for label, block in labels.items():
            for pattern in read_patterns(block, known):
                numbers = tuple(runs.setdefault(run, len(runs)) for run in pattern.runs)
                while len(self._rules) < len(runs):
                    self._rules.append([])
                rarest = max(range(len(numbers)), key=lambda i: min(map(len, pattern.runs[i])))
                self._rules[numbers[rarest]].append(_Rule(label, pattern, numbers))
        self._automaton = _automaton(runs)

    def words(self, text: str) -> Words:
        """The text, split and spelt as this lexicon needs it."""
        return read_words(text, self.forms)

    def find(self, words: Words) -> list[Hit]:
        """What the words show, in the order of the text; exceptions, negation and quotations are taken into account."""
        found: dict[int, list[tuple[int, int]]] = {}
        at, sentence = words.at, words.sentence
        for end, (length, count, runs) in self._automaton.iter(words.normal):
            first = at[end - length + 2]
            last = first + count - 1
            if sentence[first] == sentence[last]:
                for run in runs:
                    found.setdefault(run, []).append((first, last))
        hits: list[Hit] = []
        exceptions: list[Hit] = []
        silenced: set[tuple[str, int]] = set()
        for run in found:
            for rule in self._rules[run]:
                pattern = rule.pattern
                for first, last in self._places(rule, found, words):
                    if pattern.exception:
                        exceptions.append(Hit(rule.label, first, last, pattern.source))
                    elif pattern.sentence_exception:
                        silenced.add((rule.label, sentence[first]))
                    elif (pattern.in_quotes or not words.quoted[first]) and (
                        pattern.after_negation or not self._negated(words, first)
                    ):
                        hits.append(Hit(rule.label, first, last, pattern.source))
        if silenced:
            hits = [hit for hit in hits if (hit.label, sentence[hit.first]) not in silenced]
        if exceptions:
            hits = [hit for hit in hits if not any(_overlap(hit, exception) for exception in exceptions)]
        hits.sort(key=lambda hit: hit.first)
        return hits

    def _places(
        self, rule: _Rule, found: Mapping[int, list[tuple[int, int]]], words: Words
    ) -> Sequence[tuple[int, int]]:
        places: Sequence[tuple[int, int]] = found.get(rule.runs[0], ())
        for number, gap in enumerate(rule.pattern.gaps, start=1):
            following = found.get(rule.runs[number])
            if not places or following is None:
                return ()
            places = [
                (first, end)
                for first, last in places
                for start, end in following
                if last < start <= last + gap + 1
                and words.sentence[first] == words.sentence[start]
                and (rule.pattern.after_negation or not self._holds_negator(words, last + 1, start))
            ]
        return places

    def _holds_negator(self, words: Words, start: int, end: int) -> bool:
        return any(words.words[number] in self._negators for number in range(start, end))

    def _negated(self, words: Words, first: int) -> bool:
        if words.words[first] in self._openers:
            return False
        clause = words.clause[first]
        for number in range(first - 1, max(first - 1 - _LOOK_BACK, -1), -1):
            word = words.words[number]
            if words.clause[number] != clause or word in self._openers:
                return False
            if word in self._negators:
                return words.words[number + 1] not in ("only", "just", "nur", "seulement", "solo")
        return False


def _overlap(hit: Hit, exception: Hit) -> bool:
    return hit.label == exception.label and hit.first <= exception.last and exception.first <= hit.last


def _automaton(runs: Mapping[frozenset[str], int]) -> Any:
    """Finds " phrase " (whole words) or " phrase" (the beginning of the last one) in a normalised text."""
    by_key: dict[str, tuple[int, list[int]]] = {}
    for run, number in runs.items():
        for phrase in run:
            key = f" {phrase[:-1]}" if phrase.endswith("*") else f" {phrase} "
            by_key.setdefault(key, (phrase.count(" ") + 1, []))[1].append(number)
    automaton = ahocorasick.Automaton()
    for key, (count, numbers) in by_key.items():
        automaton.add_word(key, (len(key), count, tuple(numbers)))
    if by_key:
        automaton.make_automaton()
    return automaton
