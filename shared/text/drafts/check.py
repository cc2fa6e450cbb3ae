"""Checking a draft: what an agent might regret, and what the complaint still lacks. Advice only; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.text.drafts.missing import apologises, find_missing
from shared.text.drafts.more_than_allowed import more_than_allowed
from shared.text.drafts.rules import DraftRules, Language
from shared.text.drafts.sentences import Reading, read_draft
from shared.text.drafts.spec import Case, Finding
from shared.text.drafts.wording import worded
from shared.text.language import detect

# For what the customer went through (always allowed), for an error of ours (after a finding), with a condition, none.
Apology = Literal["experience", "error", "conditional", "none"]
KINDS = (
    "blame", "defensive", "absolute", "sorry_if", "jargon", "dismissive", "policy_hiding", "sarcasm",
    "hollow_repeat", "over_promise", "admits_liability", "arguing",
)  # fmt: skip
_FROM_LEXICON = frozenset(KINDS) - {"jargon", "hollow_repeat"}
_CODE = re.compile(
    r"\b(?:[A-Z]{2,}(?:-[A-Z]+)*\d*|[A-Z]\d{2,}\w*|\w*[a-z]\w*[-_.][a-z]*svc|[A-Z][a-z]*[A-Z]{2,}\w*"
    r"|[A-Z]{2,}-\w+|[a-z]+_[a-z_]+|(?!Ma?c[A-Z])\w*[a-z][A-Z]\w*|\d{1,2}:\d{2}Z)\b"
)
_SHORT_CODE = re.compile(r"\b[A-Z]\d\b")
_SHARED, _SHORTEST = 4, 3
# A label that ends so marks words that are kind in one letter and a fault in another: the rest of the draft says which.
_PERHAPS = ".perhaps"
_PARTS_OF_AN_ARGUMENT = frozenset(("blame", "defensive", "policy_hiding"))


@dataclass(frozen=True, slots=True)
class Checked:
    """Findings in the order of the draft, the names of what is missing with what to say for each, and the kind of apology."""

    findings: tuple[Finding, ...]
    missing: tuple[str, ...]
    asks: tuple[str, ...]
    apology: Apology


def check(rules: DraftRules, draft: str, case: Case) -> Checked:
    """Check a draft against the case that it answers."""
    language = rules.language(detect(draft).tag)
    read = read_draft(language, draft)
    found = [(kind, *read.words.span(first, last)) for kind, first, last in _said(rules, read)]
    found += [("jargon", *place) for place in _jargon(rules, read, case)]
    found += [("hollow_repeat", *place) for place in _repeats(rules, language, read, case)]
    found += [("over_promise", *place) for place in more_than_allowed(read, case)]
    found = [(kind, *_in_full(read, kind, start, end)) for kind, start, end in _said_once(found)]
    missing = find_missing(rules, language, read, case)
    asks = tuple(_ask(language, name, case) for name in missing)
    return Checked(_findings(language, draft, case, found), missing, asks, _apology(read))


def _in_full(read: Reading, kind: str, start: int, end: int) -> tuple[int, int]:
    """The clause that a passage stands in: "is just a" says nothing to who reads it. A code is shown as it stands."""
    words = read.words
    inside = [i for i, (first, last) in enumerate(words.spans) if first < end and start < last]
    if kind == "jargon" or not inside:
        return start, end
    clauses = {words.clause[i] for i in inside}
    whole = [span for span, clause in zip(words.spans, words.clause, strict=True) if clause in clauses]
    return min(start, whole[0][0]), max(end, whole[-1][1])


def _ask(language: Language, name: str, case: Case) -> str:
    """What to say for something missing; "issue_2" is the second issue."""
    about, _, number = name.partition("_") if name.startswith("issue_") else (name, "", "")
    return worded(language.asks.get(about, ""), case, case.issues[int(number) - 1] if number else "")


def _said(rules: DraftRules, read: Reading) -> list[tuple[str, int, int]]:
    """What the lexicon finds, by words; what may be kind as well only where the rest of the draft speaks against it.

    A doubtful passage counts where nobody says sorry or where it is not the only one of its kind, and where no other
    fault is clear. Of some kinds (`doubtful_beside_apology`) every passage is doubtful in a draft that says sorry.
    """
    found = [(hit.label.removesuffix(_PERHAPS), hit.first, hit.last, hit.label.endswith(_PERHAPS)) for hit in read.hits]
    found = [each for each in found if each[0] in _FROM_LEXICON]
    sorry = apologises(read)
    clear = {kind for kind, _, _, doubtful in found if not doubtful}
    said = []
    for kind, first, last, doubtful in found:
        again = any(other == kind and (begin > last or end < first) for other, begin, end, _ in found)
        if doubtful:
            counts = clear <= {kind} and (again or not sorry)
        else:
            counts = again or not sorry or kind not in rules.spec.doubtful_beside_apology
        if counts:
            said.append((kind, first, last))
    return said


def _apology(read: Reading) -> Apology:
    if not apologises(read):
        return "conditional" if any("sorry_if" in s.labels for s in read.sentences) else "none"
    admits = {"does.own_error", "admits_liability"}
    return "error" if any(admits & s.labels for s in read.sentences) else "experience"


def _said_once(found: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Without what another finding says better.

    Blame and defence in an argument, what stands in a repeated sentence, and of two kinds in the same words the shorter.
    """
    argues = any(kind == "arguing" for kind, _, _ in found)
    kept: list[tuple[str, int, int]] = []
    for kind, start, end in sorted(found, key=lambda each: (each[0] != "hollow_repeat", each[1] - each[2])):
        if argues and kind in _PARTS_OF_AN_ARGUMENT:
            continue
        if not any(other != kind and start < last and first < end for other, first, last in kept):
            kept.append((kind, start, end))
    return kept


