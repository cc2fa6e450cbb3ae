"""A lexicon: which labels a text shows, and where, in one Aho-Corasick pass over its words.

The pass looks for one run of words of each pattern, its rarest; only where that one stands is the text around it
compared with the rest of the pattern. So most words of a text cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

import ahocorasick

from shared.frozen import dataclass, replace
from shared.text.reading.patterns import Pattern, read_lists, read_patterns
from shared.text.reading.words import Words, read_words

_LOOK_BACK = 8
_FEWEST, _ENOUGH = 4, 200  # words of a text that say its language
SURE, LIKELY = 0.45, 0.3  # share of everyday words that leaves no doubt, or less doubt than an unsure model
Place = tuple[int, int]  # the first and the last word


class Hit(NamedTuple):
    """A label that the words from `first` to `last` show, by the pattern `source`."""

    label: str
    first: int
    last: int
    source: str


class _Run:
    """A set of phrases, found at a given word."""

    __slots__ = ("begun", "firsts", "longest", "phrases", "prefixes")

    def __init__(self, run: frozenset[str]) -> None:
        self.longest = max((phrase.count(" ") for phrase in run), default=0) + 1
        phrases: dict[str, dict[int, set[str]]] = {}  # by first word, then by the number of words behind it
        begun: dict[str, list[tuple[str, int]]] = {}  # those whose last word is only begun
        for phrase in run:
            first, more = phrase.partition(" ")[0], phrase.count(" ")
            if not phrase.endswith("*"):
                behind = phrases.setdefault(first, {}).setdefault(more, set())
                if more:
                    behind.add(f"{phrase} ")
            elif more:
                begun.setdefault(first, []).append((phrase[:-1], more))
        self.phrases = {first: tuple(of.items()) for first, of in phrases.items()}
        self.begun = begun
        self.firsts = phrases.keys() | begun.keys()
        self.prefixes = tuple(phrase[:-1] for phrase in run if phrase.endswith("*") and " " not in phrase)

    def ends(self, words: Words, start: int) -> list[int]:
        """The last word of each phrase that begins at the word `start`, within its sentence."""
        word, places, normal, sentence = words.words[start], words.places, words.normal, words.sentence
        found = []
        for more, phrases in self.phrases.get(word, ()):
            end = start + more
            if not more or (end < len(sentence) and normal[places[start] : places[end + 1]] in phrases):
                found.append(end)
        for key, more in self.begun.get(word, ()):
            if normal.startswith(key, places[start]):
                found.append(start + more)
        if self.prefixes and word.startswith(self.prefixes):
            found.append(start)
        return [end for end in found if sentence[end] == sentence[start]]


_BY_AUTOMATON = _Run(frozenset())  # nobody looks for it word by word


@dataclass(frozen=True, slots=True)
class _Part:
    """Runs that follow one another; number `anchor` is looked for first, being the rarest."""

    runs: tuple[_Run, ...]
    gaps: tuple[int, ...]
    anchor: int


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern of a label. `part` is looked for first; the others stand anywhere in its sentence."""

    label: str
    pattern: Pattern
    part: _Part
    others: tuple[_Part, ...]
    excepts: bool  # shows nothing itself
    anyhow: bool  # also after negation and in quotes


