"""What a draft is checked against, and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Line = Annotated[str, StringConstraints(max_length=2_000)]
Lines = Annotated[tuple[Line, ...], Field(max_length=100)]


def _without_nulls(given: Any) -> Any:
    """What is null is not known: as if it were not there."""
    return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class Case(BaseModel):
    """The complaint that a draft answers, as far as the check needs it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issues: Lines = ()
    impact: Line = ""
    wanted: Lines = ()
    promises_broken: Lines = ()
    remedies_allowed: Lines = ()
    fault: Literal["ours", "customer", "third_party", "unknown"] = "unknown"
    history: Annotated[tuple[Annotated[str, StringConstraints(max_length=20_000)], ...], Field(max_length=200)] = ()
    _nulls = model_validator(mode="before")(_without_nulls)


class DraftToCheck(BaseModel):
    """A draft with its case."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    draft: Annotated[str, StringConstraints(max_length=20_000)]
    complaint: Case = Case()
    _nulls = model_validator(mode="before")(_without_nulls)


@dataclass(frozen=True, slots=True)
class Finding:
    """One passage of the draft: characters `start` to `end`, why it is marked, and a calmer wording."""

    kind: str
    start: int
    end: int
    text: str
    suggestion: str
    reason: str