def _findings(language: Language, draft: str, case: Case, found: Sequence[tuple[str, int, int]]) -> tuple[Finding, ...]:
    """One finding for passages of a kind that touch each other."""
    merged: list[tuple[str, int, int]] = []
    for kind, start, end in sorted(found, key=lambda each: (each[0], each[1])):
        if merged and merged[-1][0] == kind and start <= merged[-1][2] + 1:
            merged[-1] = (kind, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((kind, start, end))
    return tuple(
        Finding(
            kind,
            start,
            end,
            draft[start:end],
            worded(language.suggestions.get(kind, ""), case),
            worded(language.reasons.get(kind, ""), case),
        )
        for kind, start, end in sorted(merged, key=lambda each: (each[1], each[2]))
    )


def _jargon(rules: DraftRules, read: Reading, case: Case) -> list[tuple[int, int]]:
    """Abbreviations and codes that neither the customer used nor everyone knows; words of the trade count, too."""
    given = " ".join(
        (*case.issues, case.impact, *case.wanted, *case.remedies_allowed, *case.promises_broken)
    ).casefold()
    known = {each.casefold() for each in rules.spec.jargon.known}
    places = [read.words.span(hit.first, hit.last) for hit in read.hits if hit.label == "jargon"]
    if not read.words.letters or read.words.shouted / read.words.letters < 0.5:  # a draft in capitals is no jargon
        for found in _CODE.finditer(read.text):
            token = found[0].casefold()
            if token not in known and token not in given and not any(token == p.strip(".") for p in known):
                places.append(found.span())
        if places:
            places += [found.span() for found in _SHORT_CODE.finditer(read.text) if found[0].casefold() not in given]
    distinct = {read.text[start:end].casefold() for start, end in places}
    return sorted(places) if len(distinct) >= rules.spec.jargon.least else []


def _repeats(rules: DraftRules, language: Language, read: Reading, case: Case) -> list[tuple[int, int]]:
    """Sentences that the customer has had before, nearly word for word; not where the draft quotes them.

    A short one only where it is the same and says no sorry: "We are sorry." may well be said twice.
    """
    sent = [
        words
        for message in case.history
        for sentence in re.split(r"(?<=[.!?])\s+", message)
        if len(words := _words(sentence)) >= _SHORTEST
    ]
    places = []
    for sentence in read.sentences:
        words = _words(sentence.text)
        if sentence.quoted or len(words) < _SHORTEST:
            continue
        same = "does.apology" not in sentence.labels and words in sent
        for earlier in () if same else sent:
            shared = len(words & earlier)
            same = shared >= _SHARED and shared >= rules.spec.overlap.repeat * min(len(words), len(earlier))
            if same:
                break
        if same:
            places.append((sentence.start, sentence.end))
    return places


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))
