"""Reading a contact: what the customer's words say, by the organisation's rules. Pure; nothing is guessed.

The words themselves stay untouched: what is read stands beside them, each finding with the place that shows it. Heat
says how the customer writes and nothing more: it never drives severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, get_args

from services.intake.issues import Issue, find_impact, find_issues
from shared.contracts import complaints as contracts
from shared.contracts.complaints import Category, Contact, Heat, Reading, SupportNeed, Threat, Wanted
from shared.frozen import dataclass, field
from shared.policy.complaint import citation
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.text.documents import from_folder
from shared.text.language import UNDETERMINED, Detected, detect
from shared.text.reading.lexicon import LIKELY, Hit
from shared.text.reading.rules import HeatNumbers, Rules, load_rules
from shared.text.reading.words import Words

HEATS: tuple[Heat, ...] = get_args(Heat)
_SHOWN = (
    *("threat.", "need.", "heat.insult", "heat.strong", "heat.swear", "heat.mild", "heat.sarcasm"),
    *("repeated", "escalation"),
)
THREATS: tuple[Threat, ...] = get_args(Threat)
WANTED: tuple[Wanted, ...] = get_args(Wanted)
_NOT_CALM = ("problem", "repeated", "threat.legal", "threat.regulator", "threat.press", "threat.social")
POLICY = "intake.retail.yaml"
RULES = "reading.retail.yaml"
_UNSURE = 0.8  # of the language model: below it, everyday words tell more
MOST_READ = 20_000  # characters: what is longer is kept whole, and read so far
MOST_TAGS = 100
MOST_PASSAGES = 24
NEEDS: tuple[SupportNeed, ...] = get_args(SupportNeed)


@dataclass(frozen=True, slots=True)
class Passage:
    """Where the text shows a finding: characters `start` to `end`."""

    finding: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TextRead:
    """What a text says. `details` are safety details, such as injury."""

    language: Detected
    heat: Heat
    threats: tuple[Threat, ...]
    needs: tuple[SupportNeed, ...]
    wanted: tuple[Wanted, ...]
    repeated: bool
    escalation: bool
    category: Category
    details: tuple[str, ...] = ()
    issues: tuple[Issue, ...] = ()
    impact: str | None = None
    passages: tuple[Passage, ...] = field(default=())


def read_text(rules: Rules, text: str, language: str | None = None) -> TextRead:
    """Read a text. `language`, when the sender states it, beats what would be detected."""
    usual = rules.spec.fallback_language
    lexicon = rules.lexicon(language or usual)
    words = lexicon.words(text)
    if language:
        detected = Detected(language, 1.0, "given")
    elif lexicon.is_of(words):
        detected = Detected(usual, 1.0, "everyday_words")
    else:
        detected = detect(text)
        if detected.tag != usual and detected.confidence < _UNSURE and lexicon.is_of(words, LIKELY):
            detected = Detected(usual, 1 - _UNSURE, "everyday_words")
        if rules.lexicon(detected.tag) is not lexicon:
            lexicon = rules.lexicon(detected.tag)
            words = lexicon.words(text)
    found: dict[str, list[Hit]] = {}
    for hit in lexicon.find(words):
        found.setdefault(hit.label, []).append(hit)
    threats, needs, wanted = (frozenset(_of(kind, found)) for kind in ("threat.", "need.", "wanted."))
    sentences = words.sentences()
    return TextRead(
        language=detected,
        heat=_heat(rules.spec.heat, words, found),
        threats=tuple(threat for threat in THREATS if threat in threats),
        needs=tuple(need for need in NEEDS if need in needs),
        wanted=tuple(each for each in WANTED if each in wanted),
        repeated="repeated" in found,
        escalation="escalation" in found,
        category=_category(rules, found),
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
    if shouting and (words.exclamations >= numbers.exclamations or ("problem" in found and "heat.calm" not in found)):
        return "angry"
    # Without a word of courtesy, a text that says what went wrong, or threatens, is not the calmest kind.
    terse = not found.keys().isdisjoint(_NOT_CALM)
    return "frustrated" if (loud or terse) and "heat.calm" not in found else "calm"


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


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads contacts by reading rules and by intake's policy, which says how severe what was read is. Immutable."""

    rules: Rules
    policy: Policy

    def read(self, contact: Contact) -> Contact:
        """The contact with what was read in it. The text is never changed; what the sender stated stays."""
        text = contact.text or contact.subject or ""
        if not text.strip():
            return contact
        given = contact.language
        read = read_text(self.rules, text[:MOST_READ], given)
        needs = tuple(dict.fromkeys((*contact.customer.support_needs, *read.needs)))
        customer = contact.customer
        if needs != customer.support_needs:
            customer = customer.model_copy(update={"support_needs": needs})
        found = contact.model_copy(
            update={
                "language": given or (None if read.language.tag == UNDETERMINED else read.language.tag),
                "category": read.category if contact.category == "other" else contact.category,
                "customer": customer,
                "tags": tuple(dict.fromkeys((*contact.tags, *read.threats, *read.details)))[:MOST_TAGS],
            }
        )
        decided = self.policy.decide(_facts(found, read))
        tags = tuple(dict.fromkeys((*found.tags, *decided.outcome.get("tags", ()))))[:MOST_TAGS]
        return found.model_copy(
            update={
                "tags": tags,
                "severity": max(contact.severity, decided.outcome["severity"]),
                "reading": Reading(
                    rules=f"{self.rules.id}/{self.rules.version}",
                    language=read.language.tag,
                    language_confidence=read.language.confidence,
                    heat=read.heat,
                    threats=read.threats,
                    wanted=read.wanted,
                    repeated=read.repeated,
                    escalation=read.escalation,
                    issues=tuple(contracts.Issue(number=i.number, text=i.text) for i in read.issues),
                    impact=read.impact,
                    passages=tuple(
                        contracts.Passage(finding=p.finding, start=p.start, end=p.end)
                        for p in (read.passages[:MOST_PASSAGES] if contact.text else ())
                    ),
                    severity_rules=decided.rules,
                    severity_by=citation(self.policy, decided),
                    rules_digest=self.rules.digest,
                    rules_activation=self.rules.activation,
                    acknowledge=decided.outcome.get("acknowledge") == "offer",
                ),
            }
        )


