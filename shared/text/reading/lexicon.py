"""A lexicon: which labels a text shows, and where, in one Aho-Corasick pass over its words.

The pass looks for one run of words of each pattern, its rarest; only where that one stands is the text around it
compared with the rest of the pattern. So most words of a text cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ahocorasick

from shared.frozen import dataclass
from shared.text.reading.patterns import Pattern, read_lists, read_patterns
from shared.text.reading.words import Words, read_words

_LOOK_BACK = 6
_NOT_ONLY = frozenset(("only", "just", "nur", "seulement", "solo"))
Place = tuple[int, int]  # the first and the last word


class Hit(NamedTuple):
    """A label that the words from `first` to `last` show, by the pattern `source`."""

    label: str
    first: int
    last: int
    source: str


class _Run:
    """A set of phrases, found at a given word."""

    __slots__ = ("beginnings", "longest", "phrases")

    def __init__(self, run: frozenset[str]) -> None:
        self.longest = max(phrase.count(" ") for phrase in run) + 1
        phrases: dict[str, list[tuple[str, int]]] = {}
        beginnings = []
        for phrase in sorted(run):
            words = phrase.count(" ")
            if phrase.endswith("*") and not words:
                beginnings.append(phrase[:-1])
            else:
                key = phrase[:-1] if phrase.endswith("*") else f"{phrase} "
                phrases.setdefault(phrase.partition(" ")[0], []).append((key, words))
        self.phrases = {first: tuple(each) for first, each in phrases.items()}
        self.beginnings = tuple(beginnings)

    def ends(self, words: Words, start: int) -> Iterator[int]:
        """The last word of each phrase that begins at the word `start`, within its sentence."""
        word = words.words[start]
        for key, more in self.phrases.get(word, ()):
            if not more:
                yield start
            elif words.normal.startswith(key, words.places[start]) and (
                words.sentence[start + more] == words.sentence[start]
            ):
                yield start + more
        if self.beginnings and word.startswith(self.beginnings):
            yield start


@dataclass(frozen=True, slots=True)
class _Part:
    """Runs that follow one another; number `anchor` is looked for first, being the rarest."""

    runs: tuple[_Run, ...]
    gaps: tuple[int, ...]
    anchor: int


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern of a label. Part number `anchor` is looked for first; the others stand anywhere in its sentence."""

    label: str
    pattern: Pattern
    parts: tuple[_Part, ...]
    anchor: int


