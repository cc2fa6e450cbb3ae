"""How the phrases of a lexicon are written: one pattern a line.

fed up with               the words, one after another
(really|so) (sorry|sad)   one of the alternatives; an empty one is allowed: (|very) sorry
refund*                   a word that begins so; only at the end of a run of words
{person}                  one of the list `person` of the same lexicon
take .. to court          up to four words between; ..7 allows seven
{post} & {platform}       both in one sentence, whichever comes first
#old, #young, #adult, #*  a number from 65 to 115, below 18, from 18 to 64, any
! not fit for purpose     holds also after "not", "never" and so on
" i quote                 counts also inside quotation marks
- tennis court            an exception: what overlaps it does not count for this label
-- for a laugh            no phrase of this label counts in a sentence with this
# a remark

A line that ends in a gap, or whose parentheses are still open, goes on in the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import NamedTuple

from shared.frozen import dataclass

MAX_PHRASES = 400  # of one run; what stands for more is cut into runs that follow one another
MAX_VARIANTS = 64
MAX_ALTERNATIVES = 20_000  # of one parenthesis
DEFAULT_GAP = 4
_NUMBERS = frozenset(("#", "#young", "#adult", "#old"))
_TOKEN = re.compile(r"[()|]|\{\w+\}|[^\s(){}|]+")
_GAP = re.compile(r"\.\.(\d*)")
_ENDS_IN_GAP = re.compile(r"\S\s+\.\.\d*$")


class PatternRefused(ValueError):
    """A pattern that cannot be read; the message quotes it and says what to write instead."""


class Part(NamedTuple):
    """Runs of words in this order, with at most `gaps[i]` words between run i and run i + 1."""

    runs: tuple[frozenset[str], ...]
    gaps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Parts that stand in one sentence, in any order."""

    source: str
    parts: tuple[Part, ...]
    exception: bool = False
    sentence_exception: bool = False
    after_negation: bool = False
    in_quotes: bool = False


def read_patterns(block: str, lists: Mapping[str, frozenset[str]]) -> list[Pattern]:
    """The patterns of a block of lines. Raises PatternRefused."""
    return [pattern for line in _lines(block) for pattern in _patterns(line, lists)]


