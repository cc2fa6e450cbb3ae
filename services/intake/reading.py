"""Reading a contact: what the customer's words say, by the organisation's rules. Pure; nothing is guessed.

The words themselves stay untouched: what is read stands beside them, each finding with the place that shows it. Heat
says how the customer writes and nothing more: it never drives severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from services.intake.issues import Issue, find_impact, find_issues
from services.intake.rules import HeatNumbers, Rules
from shared.contracts.complaints import Category, Contact, SupportNeed
from shared.text.language import Detected, detect
from shared.text.reading.lexicon import Hit
from shared.text.reading.words import Words

Heat = Literal["calm", "frustrated", "angry", "abusive"]
HEATS: tuple[Heat, ...] = get_args(Heat)
THREATS = ("legal", "regulator", "press", "social", "safety", "self_harm", "violence")
NEEDS: tuple[SupportNeed, ...] = get_args(SupportNeed)


@dataclass(frozen=True, slots=True)
class Passage:
    """Where the text shows a finding: characters `start` to `end`."""

    finding: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TextRead:
    """What a text says. `threats`, `needs`, `wanted` in the order of the text."""

    language: Detected
    heat: Heat
    threats: tuple[str, ...]
    needs: tuple[SupportNeed, ...]
    wanted: tuple[str, ...]
    repeated: bool
    category: Category
    severity: int
    details: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    impact: str | None = None
    passages: tuple[Passage, ...] = field(default=())


def read_text(rules: Rules, text: str, language: str | None = None) -> TextRead:
    """Read a text. `language`, when the sender states it, beats what would be detected."""
    detected = Detected(language, 1.0, "given") if language else detect(text)
    lexicon = rules.lexicon(detected.tag)
    words = lexicon.words(text)
    hits = lexicon.find(words)
    heat = _heat(rules.spec.heat, words, hits)
    repeated = any(hit.label == "repeated" for hit in hits)
    return TextRead(
        language=detected,
        heat=heat,
        threats=_of("threat", hits),
        needs=tuple(need for need in NEEDS if need in _of("need", hits)),
        wanted=_of("wanted", hits),
        repeated=repeated,
        category=_category(rules, hits),
        severity=max((rules.spec.severity.get(hit.label, 1) for hit in hits), default=1),
        details=_of("detail", hits),
        issues=find_issues(words, hits),
        impact=find_impact(words, hits),
        passages=_passages(words, hits),
    )


def _of(kind: str, hits: Iterable[Hit]) -> tuple[str, ...]:
    prefix = f"{kind}."
    return tuple(dict.fromkeys(hit.label[len(prefix) :] for hit in hits if hit.label.startswith(prefix)))


def _heat(numbers: HeatNumbers, words: Words, hits: Sequence[Hit]) -> Heat:
    """Abuse by insults or violence; anger by strong words or by loud frustration; else frustration, if any shows."""
    found = {hit.label for hit in hits}
    if "heat.insult" in found or "threat.violence" in found:
        return "abusive"
    loud_share = words.shouted / words.letters if words.letters >= numbers.shouting_letters else 0.0
    shouting = loud_share >= numbers.shouting_share and "heat.excused_capitals" not in found
    loud = shouting or words.shouted >= numbers.shouted_words or words.exclamations >= numbers.exclamations
    if found & {"heat.strong", "heat.swear"}:
        return "angry"
    if found & {"heat.mild", "heat.sarcasm"}:
        return "angry" if loud and "heat.mild" in found else "frustrated"
    if shouting and words.exclamations >= numbers.exclamations:
        return "angry"
    # Without a word of courtesy, a text that says what went wrong is not the calmest kind.
    terse = "heat.calm" not in found and bool(found & {"problem", "repeated"})
    return "frustrated" if loud and "heat.calm" not in found or terse else "calm"


def _category(rules: Rules, hits: Iterable[Hit]) -> Category:
    weights = rules.spec.categories
    scores = dict.fromkeys(weights, 0.0)
    seen: set[tuple[str, int]] = set()
    for hit in hits:
        leaf = hit.label.partition(".")[2]
        if hit.label.startswith("category.") and leaf in scores and (leaf, hit.first) not in seen:
            seen.add((leaf, hit.first))
            scores[leaf] += weights[leaf]
    best = max(scores, key=lambda leaf: scores[leaf], default=None)
    known: dict[str, Category] = {each: each for each in get_args(Category)}
    return known.get(best, "other") if best is not None and scores[best] else "other"


def _passages(words: Words, hits: Iterable[Hit]) -> tuple[Passage, ...]:
    shown = ("threat.", "need.", "heat.insult", "heat.strong", "heat.swear", "heat.mild", "heat.sarcasm", "repeated")
    passages: dict[Passage, None] = {}
    for hit in hits:
        if hit.label.startswith(shown):
            passages[Passage(hit.label, *words.span(hit.first, hit.last))] = None
    return tuple(passages)


def read(contact: Contact) -> Contact:
    """The contact with what was read in it. The text is never changed."""
    return contact