class Lexicon:
    """Built once from a document's data, then only read. See `patterns` for how phrases are written.

    `labels` maps a label to its block of patterns, `forms` a spelling to the one that patterns use; `negators` turn a
    phrase that follows in the same clause into nothing, unless one of the `openers` begins something new between them, or one
    of the phrases `undone` follows the negator ("not only", "do not make me").
    the `everyday` words show the language, and no pattern is looked for by them if it has others. Raises PatternRefused.
    """

    def __init__(
        self,
        labels: Mapping[str, str],
        *,
        lists: Mapping[str, str] | None = None,
        forms: Mapping[str, str] | None = None,
        negators: Iterable[str] = (),
        undone: Iterable[str] = (),
        openers: Iterable[str] = (),
        everyday: Iterable[str] = (),
    ) -> None:
        self.forms = dict(forms or {})
        self._negators = frozenset(negators)
        self._undone = tuple(f"{phrase} " for phrase in undone)
        self._openers = frozenset(openers)
        self._everyday = frozenset(everyday)
        known = read_lists(lists or {})
        patterns = [(label, each) for label, block in labels.items() for each in read_patterns(block, known)]
        often = _often(self._everyday)
        runs: dict[frozenset[str], _Run] = {}
        anchors: dict[frozenset[str], list[_Rule]] = {}
        for label, pattern in patterns:
            rarest = [min(range(len(part.runs)), key=lambda i: often(part.runs[i])) for part in pattern.parts]
            chosen = [part.runs[number] for part, number in zip(pattern.parts, rarest, strict=True)]
            first = min(range(len(chosen)), key=lambda i: often(chosen[i]))
            parts = []
            for at, (part, anchor) in enumerate(zip(pattern.parts, rarest, strict=True)):
                for number, run in enumerate(part.runs):
                    if run not in runs and (at, number) != (first, anchor):
                        runs[run] = _Run(run)
                found = [_BY_AUTOMATON if (at, n) == (first, anchor) else runs[run] for n, run in enumerate(part.runs)]
                parts.append(_Part(tuple(found), part.gaps, anchor))
            others = (*parts[:first], *parts[first + 1 :])
            excepts, anyhow = pattern.exception or pattern.sentence_exception, pattern.after_negation and pattern.in_quotes
            # The phrases are in the runs and in the automaton by now: once more would be a fifth of the memory.
            rule = _Rule(label, replace(pattern, parts=()), parts[first], others, excepts, anyhow)
            anchors.setdefault(chosen[first], []).append(rule)
        self._rules = list(anchors.values())
        self._automaton = _automaton(anchors)

    def words(self, text: str) -> Words:
        """The text, split and spelt as this lexicon needs it."""
        return read_words(text, self.forms)

    def is_of(self, words: Words, share: float = SURE) -> bool:
        """Whether so many words are everyday ones of this lexicon's language: `SURE` leaves no doubt.

        In English texts half of the words are everyday words; in others that share some with English, up to a quarter.
        """
        some = words.words[:_ENOUGH]
        return len(some) >= _FEWEST and sum(map(self._everyday.__contains__, some)) >= share * len(some)

    def find(self, words: Words) -> list[Hit]:
        """What the words show, in the order of the text; exceptions, negation and quotations are taken into account."""
        at, sentence = words.at, words.sentence
        begun: dict[int, list[Place]] = {}  # where the anchors stand, by the number of their rules
        for end, (length, more, numbers) in self._automaton.iter(words.normal):
            first = at[end - length + 2]
            last = first + more
            if sentence[first] == sentence[last]:
                place = (first, last)
                for number in numbers:
                    if number in begun:
                        begun[number].append(place)
                    else:
                        begun[number] = [place]
        hits: list[Hit] = []
        doubts: list[tuple[_Rule, list[Place]]] = []
        for number, places in begun.items():
            for rule in self._rules[number]:
                if rule.excepts:
                    doubts.append((rule, places))
                elif whole := self._whole(rule, places, words):
                    hits += [Hit(rule.label, first, last, rule.pattern.source) for first, last in whole]
        if doubts and hits:
            hits = self._without_exceptions(hits, doubts, words)
        hits.sort(key=itemgetter(1, 2, 0, 3))  # all of it: the same in every process
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
        if silenced:
            hits = [hit for hit in hits if (hit.label, words.sentence[hit.first]) not in silenced]
        if overlapped:
            hits = [hit for hit in hits if hit.label not in overlapped or not _excepted(hit, overlapped[hit.label])]
        return hits

    def _whole(self, rule: _Rule, places: Sequence[Place], words: Words) -> Sequence[Place]:
        """The places of a rule whose anchor stands at `places`."""
        part = rule.part
        found = self._around(part, rule.pattern, places, words) if part.gaps else places
        if found and not rule.anyhow:
            found = [place for place in found if self._said(rule.pattern, place, words)]
        for other in rule.others:
            if found:
                found = self._beside(other, rule.pattern, found, words)
        return found

    def _beside(self, part: _Part, pattern: Pattern, places: Sequence[Place], words: Words) -> Sequence[Place]:
        """The places, wide enough to hold the part, too, of those in whose sentence it stands."""
        anchor = part.runs[part.anchor]
        wider: list[Place] = []
        for first, last in places:
            for start in range(*words.bounds(words.sentence[first])):
                word = words.words[start]
                if word not in anchor.firsts and not (anchor.prefixes and word.startswith(anchor.prefixes)):
                    continue
                found: Sequence[Place] = [(start, end) for end in anchor.ends(words, start)]
                if len(part.runs) > 1:
                    found = self._around(part, pattern, found, words)
                for begin, end in found:
                    if (begin > last or end < first) and self._said(pattern, (begin, end), words):
                        wider.append((min(first, begin), max(last, end)))
        return wider

    def _around(self, part: _Part, pattern: Pattern, places: Sequence[Place], words: Words) -> Sequence[Place]:
        """The places of a part with several runs, from those of its anchor: onwards, then backwards."""
        text, sentence, anyhow, negators = words.words, words.sentence, pattern.after_negation, self._negators
        for number in range(part.anchor + 1, len(part.runs)):
            run, gap, longer = part.runs[number], part.gaps[number - 1], []
            firsts, prefixes = run.firsts, run.prefixes
            for first, last in places:
                if not prefixes and firsts.isdisjoint(text[last + 1 : last + gap + 2]):
                    continue  # as most do
                inside = sentence[first]
                for start in range(last + 1, min(last + gap + 2, len(text))):
                    if sentence[start] != inside:
                        break
                    word = text[start]
                    if word in firsts or (prefixes and word.startswith(prefixes)):
                        longer += [(first, end) for end in run.ends(words, start)]
                    if word in negators and not anyhow:
                        break
            if not longer:
                return longer
            places = longer
        for number in range(part.anchor - 1, -1, -1):
            run, gap, longer = part.runs[number], part.gaps[number], []
            firsts, prefixes = run.firsts, run.prefixes
            for first, last in places:
                if not prefixes and firsts.isdisjoint(text[max(first - gap - run.longest, 0) : first]):
                    continue
                inside = sentence[first]
                for start in range(first - 1, max(first - gap - run.longest - 1, -1), -1):
                    if sentence[start] != inside:
                        break
                    word = text[start]
                    if word in firsts or (prefixes and word.startswith(prefixes)):
                        longer += [
                            (start, last)
                            for end in run.ends(words, start)
                            if first - gap - 1 <= end < first and (anyhow or negators.isdisjoint(text[end + 1 : first]))
                        ]
            if not longer:
                return longer
            places = longer
        return places

    def _said(self, pattern: Pattern, place: Place, words: Words) -> bool:
        """Neither quoted nor negated, as far as that matters to the pattern."""
        return (pattern.in_quotes or not words.quoted[place[0]]) and (
            pattern.after_negation or not self._negated(words, place[0])
        )

    def _negated(self, words: Words, first: int) -> bool:
        before = words.words[max(first - _LOOK_BACK, 0) : first]
        if self._negators.isdisjoint(before) or words.words[first] in self._openers:
            return False
        clause = words.clause[first]
        for number in range(first - 1, max(first - 1 - _LOOK_BACK, -1), -1):
            word = words.words[number]
            if words.clause[number] != clause or word in self._openers:
                return False
            if word in self._negators:
                return not words.normal.startswith(self._undone, words.places[number + 1])
        return False


def _excepted(hit: Hit, places: Iterable[Place]) -> bool:
    return any(hit.first <= last and first <= hit.last for first, last in places)


def _often(everyday: frozenset[str]) -> Callable[[frozenset[str]], float]:
    """How often a run may stand in a text: everyday words often, few letters more often than many; large runs cost memory."""

    @cache
    def often(run: frozenset[str]) -> float:
        return len(run) / 1_000 + sum(
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
    known: dict[tuple[int, int, tuple[int, ...]], Any] = {}  # many have the same: each is kept once
    for key, (more, numbers) in by_key.items():
        value = (len(key), more, tuple(numbers))
        automaton.add_word(key, known.setdefault(value, value))
    if not by_key:
        automaton.add_word("\0", (1, 0, ()))  # an automaton without words cannot be asked
    automaton.make_automaton()
    return automaton
