"""Reading rules: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from shared.contracts.complaints import Category
from shared.frozen import dataclass
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
from shared.text.language import UNDETERMINED
from shared.text.reading import documents
from shared.text.reading.lexicon import Lexicon

KIND, SERVICE = "ReadingRules", "intake"
_NOTHING = Lexicon({})


class HeatNumbers(Part):
    """When capitals and exclamation marks count as shouting."""

    shouting_share: float = 0.55
    shouting_letters: int = 12
    shouted_words: int = 9
    exclamations: int = 2


class Spec(Part):
    """The rules of a ReadingRules document. How severe what was read is, is said by intake's policy, not here."""

    lexicons: dict[str, list[PartName]]
    fallback_language: str
    heat: HeatNumbers = HeatNumbers()
    categories: dict[Category, float]
    rollout: Rollout = Rollout()


class RulesDocument(Part):
    """A ReadingRules document as it is written."""

    apiVersion: Literal["complaints.policy/v1"]
    kind: Literal["ReadingRules"]
    metadata: Metadata
    spec: Spec


@dataclass(frozen=True, slots=True)
class Rules:
    """One version of reading rules. Immutable; `digest` names its exact content, lexicons included.

    In force they also say by which `activation` (0: packaged with the service, not yet recorded), that they come `late`
    and that newer activations may not have arrived (`lag`).
    """

    id: str
    version: int
    digest: str
    spec: Spec
    lexicons: Mapping[str, Lexicon]
    kind: str = KIND
    service: str = SERVICE
    activation: int = 0
    late: bool = False
    lag: bool = False

    @property
    def approvers(self) -> int:
        """How many people it takes to put it in force."""
        return self.spec.rollout.approvers

    def lexicon(self, language: str) -> Lexicon:
        """The lexicon for a language tag such as "en-GB"; the fallback's where the language is not known.

        A language without a lexicon is not guessed at with another one's words: nothing is found.
        """
        tag = language.partition("-")[0].lower()
        return self.lexicons.get(self.spec.fallback_language if tag == UNDETERMINED else tag, _NOTHING)


def load_rules(text: str, *, origin: str, beside: Beside) -> Rules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    root = parsed(text, origin)
    document = checked(RulesDocument, root, origin, text)
    digest, problems = hashlib.sha256(text.encode()), list[Problem]()
    lexicons: dict[str, Lexicon] = {}
    for language, names in document.spec.lexicons.items():
        parts = lexicon_parts(names, beside, digest)
        lexicons[language] = built(lambda parts=parts: documents.build(parts), root, language, problems)  # type: ignore[misc]
    check_fallback(document.spec.fallback_language, lexicons, root, problems)
    if problems:
        raise PolicyRefused(problems, origin=origin, text=text)
    about = document.metadata
    return Rules(about.id, about.version, f"sha256:{digest.hexdigest()}", document.spec, MappingProxyType(lexicons))


def rules_of(path: Path) -> Rules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return load_rules(text_of(path), origin=str(path), beside=lambda name: text_of(path.parent / name))
