"""Reading rules: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.contracts.complaints import Category
from shared.policy import yaml_source
from shared.policy.problems import PolicyRefused, Problem
from shared.text.language import UNDETERMINED
from shared.text.reading import documents
from shared.text.reading.lexicon import Lexicon

_NOTHING = Lexicon({})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HeatNumbers(_Part):
    """When capitals and exclamation marks count as shouting."""

    shouting_share: float = 0.55
    shouting_letters: int = 12
    shouted_words: int = 9
    exclamations: int = 2


class Spec(_Part):
    """The rules of a ReadingRules document. How severe what was read is, is said by intake's policy, not here."""

    lexicons: dict[str, list[str]]
    fallback_language: str
    heat: HeatNumbers = HeatNumbers()
    categories: dict[Category, float]


class Metadata(_Part):
    id: str
    version: int
    owner: str
    reason: str


class RulesDocument(_Part):
    """A ReadingRules document as it is written."""

    apiVersion: Literal["complaints.policy/v1"]
    kind: Literal["ReadingRules"]
    metadata: Metadata
    spec: Spec


@dataclass(frozen=True, slots=True)
class Rules:
    """Reading rules in force. Immutable: another version is another object."""

    id: str
    version: int
    digest: str
    spec: Spec
    lexicons: Mapping[str, Lexicon]

    def lexicon(self, language: str) -> Lexicon:
        """The lexicon for a language tag such as "en-GB"; the fallback's where the language is not known.

        A language without a lexicon is not guessed at with another one's words: nothing is found.
        """
        tag = language.partition("-")[0].lower()
        return self.lexicons.get(self.spec.fallback_language if tag == UNDETERMINED else tag, _NOTHING)


def load_rules(text: str, *, origin: str, beside: Callable[[str], str]) -> Rules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    document = _document(text, origin)
    digest = hashlib.sha256(text.encode())
    built: dict[str, Lexicon] = {}
    for language, names in document.spec.lexicons.items():
        parts = []
        for name in names:
            part = beside(name)
            digest.update(part.encode())
            parts.append(_parsed(part, name))
        try:
            built[language] = documents.build(parts)
        except ValueError as error:
            raise _refused(text, origin, f"lexicon of '{language}': {error}") from None
    if document.spec.fallback_language not in built:
        raise _refused(text, origin, f"spec.fallback_language '{document.spec.fallback_language}' has no lexicon")
    return Rules(
        document.metadata.id,
        document.metadata.version,
        f"sha256:{digest.hexdigest()}",
        document.spec,
        MappingProxyType(built),
    )


def rules_of(path: Path) -> Rules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return load_rules(_text_of(path), origin=str(path), beside=lambda name: _text_of(path.parent / name))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused("", str(path), f"cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def _document(text: str, origin: str) -> RulesDocument:
    try:
        return RulesDocument.model_validate(_parsed(text, origin))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise _refused(text, origin, f"{where}: {first['msg'].lower()}") from None


def _parsed(text: str, origin: str) -> dict[str, Any]:
    try:
        plain = yaml_source.parse(text).plain()
    except yaml_source.YamlRefused as refused:
        raise PolicyRefused([refused.problem], origin=origin, text=text) from None
    if not isinstance(plain, dict):
        raise _refused(text, origin, "the document must be a mapping")
    return plain


def _refused(text: str, origin: str, message: str) -> PolicyRefused:
    return PolicyRefused([Problem(1, 1, None, message)], origin=origin, text=text)