def read(contact: Contact, reader: Reader | None = None) -> Contact:
    """The contact as `reader`, or the one that comes with the service, reads it."""
    return (reader or default_reader()).read(contact)


@cache
def default_rules() -> Rules:
    """The reading rules that come with the service."""
    return from_folder(load_rules, files("services.intake") / "policy", RULES, origin=RULES)


@cache
def default_reader() -> Reader:
    """The reading rules and the policy that come with the service."""
    text = (files("services.intake") / "policy" / POLICY).read_text(encoding="utf-8")
    return Reader(default_rules(), load_policy(text, origin=POLICY))


def _facts(contact: Contact, read: TextRead) -> dict[str, Any]:
    """In the form that intake's policy takes: no text and no identifiers."""
    complaint: dict[str, Any] = {
        "channel": contact.channel,
        "author_kind": contact.author_kind,
        "text_status": contact.text_status,
        "text_length": len(contact.text),
        "heat": read.heat,
        "threats": list(read.threats),
        "tags": list(contact.tags),
        "support_needs": list(contact.customer.support_needs),
        "wanted": list(read.wanted),
        "repeated": read.repeated,
        "issues": len(read.issues),
        "category": contact.category,
        "priority": contact.priority,
        "attachments": len(contact.attachments),
        "received_at": contact.received_at,
        "source": contact.source.instance,
        "customer": {},
    }
    if contact.language:
        complaint["language"] = contact.language.partition("-")[0].lower()
    for name, value in (("incident_at", contact.incident_at), ("product", contact.product)):
        if value is not None:
            complaint[name] = value
    if contact.money_claimed is not None:
        complaint["amount_claimed"] = float(contact.money_claimed.amount)
        complaint["currency"] = contact.money_claimed.currency
    if contact.customer.country:
        complaint["customer"]["country"] = contact.customer.country
    return {"as_of": contact.received_at, "complaint": complaint}
