"""Documents that texts are read by: what all kinds of them have in common. They name further texts, such as lexicons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.policy import yaml_source
from shared.policy.problems import PolicyRefused, Problem
from shared.policy.shape import problems_of
from shared.policy.yaml_source import Node
from shared.text.reading.documents import LexiconDocument

Beside = Callable[[str], str]
# Below the folder of the document, never above it.
PartName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]


class Part(BaseModel):
    """A part of a document: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rollout(Part):
    """How many people it takes to put a version in force."""

    approvers: Annotated[int, Field(ge=1, le=2)] = 1


def parsed(text: str, origin: str) -> Node:
    """The YAML of a document. Raises PolicyRefused."""
    try:
        return yaml_source.parse(text)
    except yaml_source.YamlRefused as refused:
        raise PolicyRefused([refused.problem], origin=origin, text=text) from None


def checked(model: Any, root: Node, origin: str, text: str) -> Any:
    """The document in the form of `model`. Raises PolicyRefused with the place of each fault."""
    try:
        return model.model_validate(root.plain())
    except ValidationError as error:
        raise PolicyRefused(problems_of(root, error, model), origin=origin, text=text) from None


def lexicon_parts(names: list[str], beside: Beside, digest: hashlib._Hash) -> list[dict[str, Any]]:
    """The lexicon documents of one language, in their order; their texts go into the digest. Raises PolicyRefused."""
    parts = []
    for name in names:
        text = beside(name)
        digest.update(text.encode())
        root = parsed(text, name)
        checked(LexiconDocument, root, name, text)
        parts.append(root.plain())
    return parts


def built(make: Callable[[], Any], root: Node, language: str, problems: list[Problem]) -> Any:
    """What `make` makes of one language's lexicons; None when a phrase is wrong, and then `problems` says so."""
    try:
        return make()
    except RecursionError:
        message = "parentheses are nested too deeply"
    except ValueError as error:
        message = str(error)
    problems.append(Problem(*root.at(("spec", "lexicons", language)), language, message))
    return None


def check_fallback(fallback: str, languages: Any, root: Node, problems: list[Problem]) -> None:
    """The language for texts that are too short to tell has a lexicon."""
    if fallback not in languages:
        place = root.at(("spec", "fallback_language"))
        problems.append(Problem(*place, None, f"fallback_language: '{fallback}' has no lexicon"))


def text_of(path: Path) -> str:
    """The text of a file. Raises PolicyRefused."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        raise PolicyRefused([Problem(1, 1, None, why)], origin=str(path)) from None
