"""The events of the topic `followups`, written by followup: progress updates before, check-ins after a resolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from shared.contracts.complaints import Short
from shared.contracts.envelope import EventData
from shared.contracts.escalations import PolicyCitation

UpdateKind = Literal["progress_update", "holding_response"]


class UpdateScheduled(EventData):
    """The customer will hear by `due_at`, news or no news. `number` counts the updates of this complaint from 1."""

    TYPE: ClassVar[str] = "amends.followup.update_scheduled.v1"
    number: int
    kind: UpdateKind
    due_at: AwareDatetime
    channel: Short
    policy: PolicyCitation


class UpdateDue(EventData):
    """The time for update `number` has come. The timer fired at `fired_at`: later than `due_at` after an outage."""

    TYPE: ClassVar[str] = "amends.followup.update_due.v1"
    number: int
    kind: UpdateKind
    due_at: AwareDatetime
    fired_at: AwareDatetime
    channel: Short
    policy: PolicyCitation


class UpdateCancelled(EventData):
    """Update `number` will not be sent, because of `reason`."""

    TYPE: ClassVar[str] = "amends.followup.update_cancelled.v1"
    number: int
    reason: Short


class CheckInScheduled(EventData):
    """After the resolution the customer will be asked whether it is solved, at `due_at`."""

    TYPE: ClassVar[str] = "amends.followup.check_in_scheduled.v1"
    number: int
    kind: Short
    due_at: AwareDatetime
    channel: Short
    policy: PolicyCitation


class CheckInDue(EventData):
    """The time for check-in `number` has come."""

    TYPE: ClassVar[str] = "amends.followup.check_in_due.v1"
    number: int
    kind: Short
    due_at: AwareDatetime
    fired_at: AwareDatetime
    channel: Short


class CheckInCancelled(EventData):
    """Check-in `number` will not happen, because of `reason` (reopened, wrote again, asked for no contact)."""

    TYPE: ClassVar[str] = "amends.followup.check_in_cancelled.v1"
    number: int
    reason: Short
