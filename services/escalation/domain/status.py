"""Where a complaint stands: open, waiting (for the customer), resolved, closed. Escalation alone writes it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.contracts.complaints import Contact, Short, StatusReported
from shared.contracts.decision import Refused
from shared.contracts.escalations import Stated, Status, StatusChanged
from shared.frozen import dataclass, replace
from shared.policy.complaint import ComplaintFacts


@dataclass(frozen=True, slots=True)
class Reports:
    """What the contact centre says of its own record, and when the customer last wrote by their own clock."""

    # What it reported before the complaint itself arrived.
    early: StatusReported | None = None
    # When the last report that was followed occurred: an older one that comes late says nothing new.
    followed_at: AwareDatetime | None = None
    wrote_at: AwareDatetime | None = None

    def after_contact(self, contact: Contact) -> Reports:
        wrote_at = contact.occurred_at if self.wrote_at is None else max(self.wrote_at, contact.occurred_at)
        return replace(self, wrote_at=wrote_at)


class Resolve(BaseModel):
    """A person says that the complaint is resolved, and how.

    `remedy`: what the customer got. `reason`: why nothing was offered; where it is not given, `resolution` has to say it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: Stated
    remedy: Short | None = None
    reason: Stated | None = None
    by: Short = ""


class Close(BaseModel):
    """A person ends the complaint. Without a resolution the reason is required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated | None = None
    by: Short = ""


class Wait(BaseModel):
    """A person says that it is for the customer to answer: the service's own clocks stand still until they do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


class Reopen(BaseModel):
    """A person says that there is something to do after all: open again, with the same clocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


def keep(reports: Reports, data: StatusReported) -> Reports:
    """Note a report about a complaint that has not arrived yet; the latest by its own time counts."""
    if reports.early is not None and data.occurred_at < reports.early.occurred_at:
        return reports
    return replace(reports, early=data)


def report(facts: ComplaintFacts, reports: Reports, data: StatusReported) -> tuple[Reports, StatusChanged | None]:
    """What the contact centre says of its own record is a fact: it is followed, whatever the status here.

    Except that it waits for a customer who has written since: nobody waits for an answer that is there.
    """
    if reports.followed_at is not None and data.occurred_at < reports.followed_at:
        return reports, None
    reports = replace(reports, early=None, followed_at=data.occurred_at)
    answered = data.status == "waiting" and reports.wrote_at is not None and reports.wrote_at >= data.occurred_at
    if data.status == facts.status or answered:
        return reports, None
    by = f"contact-centre:{data.source.instance}"
    ended = data.status in ("resolved", "closed")  # nobody is there to be asked why: that it was reported is the reason
    reason = data.reason or (f"reported by {data.source.instance}" if ended else None)
    return reports, change(facts, data.status, data.occurred_at, by=by, reason=reason)


def command(
    facts: ComplaintFacts, given: Resolve | Close | Wait | Reopen, now: datetime, *, offered: bool = False
) -> StatusChanged | Refused:
    """What a person's command changes, or why it cannot be done. `offered`: the customer was offered a remedy.

    Nothing ends without an offer and without a reason: a complaint that is resolved has one recorded when it is closed.
    """
    status = facts.status
    match given:
        case Resolve():
            if status in ("resolved", "closed"):
                return Refused(409, "Already resolved", f"The complaint is {status}; only an open one can be resolved.")
            reason = given.reason or (None if offered or given.remedy else given.resolution)
            return change(
                facts, "resolved", now, by=given.by, resolution=given.resolution, remedy=given.remedy, reason=reason
            )
        case Close():
            if status == "closed":
                return Refused(409, "Already closed", "The complaint is closed.")
            if status != "resolved" and not given.reason:
                detail = f"The complaint is {status}: closing it without a resolution needs a `reason`; send one."
                return Refused(409, "Not resolved", detail)
            return change(facts, "closed", now, by=given.by, reason=given.reason)
        case Wait():
            if status != "open":
                return Refused(409, "Not open", f"The complaint is {status}; only an open one can wait for the customer.")
            return change(facts, "waiting", now, by=given.by, reason=given.reason)
        case Reopen():
            if status == "open":
                return Refused(409, "Already open", "The complaint is open.")
            return change(facts, "open", now, by=given.by, reason=given.reason)


def change(facts: ComplaintFacts, status: Status, at: datetime, *, by: str, **why: Any) -> StatusChanged:
    return StatusChanged(status=status, previous=facts.status, by=by, occurred_at=at, **why)
