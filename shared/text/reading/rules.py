"""Reading rules: a policy document and its lexicons, read once into an immutable object."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.contracts.complaints import Category
from shared.frozen import dataclass
from shared.policy import yaml_source
from shared.policy.problems import PolicyRefused, Problem
from shared.policy.shape import Metadata, problems_of
from shared.policy.yaml_source import Node
from shared.text.language import UNDETERMINED
from shared.text.reading import documents
from shared.text.reading.documents import LexiconDocument
from shared.text.reading.lexicon import Lexicon

KIND, SERVICE = "ReadingRules", "intake"
_NOTHING = Lexicon({})
# Below the folder of the document, never above it.
PartName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HeatNumbers(_Part):
    """When capitals and exclamation marks count as shouting."""

    shouting_share: float = 0.55
    shouting_letters: int = 12
    shouted_words: int = 9
    exclamations: int = 2


class Rollout(_Part):
    """How many people it takes to put a version in force."""

    approvers: Annotated[int, Field(ge=1, le=2)] = 1


class Spec(_Part):
    """The rules of a ReadingRules document. How severe what was read is, is said by intake's policy, not here."""

    lexicons: dict[str, list[PartName]]
    fallback_language: str
    heat: HeatNumbers = HeatNumbers()
    categories: dict[Category, float]
    rollout: Rollout = Rollout()


class RulesDocument(_Part):
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


def load_rules(text: str, *, origin: str, beside: Callable[[str], str]) -> Rules:
    """Read a document; `beside` gives the text of a lexicon that it names. Raises PolicyRefused."""
    root = _parsed(text, origin)
    document = _checked(RulesDocument, root, origin, text)
    digest = hashlib.sha256(text.encode())
    built: dict[str, Lexicon] = {}
    problems: list[Problem] = []
    for language, names in document.spec.lexicons.items():
        parts = []
        for name in names:
            part = beside(name)
            digest.update(part.encode())
            node = _parsed(part, name)
            _checked(LexiconDocument, node, name, part)
            parts.append(node.plain())
        try:
            built[language] = documents.build(parts)
        except RecursionError:
            problems.append(
                Problem(*root.at(("spec", "lexicons", language)), language, "parentheses are nested too deeply")
            )
        except ValueError as error:
            problems.append(Problem(*root.at(("spec", "lexicons", language)), language, str(error)))
    fallback = document.spec.fallback_language
    if fallback not in document.spec.lexicons:
        place = root.at(("spec", "fallback_language"))
        problems.append(Problem(*place, None, f"fallback_language: '{fallback}' has no lexicon"))
    if problems:
        raise PolicyRefused(problems, origin=origin, text=text)
    about = document.metadata
    return Rules(about.id, about.version, f"sha256:{digest.hexdigest()}", document.spec, MappingProxyType(built))


def rules_of(path: Path) -> Rules:
    """The rules of a file; the lexicons that it names stand beside it. Raises PolicyRefused."""
    return load_rules(_text_of(path), origin=str(path), beside=lambda name: _text_of(path.parent / name))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        raise PolicyRefused([Problem(1, 1, None, why)], origin=str(path)) from None


def _checked(model: Any, root: Node, origin: str, text: str) -> Any:
    try:
        return model.model_validate(root.plain())
    except ValidationError as error:
        raise PolicyRefused(problems_of(root, error, model), origin=origin, text=text) from None


def _parsed(text: str, origin: str) -> Node:
    try:
        return yaml_source.parse(text)
    except yaml_source.YamlRefused as refused:
        raise PolicyRefused([refused.problem], origin=origin, text=text) from None
