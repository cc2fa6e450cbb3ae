"""Documents that texts are read by: what all kinds of them have in common. They name further texts, such as lexicons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.policy import yaml_source
from shared.policy.problems import PolicyRefused, Problem
from shared.policy.shape import Metadata, problems_of
from shared.policy.yaml_source import Node
from shared.text.reading.documents import LexiconDocument

R = TypeVar("R")
L = TypeVar("L")
F = TypeVar("F", bound="Form")
Beside = Callable[[str], str]
Lexicons = list[dict[str, Any]]  # the lexicon documents of one language, in their order
# Below the folder of the document, never above it.
PartName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]


class Part(BaseModel):
    """A part of a document: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rollout(Part):
    """How many people it takes to put a version in force."""

    approvers: Annotated[int, Field(ge=1, le=2)] = 1


class Spec(Part):
    """What the rules of every such document hold."""

    lexicons: dict[str, list[PartName]]
    fallback_language: str
    rollout: Rollout = Rollout()


class Form(Part):
    """A document as it is written; each kind narrows `kind` and `spec`."""

    apiVersion: Literal["complaints.policy/v1"]
    kind: str
    metadata: Metadata
    spec: Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a document. Immutable; `digest` names its exact content, lexicons included.

    In force it also says by which `activation` (0: packaged with the service, not yet recorded), that it comes `late`
    and that newer activations may not have arrived (`lag`).
    """

    id: str
    version: int
    digest: str
    spec: Spec
    kind: str
    service: str
    activation: int = 0
    late: bool = False
    lag: bool = False

    @property
    def approvers(self) -> int:
        """How many people it takes to put it in force."""
        return self.spec.rollout.approvers


def read_document(
    form: type[F], text: str, *, origin: str, beside: Beside, make: Callable[[F, str, Lexicons], L]
) -> tuple[F, str, Mapping[str, L]]:
    """A document in its `form`, its digest, and by language what `make` makes of it, the language and its lexicons.

    `beside` gives the text of a lexicon that it names. Raises PolicyRefused with every phrase that is wrong.
    """
    root = _parsed(text, origin)
    document: F = _checked(form, root, origin, text)
    digest, problems = hashlib.sha256(text.encode()), list[Problem]()
    made: dict[str, L] = {}
    for language, names in document.spec.lexicons.items():
        lexicons = _lexicons(names, beside, digest)
        try:
            made[language] = make(document, language, lexicons)
        except (RecursionError, ValueError) as error:
            message = "parentheses are nested too deeply" if isinstance(error, RecursionError) else str(error)
            problems.append(Problem(*root.at(("spec", "lexicons", language)), language, message))
    fallback = document.spec.fallback_language
    if fallback not in document.spec.lexicons:
        place = root.at(("spec", "fallback_language"))
        problems.append(Problem(*place, None, f"fallback_language: '{fallback}' has no lexicon"))
    if problems:
        raise PolicyRefused(problems, origin=origin, text=text)
    return document, f"sha256:{digest.hexdigest()}", MappingProxyType(made)


def from_folder(load: Callable[..., R], folder: Traversable, name: str, *, origin: str) -> R:
    """What `load` makes of a document and the lexicons beside it in `folder`. Raises PolicyRefused."""
    return load(_text_of(folder / name), origin=origin, beside=lambda part: _text_of(folder.joinpath(*part.split("/"))))


def _parsed(text: str, origin: str) -> Node:
    try:
        return yaml_source.parse(text)
    except yaml_source.YamlRefused as refused:
        raise PolicyRefused([refused.problem], origin=origin, text=text) from None


def _checked(model: Any, root: Node, origin: str, text: str) -> Any:
    """In the form of `model`. Raises PolicyRefused with the place of each fault."""
    try:
        return model.model_validate(root.plain())
    except ValidationError as error:
        raise PolicyRefused(problems_of(root, error, model), origin=origin, text=text) from None


def _lexicons(names: list[str], beside: Beside, digest: hashlib._Hash) -> Lexicons:
    """Those of one language; their texts go into the digest."""
    parts = []
    for name in names:
        text = beside(name)
        digest.update(text.encode())
        root = _parsed(text, name)
        _checked(LexiconDocument, root, name, text)
        parts.append(root.plain())
    return parts


def _text_of(path: Traversable) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        raise PolicyRefused([Problem(1, 1, None, why)], origin=str(path)) from None
