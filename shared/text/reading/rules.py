"""Reading rules: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.contracts.complaints import Category
from shared.text import documents
from shared.text.documents import Beside, Part, Version, from_folder, read_document
from shared.text.language import UNDETERMINED
from shared.text.reading.documents import build
from shared.text.reading.lexicon import Lexicon

KIND, SERVICE = "ReadingRules", "intake"
_NOTHING = Lexicon({})


class HeatNumbers(Part):
    """When capitals and exclamation marks count as shouting."""

    shouting_share: float = 0.55
    shouting_letters: int = 12
    shouted_words: int = 9
    exclamations: int = 2


class Spec(documents.Spec):
    """The rules of a ReadingRules document. How severe what was read is, is said by intake's policy, not here."""

    heat: HeatNumbers = HeatNumbers()
    categories: dict[Category, float]


class RulesDocument(documents.Form):
    """A ReadingRules document as it is written."""

    kind: Literal["ReadingRules"]
    spec: Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules(Version):
    """One version of reading rules."""

    spec: Spec
    lexicons: Mapping[str, Lexicon]
    kind: str = KIND
    service: str = SERVICE

    def lexicon(self, language: str) -> Lexicon:
        """The lexicon for a language tag such as "en-GB"; the fallback's where the language is not known.

        A language without a lexicon is not guessed at with another one's words: nothing is found.
        """
        tag = language.partition("-")[0].lower()
        return self.lexicons.get(self.spec.fallback_language if tag == UNDETERMINED else tag, _NOTHING)


def load_rules(text: str, *, origin: str, beside: Beside) -> Rules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    document, digest, lexicons = read_document(
        RulesDocument, text, origin=origin, beside=beside, make=lambda _, __, lexicons: build(lexicons)
    )
    about = document.metadata
    return Rules(id=about.id, version=about.version, digest=digest, spec=document.spec, lexicons=lexicons)


def rules_of(path: Path) -> Rules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return from_folder(load_rules, path.parent, path.name, origin=str(path))