class Lexicon:
    """Built once from a document's data, then only read. See `patterns` for how phrases are written.

    `labels` maps a label to its block of patterns, `forms` a spelling to the one that patterns use; `negators` turn a
    phrase that follows in the same clause into nothing, unless one of the `openers` begins something new between them.
    `everyday` words only make it faster: no pattern is looked for by them, if it has others. Raises PatternRefused.
    """

    def __init__(
        self,
        labels: Mapping[str, str],
        *,
        lists: Mapping[str, str] | None = None,
        forms: Mapping[str, str] | None = None,
        negators: Iterable[str] = (),
        openers: Iterable[str] = (),
        everyday: Iterable[str] = (),
    ) -> None:
        self.forms = dict(forms or {})
        self._negators = frozenset(negators)
        self._openers = frozenset(openers)
        known = read_lists(lists or {})
        patterns = [(label, each) for label, block in labels.items() for each in read_patterns(block, known)]
        often = _often(frozenset(everyday))
        runs: dict[frozenset[str], _Run] = {}
        anchors: dict[frozenset[str], list[_Rule]] = {}
        for label, pattern in patterns:
            parts = []
            for part in pattern.parts:
                rarest = min(range(len(part.runs)), key=lambda i: often(part.runs[i]))
                found = tuple(runs.setdefault(run, _Run(run)) if run not in runs else runs[run] for run in part.runs)
                parts.append(_Part(found, part.gaps, rarest))
            chosen = [part.runs[made.anchor] for part, made in zip(pattern.parts, parts, strict=True)]
            first = min(range(len(chosen)), key=lambda i: often(chosen[i]))
            anchors.setdefault(chosen[first], []).append(_Rule(label, pattern, tuple(parts), first))
        self._rules = list(anchors.values())
        self._automaton = _automaton(anchors)

    def words(self, text: str) -> Words:
        """The text, split and spelt as this lexicon needs it."""
        return read_words(text, self.forms)

    def find(self, words: Words) -> list[Hit]:
        """What the words show, in the order of the text; exceptions, negation and quotations are taken into account."""
        at, sentence = words.at, words.sentence
        begun: dict[int, list[Place]] = {}  # where the anchors stand, by the number of their rules
        for end, (length, more, numbers) in self._automaton.iter(words.normal):
            first = at[end - length + 2]
            last = first + more
            if sentence[first] == sentence[last]:
                for number in numbers:
                    begun.setdefault(number, []).append((first, last))
        hits: list[Hit] = []
        doubts: list[tuple[_Rule, list[Place]]] = []
        for number, places in begun.items():
            for rule in self._rules[number]:
                if rule.pattern.exception or rule.pattern.sentence_exception:
                    doubts.append((rule, places))
                else:
                    hits += [
                        Hit(rule.label, first, last, rule.pattern.source)
                        for first, last in self._whole(rule, places, words)
                    ]
        if doubts and hits:
            hits = self._without_exceptions(hits, doubts, words)
        hits.sort(key=lambda hit: hit.first)
        return hits

    def _without_exceptions(
        self, hits: list[Hit], doubts: Iterable[tuple[_Rule, list[Place]]], words: Words
    ) -> list[Hit]:
        """The hits that no exception of their label overlaps, nor one for their sentence silences."""
        shown = {hit.label for hit in hits}
        overlapped: dict[str, list[Place]] = {}
        silenced: set[tuple[str, int]] = set()
        for rule, places in doubts:
            if rule.label in shown:
                for first, last in self._whole(rule, places, words):
                    if rule.pattern.exception:
                        overlapped.setdefault(rule.label, []).append((first, last))
                    else:
                        silenced.add((rule.label, words.sentence[first]))
        return [
            hit
            for hit in hits
            if (hit.label, words.sentence[hit.first]) not in silenced
            and not _excepted(hit, overlapped.get(hit.label, ()))
        ]

    def _whole(self, rule: _Rule, places: Sequence[Place], words: Words) -> Iterable[Place]:
        """The places of a rule whose anchor stands at `places`."""
        pattern = rule.pattern
        part = rule.parts[rule.anchor]
        found = places if len(part.runs) == 1 else self._around(part, pattern, places, words)
        found = [place for place in found if self._said(pattern, place, words)]
        for number, other in enumerate(rule.parts):
            if number == rule.anchor or not found:
                continue
            wider: list[Place] = []
            for first, last in found:
                begin, end = words.bounds(words.sentence[first])
                for start in range(begin, end):
                    starts = [(start, to) for to in other.runs[other.anchor].ends(words, start)]
                    for place in starts if len(other.runs) == 1 else self._around(other, pattern, starts, words):
                        if (place[0] > last or place[1] < first) and self._said(pattern, place, words):
                            wider.append((min(first, place[0]), max(last, place[1])))
            found = wider
        return found

    def _around(self, part: _Part, pattern: Pattern, places: Sequence[Place], words: Words) -> Sequence[Place]:
        """The places of a part with several runs, from those of its anchor: onwards, then backwards."""
        sentence, count = words.sentence, len(words.words)
        for number in range(part.anchor + 1, len(part.runs)):
            run, gap = part.runs[number], part.gaps[number - 1]
            places = [
                (first, end)
                for first, last in places
                for start in range(last + 1, min(last + gap + 2, count))
                if sentence[start] == sentence[first]
                for end in run.ends(words, start)
                if pattern.after_negation or not self._holds_negator(words, last + 1, start)
            ]
        for number in range(part.anchor - 1, -1, -1):
            run, gap = part.runs[number], part.gaps[number]
            places = [
                (start, last)
                for first, last in places
                for start in range(max(first - gap - run.longest, 0), first)
                if sentence[start] == sentence[first]
                for end in run.ends(words, start)
                if first - gap - 1 <= end < first
                and (pattern.after_negation or not self._holds_negator(words, end + 1, first))
            ]
        return places

    def _said(self, pattern: Pattern, place: Place, words: Words) -> bool:
        """Neither quoted nor negated, as far as that matters to the pattern."""
        return (pattern.in_quotes or not words.quoted[place[0]]) and (
            pattern.after_negation or not self._negated(words, place[0])
        )

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
                return words.words[number + 1] not in _NOT_ONLY
        return False


def _excepted(hit: Hit, places: Iterable[Place]) -> bool:
    return any(hit.first <= last and first <= hit.last for first, last in places)


def _often(everyday: frozenset[str]) -> Callable[[frozenset[str]], float]:
    """How often a run may stand in a text: everyday words often, few letters more often than many."""

    def often(run: frozenset[str]) -> float:
        return sum(
            (1.0 if everyday.issuperset(phrase.split()) else 0.02) / (len(phrase) * (1 + phrase.count(" ")) ** 2)
            for phrase in run
        )

    return often


def _automaton(anchors: Iterable[frozenset[str]]) -> Any:
    """Finds " phrase " (whole words) or " phrase" (the beginning of the last one) in a normalised text.

    With each phrase come its length, the words after its first, and the numbers of the runs that hold it.
    """
    by_key: dict[str, tuple[int, list[int]]] = {}
    for number, run in enumerate(anchors):
        for phrase in run:
            key = f" {phrase[:-1]}" if phrase.endswith("*") else f" {phrase} "
            by_key.setdefault(key, (phrase.count(" "), []))[1].append(number)
    automaton = ahocorasick.Automaton()
    for key, (more, numbers) in by_key.items():
        automaton.add_word(key, (len(key), more, tuple(numbers)))
    if not by_key:
        automaton.add_word("\0", (1, 0, ()))  # an automaton without words cannot be asked
    automaton.make_automaton()
    return automaton
