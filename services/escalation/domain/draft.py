"""A decision that is being added to: each part of the hand-off's work takes it on. And whom it can turn to. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from services.escalation.domain.state import EscalationState
from services.escalation.domain.teams import Teams
from shared.contracts.decision import Decision, Message, Timer
from shared.contracts.envelope import EventData
from shared.frozen import dataclass, field


def _no_link(number: int, until: datetime) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who there is, and the address where a hand-off can be answered (empty: none).

    `writable`: the sources whose records can be written back to.
    """

    teams: Teams = field(default_factory=Teams)
    link: Callable[[int, datetime], str] = _no_link
    writable: frozenset[str] = frozenset()


@dataclass(slots=True)
class Draft:
    """The parts of a decision, as lists."""

    state: EscalationState
    events: list[EventData]
    timers: list[Timer]
    cancel: list[str]
    messages: list[Message]
    withdraw: list[str]

    def done(self) -> Decision[EscalationState]:
        return Decision(
            self.state, tuple(self.events), tuple(self.timers), tuple(self.cancel), tuple(self.messages), tuple(self.withdraw)
        )


def draft_of(decision: Decision[EscalationState]) -> Draft:
    """To be added to."""
    return Draft(
        decision.state, list(decision.events), list(decision.timers), list(decision.cancel), list(decision.messages),
        list(decision.withdraw),
    )  # fmt: skip
