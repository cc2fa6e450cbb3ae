"""The events of the topic `escalations`, written by escalation: decisions by policy, status, clocks, tiers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from shared.contracts.complaints import Part, Short
from shared.contracts.envelope import EventData

Status = Literal["open", "waiting", "resolved", "closed"]
ClockName = Literal["acknowledge", "final_response"]
Reason = Annotated[str, StringConstraints(max_length=2000)]


class PolicyCitation(Part):
    """Which rules of which document decided, and the inputs that decided: enough to recompute the decision.

    `inputs` maps a fact's path to the value that was read. `degraded` says that a fact was missing or a rule failed, so
    that the default was taken. `activation` is what put this version in force (0: the service's packaged default, not yet
    recorded). `late`: by the time of the decision another version was in force already. `policy_lag`: the service could
    not be sure to know every activation. `facts` is everything that the policy was given, `outcome` what it answered.
    """

    id: str
    version: int
    digest: str
    rules: tuple[str, ...]
    inputs: dict[str, Any]
    degraded: bool = False
    activation: int | None = None
    late: bool | None = None
    policy_lag: bool | None = None
    facts: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None


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


class DecisionMade(EventData):
    """Tier, clocks, guidance and remedy authority by policy. `trigger` is the event type that made it necessary.

    `deadlines` are all clocks that this decision set, or moved to an earlier time; `clocks` repeats the first and the
    last of the service's own, as the first release wrote them.
    """

    TYPE: ClassVar[str] = "amends.escalation.decision_made.v1"
    tier: Annotated[int, Field(ge=1, le=9)]
    previous_tier: int | None = None
    clocks: tuple[Clock, ...]
    remedy_authority: dict[str, str] = Field(default_factory=dict)
    guidance: tuple[str, ...] = ()
    policy: PolicyCitation
    trigger: str
    as_of: AwareDatetime
    deadlines: tuple[Deadline, ...] = ()


class StatusChanged(EventData):
    """A new status: escalation alone writes it. `by` is a person's key, `contact-centre:<source>` or `customer`."""

    TYPE: ClassVar[str] = "amends.escalation.status_changed.v1"
    status: Status
    previous: Status
    by: Short
    reason: Reason | None = None
    resolution: Reason | None = None
    remedy: Short | None = None
    occurred_at: AwareDatetime


class ClocksSet(EventData):
    """Clocks that were set or moved otherwise than by a decision: after a reply, a reopening, a changed policy or calendar."""

    TYPE: ClassVar[str] = "amends.escalation.clocks_set.v1"
    deadlines: tuple[Deadline, ...]
    why: Short
    at: AwareDatetime


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


Cause = Literal["rule", "request", "missed_clock", "broken_promise", "lapsed_hand_off", "other"]


class Escalated(EventData):
    """The complaint moves to a higher tier, or to further specialist desks. `detail` names the clock, promise or rule."""

    TYPE: ClassVar[str] = "amends.escalation.escalated.v1"
    tier: Annotated[int, Field(ge=1, le=9)]
    previous_tier: int
    desks: tuple[Short, ...] = ()
    added_desks: tuple[Short, ...] = ()
    cause: Cause
    detail: Reason
    by: Short
    at: AwareDatetime


class AlarmRaised(EventData):
    """There is no higher tier to turn to: whoever answers for complaints must look. `cause` is why it would have risen."""

    TYPE: ClassVar[str] = "amends.escalation.alarm_raised.v1"
    tier: Annotated[int, Field(ge=1, le=9)]
    cause: Cause
    detail: Reason
    at: AwareDatetime
