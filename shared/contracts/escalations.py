"""The events of the topic `escalations`, written by escalation: decisions by policy, and the complaint's status."""

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


class DecisionMade(EventData):
    """Tier, clocks, guidance and remedy authority by policy. `trigger` is the event type that made it necessary."""

    TYPE: ClassVar[str] = "amends.escalation.decision_made.v1"
    tier: Annotated[int, Field(ge=1, le=9)]
    previous_tier: int | None = None
    clocks: tuple[Clock, ...]
    remedy_authority: dict[str, str] = Field(default_factory=dict)
    guidance: tuple[str, ...] = ()
    policy: PolicyCitation
    trigger: str
    as_of: AwareDatetime


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
