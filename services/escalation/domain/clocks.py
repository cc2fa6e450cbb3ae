"""By when a complaint must be acknowledged and answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.calendar import durations
from shared.contracts.escalations import Clock, ClockName

_CLOCKS: tuple[tuple[ClockName, str], ...] = (
    ("acknowledge", "acknowledge_within"),
    ("final_response", "final_response_within"),
)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a complaint."""

    clocks: tuple[Clock, ...] = ()


def decided(before: Clocks, outcome: Mapping[str, Any], started_at: datetime, zone: str) -> Clocks:
    """By a policy's outcome. No deadline moves later by it: what was promised stands (ADR 8)."""
    earlier = {clock.name: clock for clock in before.clocks}
    clocks = []
    for name, target in _CLOCKS:
        due_at = durations.add(started_at, durations.parse(outcome[target]), zone)
        clock = Clock(name=name, target=outcome[target], started_at=started_at, due_at=due_at, zone=zone)
        clocks.append(min(clock, earlier.get(name, clock), key=lambda c: c.due_at))
    return Clocks(tuple(clocks))
