"""Several decisions in a row as one: each sees the state that the one before left."""

from __future__ import annotations

from collections.abc import Callable

from services.followup.domain.state import FollowUpState
from shared.contracts.decision import Decision, Message, Timer
from shared.contracts.envelope import EventData

S = FollowUpState
Step = Callable[[S], Decision[S]]


def chain(state: S, *steps: Step) -> Decision[S]:
    """The decisions of `steps` put together. Of a timer that is set and cancelled in a row the last word counts."""
    events: list[EventData] = []
    messages: list[Message] = []
    withdraw: list[str] = []
    timers: dict[str, Timer | None] = {}
    for step in steps:
        decision = step(state)
        state = decision.state
        events += decision.events
        messages += decision.messages
        withdraw += decision.withdraw
        timers |= dict.fromkeys(decision.cancel)
        timers |= {timer.name: timer for timer in decision.timers}
    return Decision(
        state,
        tuple(events),
        tuple(timer for timer in timers.values() if timer is not None),
        tuple(name for name, timer in timers.items() if timer is None),
        tuple(messages),
        tuple(withdraw),
    )
