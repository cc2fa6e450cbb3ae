"""A lexicon: which labels a text shows, and where, in one Aho-Corasick pass over its words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import ahocorasick

from shared.frozen import dataclass, field
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
    """A pattern in numbers: its runs, and which of them is looked for first, being the rarest."""

    label: str
    pattern: Pattern
    runs: tuple[int, ...]
    first: int


@dataclass(slots=True)
class _Found:
    """What the automaton found: (phrase, last word) by first word, (phrase, first word) by last word."""

    starts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    ends: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


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
                self._rules[numbers[rarest]].append(_Rule(label, pattern, numbers, rarest))
        self._automaton, self._phrases = _automaton(runs, [bool(rules) for rules in self._rules])

    def words(self, text: str) -> Words:
        """The text, split and spelt as this lexicon needs it."""
        return read_words(text, self.forms)

    def find(self, words: Words) -> list[Hit]:
        """What the words show, in the order of the text; exceptions, negation and quotations are taken into account."""
        found = _Found()
        begun: dict[int, list[tuple[int, int]]] = {}  # the places of the runs that rules look for first
        at, sentence, starts, ends = words.at, words.sentence, found.starts, found.ends
        for end, (length, count, phrase, runs) in self._automaton.iter(words.normal):
            first = at[end - length + 2]
            last = first + count - 1
            if sentence[first] == sentence[last]:
                starts.setdefault(first, []).append((phrase, last))
                ends.setdefault(last, []).append((phrase, first))
                for run in runs:
                    begun.setdefault(run, []).append((first, last))
        hits: list[Hit] = []
        exceptions: dict[str, list[tuple[int, int]]] = {}
        silenced: set[tuple[str, int]] = set()
        for run, places in begun.items():
            for rule in self._rules[run]:
                pattern = rule.pattern
                for first, last in places if len(rule.runs) == 1 else self._whole(rule, places, found, words):
                    if pattern.exception:
                        exceptions.setdefault(rule.label, []).append((first, last))
                    elif pattern.sentence_exception:
                        silenced.add((rule.label, sentence[first]))
                    elif (pattern.in_quotes or not words.quoted[first]) and (
                        pattern.after_negation or not self._negated(words, first)
                    ):
                        hits.append(Hit(rule.label, first, last, pattern.source))
        if silenced:
            hits = [hit for hit in hits if (hit.label, sentence[hit.first]) not in silenced]
        if exceptions:
            hits = [hit for hit in hits if not _excepted(hit, exceptions.get(hit.label, ()))]
        hits.sort(key=lambda hit: hit.first)
        return hits

    def _whole(
        self, rule: _Rule, places: Sequence[tuple[int, int]], found: _Found, words: Words
    ) -> Sequence[tuple[int, int]]:
        """The places of a rule with several runs, from those of the run looked for first: onwards, then backwards."""
        pattern, sentence = rule.pattern, words.sentence
        for number in range(rule.first + 1, len(rule.runs)):
            members, gap = self._phrases[rule.runs[number]], pattern.gaps[number - 1]
            places = [
                (first, end)
                for first, last in places
                for start in range(last + 1, min(last + gap + 2, len(sentence)))
                for phrase, end in found.starts.get(start, ())
                if phrase in members
                and sentence[start] == sentence[first]
                and (pattern.after_negation or not self._holds_negator(words, last + 1, start))
            ]
        for number in range(rule.first - 1, -1, -1):
            members, gap = self._phrases[rule.runs[number]], pattern.gaps[number]
            places = [
                (start, last)
                for first, last in places
                for end in range(first - 1, max(first - gap - 2, -1), -1)
                for phrase, start in found.ends.get(end, ())
                if phrase in members
                and sentence[end] == sentence[first]
                and (pattern.after_negation or not self._holds_negator(words, end + 1, first))
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


def _excepted(hit: Hit, places: Iterable[tuple[int, int]]) -> bool:
    return any(hit.first <= last and first <= hit.last for first, last in places)


def _automaton(runs: Mapping[frozenset[str], int], begins: Sequence[bool]) -> tuple[Any, list[frozenset[int]]]:
    """Finds " phrase " (whole words) or " phrase" (the beginning of the last one) in a normalised text.

    Each phrase has a number; with the automaton come the phrases of each run. `begins` says which runs a rule looks for
    first.
    """
    by_key: dict[str, tuple[int, list[int]]] = {}
    for run, number in runs.items():
        for phrase in run:
            key = f" {phrase[:-1]}" if phrase.endswith("*") else f" {phrase} "
            by_key.setdefault(key, (phrase.count(" ") + 1, []))[1].append(number)
    automaton = ahocorasick.Automaton()
    phrases: list[set[int]] = [set() for _ in runs]
    for phrase_number, (key, (count, numbers)) in enumerate(by_key.items()):
        for number in numbers:
            phrases[number].add(phrase_number)
        automaton.add_word(key, (len(key), count, phrase_number, tuple(n for n in numbers if begins[n])))
    if not by_key:
        automaton.add_word("\0", (1, 0, 0, ()))  # an automaton without words cannot be asked
    automaton.make_automaton()
    return automaton, [frozenset(each) for each in phrases]
