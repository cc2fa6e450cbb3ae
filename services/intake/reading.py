"""Reading a contact: what the customer's words say, by the organisation's rules. Pure; nothing is guessed.

The words themselves stay untouched: what is read stands beside them, each finding with the place that shows it. Heat
says how the customer writes and nothing more: it never drives severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
_SHOWN = ("threat.", "need.", "heat.insult", "heat.strong", "heat.swear", "heat.mild", "heat.sarcasm", "repeated")
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
    found: dict[str, list[Hit]] = {}
    for hit in lexicon.find(words):
        found.setdefault(hit.label, []).append(hit)
    needs = frozenset(_of("need.", found))
    sentences = words.sentences()
    return TextRead(
        language=detected,
        heat=_heat(rules.spec.heat, words, found),
        threats=_of("threat.", found),
        needs=tuple(need for need in NEEDS if need in needs),
        wanted=_of("wanted.", found),
        repeated="repeated" in found,
        category=_category(rules, found),
        severity=max((rules.spec.severity.get(label, 1) for label in found), default=1),
        details=_of("detail.", found),
        issues=find_issues(words, sentences, found),
        impact=find_impact(words, sentences, found),
        passages=_passages(words, found),
    )


def _of(kind: str, found: Iterable[str]) -> tuple[str, ...]:
    return tuple(label[len(kind) :] for label in found if label.startswith(kind))


def _heat(numbers: HeatNumbers, words: Words, found: Mapping[str, object]) -> Heat:
    """Abuse by insults or violence; anger by strong words or by loud frustration; else frustration, if any shows."""
    if "heat.insult" in found or "threat.violence" in found:
        return "abusive"
    loud_share = words.shouted / words.letters if words.letters >= numbers.shouting_letters else 0.0
    shouting = loud_share >= numbers.shouting_share and "heat.excused_capitals" not in found
    loud = shouting or words.shouted >= numbers.shouted_words or words.exclamations >= numbers.exclamations
    if "heat.strong" in found or "heat.swear" in found:
        return "angry"
    if "heat.mild" in found or "heat.sarcasm" in found:
        return "angry" if loud and "heat.mild" in found else "frustrated"
    if shouting and words.exclamations >= numbers.exclamations:
        return "angry"
    # Without a word of courtesy, a text that says what went wrong is not the calmest kind.
    terse = "heat.calm" not in found and ("problem" in found or "repeated" in found)
    return "frustrated" if (loud and "heat.calm" not in found) or terse else "calm"


def _category(rules: Rules, found: Mapping[str, Sequence[Hit]]) -> Category:
    best: Category = "other"
    most = 0.0
    for leaf, weight in rules.spec.categories.items():
        score = weight * len({hit.first for hit in found.get(f"category.{leaf}", ())})
        if score > most:
            best, most = leaf, score
    return best


def _passages(words: Words, found: Mapping[str, Sequence[Hit]]) -> tuple[Passage, ...]:
    shown = dict.fromkeys(
        Passage(label, *words.span(hit.first, hit.last))
        for label, hits in found.items()
        if label.startswith(_SHOWN)
        for hit in hits
    )
    return tuple(shown)


def read(contact: Contact) -> Contact:
    """The contact with what was read in it. The text is never changed."""
    return contact
