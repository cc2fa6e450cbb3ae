"""The one timer of a complaint's clocks and tiers: set anew where the next thing to do is another one than before. Pure."""

from __future__ import annotations

from services.escalation.domain.state import EscalationState, Step
from shared.calendar.zones import to_instant
from shared.contracts.decision import Decision, Timer

CLOCKS = "clocks"


def decision(before: EscalationState, step: Step, *, fired: bool = False) -> Decision[EscalationState]:
    """A step as a decision, with the timer that it needs. `fired`: the one from before is used up."""
    after, events = step
    wake = _wake(after)
    if wake == _wake(before) and not fired:
        return Decision(after, events)
    if wake is None:
        return Decision(after, events, cancel=() if fired else (CLOCKS,))
    return Decision(after, events, (Timer(CLOCKS, to_instant(wake)),))


def _wake(state: EscalationState) -> int | None:
    return min((at for at in (state.clocks.wake, state.tiers.raise_at) if at is not None), default=None)
