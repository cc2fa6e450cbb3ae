"""What the client did and was told: the checker's only truth. Data only."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["contact", "reply", "status", "bot"]


@dataclass
class Submission:
    """One message sent to intake. `told`: the outcome of each answer; none means never acknowledged."""

    event_id: str
    record_id: str
    kind: Kind
    sort: str
    body: dict[str, Any]
    told: list[str] = field(default_factory=list)
    complaint_id: str = ""

    @property
    def acknowledged(self) -> bool:
        return bool(self.told)


@dataclass
class Command:
    """One command under one idempotency key. `text` is its reason or resolution, unique to it; `status` its answer.

    `tries`: after more than one, an earlier one that was given up may still have been done later than a refusal.
    """

    key: str
    complaint_id: str
    verb: Literal["resolve", "close"]
    text: str
    status: int = 0
    tries: int = 0


@dataclass
class Journal:
    """Everything that the client sent and was answered."""

    source: str
    submissions: dict[str, Submission] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    # How often a complaint's timer was made due: at least and at most. Each time it must have fired exactly once.
    forced: dict[str, list[int]] = field(default_factory=dict)
    # Records put straight into topics: positions of raw garbage, and events whose data are broken.
    garbage: list[tuple[str, int, int]] = field(default_factory=list)
    broken: list[tuple[str, str, int]] = field(default_factory=list)  # (service, subject, sequence)
    behind: list[tuple[str, str, int]] = field(default_factory=list)  # sound events that wait behind a broken one
    # Answers that no client should ever get.
    complaints: list[str] = field(default_factory=list)

    def acknowledged(self) -> list[Submission]:
        return [s for s in self.submissions.values() if s.acknowledged]

    def injected(self) -> set[str]:
        """The subjects of events that the poison wrote."""
        return {subject for _, subject, _ in (*self.broken, *self.behind)}

    def save(self, path: Path) -> None:
        """As JSON, to be looked at after a failure."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1, default=str))
