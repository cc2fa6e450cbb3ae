"""The rules of the draft check: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from shared.text import documents
from shared.text.documents import Beside, Lexicons, Part, Version, from_folder, read_document
from shared.text.drafts.likeness import Vocabulary
from shared.text.drafts.wording import Template
from shared.text.reading.documents import build
from shared.text.reading.lexicon import Lexicon

KIND, SERVICE = "DraftRules", "followup"
Share = Annotated[float, Field(gt=0, le=1)]


class Overlap(Part):
    """How much of an issue, an impact or an earlier sentence must be in a draft."""

    issue: Share = 0.5
    impact: Share = 0.4
    repeat: Share = 0.8


class Jargon(Part):
    """Abbreviations that everyone knows, and how many others are too many."""

    least: int = 2
    known: list[str] = Field(default_factory=list)


class Spec(documents.Spec):
    """The rules of a DraftRules document."""

    overlap: Overlap = Overlap()
    jargon: Jargon = Jargon()
    doubtful_beside_apology: list[str] = Field(default_factory=list)
    # By language, then by kind or by what is missing ("issue" for each issue).
    suggestions: dict[str, dict[str, Template]] = Field(default_factory=dict)
    reasons: dict[str, dict[str, Template]] = Field(default_factory=dict)
    asks: dict[str, dict[str, Template]] = Field(default_factory=dict)


class RulesDocument(documents.Form):
    """A DraftRules document as it is written."""

    kind: Literal["DraftRules"]
    spec: Spec


@dataclass(frozen=True, slots=True)
class Language:
    """What is known of one language."""

    lexicon: Lexicon
    vocabulary: Vocabulary
    suggestions: Mapping[str, str]
    reasons: Mapping[str, str]
    asks: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRules(Version):
    """One version of the rules."""

    spec: Spec
    languages: Mapping[str, Language]
    kind: str = KIND
    service: str = SERVICE

    def language(self, tag: str) -> Language:
        """What is known of a language, or of the fallback."""
        return self.languages.get(tag.partition("-")[0]) or self.languages[self.spec.fallback_language]


def load_rules(text: str, *, origin: str, beside: Beside) -> DraftRules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    document, digest, languages = read_document(RulesDocument, text, origin=origin, beside=beside, make=_language)
    about = document.metadata
    return DraftRules(id=about.id, version=about.version, digest=digest, spec=document.spec, languages=languages)


def _language(document: RulesDocument, tag: str, lexicons: Lexicons) -> Language:
    spec = document.spec
    texts = (by.get(tag, by.get("en", {})) for by in (spec.suggestions, spec.reasons, spec.asks))
    return Language(build(lexicons), Vocabulary.of(lexicons), *texts)


def rules_of(path: Path) -> DraftRules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return from_folder(load_rules, path.parent, path.name, origin=str(path))
