"""Clocks in the topic `escalations`: a deadline as it was set, and what happens to it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from shared.contracts.complaints import Part, PolicyCitation, Short
from shared.contracts.envelope import EventData

ClockName = Literal["acknowledge", "final_response"]


class Clock(Part):
    """A deadline: `target` ("4h", "10d") from `started_at` gives `due_at`, in the time `zone` of the calendar."""

    name: ClockName
    target: str
    started_at: AwareDatetime
    due_at: AwareDatetime
    zone: str


class Deadline(Part):
    """A clock as it was set: `target` ("4h", "3bd") from `started_at` gives `due_at`; None while an open pause holds it.

    `regime` is the legal regime's policy (absent: the service's own clock); `policy`, `version`, `rules` say who set the
    target ("default" where no rule did), `calendar` names the calendar that counts, in the time `zone`.
    """

    clock: Short
    regime: Short | None = None
    legal: bool = False
    pausable: bool = True
    target: Short
    started_at: AwareDatetime
    due_at: AwareDatetime | None = None
    zone: Short
    calendar: Short
    policy: Short
    version: int
    rules: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """How people name it: a legal clock with its regime before it."""
        return f"{self.regime}/{self.clock}" if self.regime else self.clock


class ClocksSet(EventData):
    """Clocks that were set or moved otherwise than by a decision: after a reply, a reopening, a changed policy or calendar.

    `policies`: those that were asked, where policies were: after a resolution, or because they have changed.
    """

    TYPE: ClassVar[str] = "amends.escalation.clocks_set.v1"
    deadlines: tuple[Deadline, ...]
    why: Short
    at: AwareDatetime
    policies: tuple[PolicyCitation, ...] | None = None


class ClocksPaused(EventData):
    """The service's own clocks stand still from `since` on: it is for the customer to answer. Legal clocks run on."""

    TYPE: ClassVar[str] = "amends.escalation.clocks_paused.v1"
    clocks: tuple[Short, ...]
    since: AwareDatetime


class ClocksResumed(EventData):
    """They run again from `until` on, and are due later by what was paused."""

    TYPE: ClassVar[str] = "amends.escalation.clocks_resumed.v1"
    deadlines: tuple[Deadline, ...]
    since: AwareDatetime
    until: AwareDatetime
    why: Short


class ClockWarned(EventData):
    """A clock will be due soon. The timer fired at `fired_at`."""

    TYPE: ClassVar[str] = "amends.escalation.clock_warned.v1"
    deadline: Deadline
    fired_at: AwareDatetime


class ClockMissed(EventData):
    """A clock was due and nothing had met it. The timer fired at `fired_at`: later than `due_at` after an outage."""

    TYPE: ClassVar[str] = "amends.escalation.clock_missed.v1"
    deadline: Deadline
    fired_at: AwareDatetime


class MetClock(Part):
    """`late`: met after it was due. `after_miss`: a miss had been recorded already; without `late` that miss is withdrawn,
    since news of a timely reply was late."""

    deadline: Deadline
    late: bool = False
    after_miss: bool = False


class ClocksMet(EventData):
    """What these clocks wait for, a reply to the customer or the resolution, has happened at `met_at`."""

    TYPE: ClassVar[str] = "amends.escalation.clocks_met.v1"
    clocks: tuple[MetClock, ...]
    met_at: AwareDatetime
