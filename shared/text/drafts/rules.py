"""The rules of the draft check: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.policy import yaml_source
from shared.policy.problems import PolicyRefused, Problem
from shared.text.drafts.likeness import Vocabulary
from shared.text.reading import documents
from shared.text.reading.lexicon import Lexicon

Share = Annotated[float, Field(gt=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Overlap(_Part):
    """How much of an issue, an impact or an earlier sentence must be in a draft."""

    issue: Share = 0.5
    impact: Share = 0.4
    repeat: Share = 0.8


class Jargon(_Part):
    """Abbreviations that everyone knows, and how many others are too many."""

    least: int = 2
    known: list[str] = []


class Spec(_Part):
    """The rules of a DraftRules document."""

    lexicons: dict[str, list[str]]
    fallback_language: str
    overlap: Overlap = Overlap()
    jargon: Jargon = Jargon()
    suggestions: dict[str, dict[str, str]] = {}


class Metadata(_Part):
    id: str
    version: int
    owner: str
    reason: str


class RulesDocument(_Part):
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
    """Rules in force. Immutable: another version is another object."""

    id: str
    version: int
    digest: str
    spec: Spec
    languages: Mapping[str, Language]

    def language(self, tag: str) -> Language:
        """What is known of a language, or of the fallback."""
        return self.languages.get(tag.partition("-")[0]) or self.languages[self.spec.fallback_language]


def load_rules(text: str, *, origin: str, beside: Callable[[str], str]) -> DraftRules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    try:
        document = RulesDocument.model_validate(_parsed(text, origin))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise refused(text, origin, f"{where}: {first['msg'].lower()}") from None
    spec = document.spec
    digest = hashlib.sha256(text.encode())
    languages: dict[str, Language] = {}
    for tag, names in spec.lexicons.items():
        texts = [beside(name) for name in names]
        for each in texts:
            digest.update(each.encode())
        parts = [_parsed(each, name) for each, name in zip(texts, names, strict=True)]
        try:
            lexicon = documents.build(parts)
            vocabulary = Vocabulary.of(parts)
        except ValueError as error:
            raise refused(text, origin, f"lexicon of '{tag}': {error}") from None
        languages[tag] = Language(lexicon, vocabulary, spec.suggestions.get(tag, spec.suggestions.get("en", {})))
    if spec.fallback_language not in languages:
        raise refused(text, origin, f"spec.fallback_language '{spec.fallback_language}' has no lexicon")
    return DraftRules(
        document.metadata.id,
        document.metadata.version,
        f"sha256:{digest.hexdigest()}",
        spec,
        MappingProxyType(languages),
    )


def rules_of(path: Path) -> DraftRules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return load_rules(_text_of(path), origin=str(path), beside=lambda name: _text_of(path.parent / name))


def refused(text: str, origin: str, message: str) -> PolicyRefused:
    """A problem of the document as a whole."""
    return PolicyRefused([Problem(1, 1, None, message)], origin=origin, text=text)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refused("", str(path), f"cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def _parsed(text: str, origin: str) -> dict[str, Any]:
    try:
        plain = yaml_source.parse(text).plain()
    except yaml_source.YamlRefused as problem:
        raise PolicyRefused([problem.problem], origin=origin, text=text) from None
    if not isinstance(plain, dict):
        raise refused(text, origin, "the document must be a mapping")
    return plain
