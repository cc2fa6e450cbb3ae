"""The rules of the draft check: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from shared.policy.problems import PolicyRefused, Problem
from shared.policy.shape import Metadata
from shared.text.documents import (
    Beside,
    Part,
    PartName,
    Rollout,
    built,
    check_fallback,
    checked,
    lexicon_parts,
    parsed,
    text_of,
)
from shared.text.drafts.likeness import Vocabulary
from shared.text.reading import documents
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


class Spec(Part):
    """The rules of a DraftRules document."""

    lexicons: dict[str, list[PartName]]
    fallback_language: str
    overlap: Overlap = Overlap()
    jargon: Jargon = Jargon()
    suggestions: dict[str, dict[str, str]] = Field(default_factory=dict)
    rollout: Rollout = Rollout()


class RulesDocument(Part):
    """A DraftRules document as it is written."""

    apiVersion: Literal["complaints.policy/v1"]
    kind: Literal["DraftRules"]
    metadata: Metadata
    spec: Spec


@dataclass(frozen=True, slots=True)
class Language:
    """What is known of one language."""

    lexicon: Lexicon
    vocabulary: Vocabulary
    suggestions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DraftRules:
    """One version of the rules. Immutable; `digest` names its exact content, lexicons included.

    In force they also say by which `activation` (0: packaged with the service, not yet recorded), that they come `late`
    and that newer activations may not have arrived (`lag`).
    """

    id: str
    version: int
    digest: str
    spec: Spec
    languages: Mapping[str, Language]
    kind: str = KIND
    service: str = SERVICE
    activation: int = 0
    late: bool = False
    lag: bool = False

    @property
    def approvers(self) -> int:
        """How many people it takes to put it in force."""
        return self.spec.rollout.approvers

    def language(self, tag: str) -> Language:
        """What is known of a language, or of the fallback."""
        return self.languages.get(tag.partition("-")[0]) or self.languages[self.spec.fallback_language]


def load_rules(text: str, *, origin: str, beside: Beside) -> DraftRules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    root = parsed(text, origin)
    document = checked(RulesDocument, root, origin, text)
    spec, about = document.spec, document.metadata
    digest, problems = hashlib.sha256(text.encode()), list[Problem]()
    languages: dict[str, Language] = {}
    for tag, names in spec.lexicons.items():
        parts = lexicon_parts(names, beside, digest)
        suggestions = spec.suggestions.get(tag, spec.suggestions.get("en", {}))
        languages[tag] = built(
            lambda parts=parts, say=suggestions: Language(documents.build(parts), Vocabulary.of(parts), say),  # type: ignore[misc]
            root, tag, problems,
        )  # fmt: skip
    check_fallback(spec.fallback_language, languages, root, problems)
    if problems:
        raise PolicyRefused(problems, origin=origin, text=text)
    return DraftRules(about.id, about.version, f"sha256:{digest.hexdigest()}", spec, MappingProxyType(languages))


def rules_of(path: Path) -> DraftRules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return load_rules(text_of(path), origin=str(path), beside=lambda name: text_of(path.parent / name))
