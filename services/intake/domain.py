"""What a submission means for its complaint. Pure: the first contact of a record is a complaint, later ones belong to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    Rejected,
    ReplySubmission,
    SetAside,
    StatusSubmission,
    Submission,
)
from shared.contracts.complaints import (
    ComplaintReceived,
    ContactAdded,
    Raw,
    ReplySent,
    StatusReported,
    SubmissionRejected,
    SubmissionSetAside,
)
from shared.contracts.decision import Decision

# The word that reconciliation counts a submission under, by the event that it became.
OUTCOMES: dict[str, str] = {
    ComplaintReceived.TYPE: "complaint",
    ContactAdded.TYPE: "contact",
    ReplySent.TYPE: "reply",
    StatusReported.TYPE: "status",
    SubmissionSetAside.TYPE: "set_aside",
    SubmissionRejected.TYPE: "rejected",
}


@dataclass(frozen=True, slots=True)
class IntakeState:
    """What intake knows of a complaint: whether its first contact was received, and how much came since."""

    received: bool = False
    contacts: int = 0
    replies: int = 0
    statuses: int = 0


def decide(
    state: IntakeState | None, submission: Submission, delivery: Delivery, item: int, now: datetime
) -> Decision[IntakeState]:
    """The event that `submission` becomes. `now` is not used: a contact carries the times of its own delivery."""
    before = state or IntakeState()
    match submission:
        case ContactSubmission(contact=contact):
            after = replace(before, received=True, contacts=before.contacts + 1)
            return Decision(
                after, (ContactAdded(contact=contact) if before.received else ComplaintReceived(contact=contact),)
            )
        case ReplySubmission(contact=contact):
            return Decision(replace(before, replies=before.replies + 1), (ReplySent(contact=contact),))
        case StatusSubmission():
            reported = StatusReported(
                source=submission.source,
                status=submission.status,
                status_source=submission.status_source,
                occurred_at=submission.occurred_at,
                received_at=delivery.received_at,
                by=submission.by,
                reason=submission.reason,
                raw=_raw(submission.identity.sha256, delivery, item),
            )
            return Decision(replace(before, statuses=before.statuses + 1), (reported,))
        case SetAside() | Rejected():
            event = SubmissionSetAside if isinstance(submission, SetAside) else SubmissionRejected
            ended = event(
                source=submission.source,
                reason=submission.reason,
                received_at=delivery.received_at,
                raw=_raw(submission.identity.sha256, delivery, item),
            )
            return Decision(before, (ended,))


def _raw(sha256: bytes, delivery: Delivery, item: int) -> Raw:
    return Raw(delivery_id=delivery.id, item=item, sha256=sha256.hex(), content_type=delivery.content_type)