def read_lists(blocks: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Named lists of phrases; a list may use those above it. Raises PatternRefused."""
    lists: dict[str, frozenset[str]] = {}
    for name, block in blocks.items():
        phrases: set[str] = set()
        for line in _lines(block):
            for choice in product(*_choices(line, lists)):
                phrases.add(" ".join(part for part in choice if part))
        lists[name] = frozenset(phrases)
    return lists


def _lines(block: str) -> Iterator[str]:
    begun = ""
    for line in block.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("# ") or stripped == "#":
            continue
        begun = f"{begun} {stripped}".strip()
        if begun.count("(") <= begun.count(")") and not _ENDS_IN_GAP.search(begun):
            yield begun
            begun = ""
    if begun:
        yield begun


def _patterns(line: str, lists: Mapping[str, frozenset[str]]) -> Iterator[Pattern]:
    mark, _, rest = line.partition(" ")
    if mark not in ("-", "--", "!", '"'):
        mark, rest = "", line
    for parts in product(*(list(_parts(part, line, lists)) for part in re.split(r"\s+&\s+", rest.strip()))):
        yield Pattern(
            rest,
            parts,
            exception=mark == "-",
            sentence_exception=mark == "--",
            after_negation=mark in ("!", "-", "--"),
            in_quotes=mark in ('"', "-", "--"),
        )


def _parts(text: str, line: str, lists: Mapping[str, frozenset[str]]) -> Iterator[Part]:
    for written in _without_gaps_in_groups(text):
        pieces = re.split(r"\s*(\.\.\d*)(?:\s+|$)", written.strip())
        steps: list[tuple[frozenset[str], int]] = []  # a run, and how many words may stand before it
        for index in range(0, len(pieces), 2):
            gap = 0 if index == 0 else int(_GAP.fullmatch(pieces[index - 1])[1] or DEFAULT_GAP)  # type: ignore[index]
            for number, run in enumerate(_runs(pieces[index], line, lists)):
                steps.append((run, gap if number == 0 else 0))
        for variant in _variants(steps, line):
            yield Part(tuple(run for run, _ in variant), tuple(gap for _, gap in variant[1:]))


def _without_gaps_in_groups(text: str) -> list[str]:
    """ "(me|my ..2|us) sick" as "(me|us) sick" and "my ..2 sick": a group itself holds no gaps."""
    for start, character in enumerate(text):
        if character != "(":
            continue
        end = _closing(text, start)
        inside = text[start + 1 : end]
        if ".." not in inside:
            continue
        alternatives = _alternatives(inside)
        plain = [each for each in alternatives if ".." not in each]
        parts = [each for each in alternatives if ".." in each]
        if plain:
            parts.append(f"({'|'.join(plain)})")
        return [
            whole for part in parts for whole in _without_gaps_in_groups(f"{text[:start]} {part} {text[end + 1 :]}")
        ]
    return [text]


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise PatternRefused(f"'{text}': a parenthesis is not closed")


def _alternatives(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _variants(steps: list[tuple[frozenset[str], int]], line: str) -> list[list[tuple[frozenset[str], int]]]:
    """With and without each run that may be empty; at the ends it is left out, for it would change nothing."""
    variants: list[list[tuple[frozenset[str], int]]] = [[]]
    filled = [index for index, (run, _) in enumerate(steps) if "" not in run]
    if not filled:
        raise PatternRefused(f"'{line}': all of its words may be left out")
    for run, gap in steps[filled[0] : filled[-1] + 1]:
        given = (run - {""}, gap)
        variants = [[*v, given] for v in variants] + (
            # what is left out hands its gap on
            [[*v, (frozenset(), gap)] for v in variants] if "" in run else []
        )
        if len(variants) > MAX_VARIANTS:
            raise PatternRefused(f"'{line}': too many parts may be left out")
    return [_closed(variant) for variant in variants]


def _closed(variant: list[tuple[frozenset[str], int]]) -> list[tuple[frozenset[str], int]]:
    closed: list[tuple[frozenset[str], int]] = []
    carried = 0
    for run, gap in variant:
        if run:
            closed.append((run, gap + carried))
            carried = 0
        else:
            carried += gap
    return closed


def _runs(piece: str, line: str, lists: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    """The phrases that a piece without gaps stands for, cut where they would become too many."""
    runs: list[frozenset[str]] = []
    for choice in _choices(piece, lists):
        if runs and len(runs[-1]) * len(choice) <= MAX_PHRASES and not any(p.endswith("*") for p in runs[-1]):
            runs[-1] = frozenset(f"{a} {b}".strip() for a, b in product(runs[-1], choice))
        else:
            runs.append(choice)
    for run in runs:
        if any("*" in phrase[:-1] for phrase in run):
            raise PatternRefused(f"'{line}': '*' may only end a word")
    if not runs:
        raise PatternRefused(f"'{line}': a gap needs words on both sides")
    return runs


def _choices(text: str, lists: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    """The text as a sequence of choices; each is a set of phrases, the empty one among them if it may be left out."""
    tokens = _TOKEN.findall(text)
    sequence, end = _sequence(tokens, 0, text, lists)
    if end != len(tokens):
        raise PatternRefused(f"'{text}': '{tokens[end]}' stands outside of parentheses")
    return sequence


def _sequence(
    tokens: list[str], start: int, text: str, lists: Mapping[str, frozenset[str]]
) -> tuple[list[frozenset[str]], int]:
    choices: list[frozenset[str]] = []
    index = start
    while index < len(tokens) and tokens[index] not in ("|", ")"):
        piece = tokens[index]
        index += 1
        if piece == "(":
            alternatives: set[str] = set()
            while True:
                inside, index = _sequence(tokens, index, text, lists)
                if len(alternatives) + prod(map(len, inside)) > MAX_ALTERNATIVES:
                    raise PatternRefused(
                        f"'{text[:100]}': a parenthesis stands for more than {MAX_ALTERNATIVES:,} phrases"
                    )
                alternatives.update(" ".join(part for part in parts if part) for parts in product(*inside))
                if index >= len(tokens):
                    raise PatternRefused(f"'{text}': a parenthesis is not closed")
                index += 1
                if tokens[index - 1] == ")":
                    break
            choices.append(frozenset(alternatives))
        elif piece.startswith("{"):
            if piece[1:-1] not in lists:
                raise PatternRefused(f"'{text}': there is no list '{piece[1:-1]}' above it")
            choices.append(lists[piece[1:-1]])
        else:
            choices.append(_NUMBERS if piece == "#*" else frozenset((piece.lower(),)))
    return choices, index
