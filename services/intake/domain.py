"""What a submission means for its complaint. Pure: the first contact of a record is a complaint, later ones belong to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.intake import repeats
from services.intake.repeats import Earlier
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
    Category,
    ComplaintMerged,
    ComplaintReceived,
    Contact,
    ContactAdded,
    MergeUndone,
    Raw,
    RepeatDismissed,
    RepeatSuspected,
    ReplySent,
    Returned,
    Short,
    StatusReported,
    SubmissionRejected,
    SubmissionSetAside,
)
from shared.contracts.decision import Decision, Refused
from shared.frozen import dataclass, replace

# The word that reconciliation counts a submission under, by the event that it became.
OUTCOMES: dict[str, str] = {
    ComplaintReceived.TYPE: "complaint",
    ContactAdded.TYPE: "contact",
    ReplySent.TYPE: "reply",
    StatusReported.TYPE: "status",
    SubmissionSetAside.TYPE: "set_aside",
    SubmissionRejected.TYPE: "rejected",
}


REMEMBERED_MESSAGES = 200
CORRECTION = "correction"
MOST_ISSUES = 20


@dataclass(frozen=True, slots=True)
class IntakeState:
    """What intake knows of a complaint: whether its first contact was received, how much came since, and which messages
    (short hashes of their ids, the newest last): one message may come as several events of its system."""

    received: bool = False
    contacts: int = 0
    replies: int = 0
    statuses: int = 0
    messages: tuple[str, ...] = ()
    merged_into: UUID | None = None
    # What was read of it, to be read back to the customer: as it stands after the last correction.
    issues: tuple[str, ...] = ()
    impact: str | None = None
    language: str = "und"
    # When the complaint was made and of what sort it was then; the other complaint that it may be, and those that it is not.
    opened_at: datetime | None = None
    category: Category = "other"
    suspected: UUID | None = None
    dismissed: tuple[UUID, ...] = ()


class Merge(BaseModel):
    """Say that this complaint and another are one. `by` is the name of the API key."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    into: UUID = Field(description="The complaint that stays.")
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None
    by: Short = ""


class Unmerge(BaseModel):
    """Undo a merge."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None
    by: Short = ""


class Dismiss(BaseModel):
    """Say that a complaint does not repeat the one that it was suspected to."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None
    by: Short = ""


Command = Merge | Unmerge | Dismiss


def on_command(state: IntakeState | None, command: Command, subject: UUID) -> Decision[IntakeState] | Refused:
    """What a person's command changes, or why it cannot be done. That `into` is there was looked up before."""
    if state is None or not state.received:
        return Refused(404, "No such complaint", "Intake knows no complaint with this id.")
    if isinstance(command, Unmerge):
        if state.merged_into is None:
            return Refused(409, "Not merged", "The complaint was not merged into another.")
        undone = MergeUndone(into=state.merged_into, by=command.by, reason=command.reason)
        return Decision(replace(state, merged_into=None), (undone,))
    if isinstance(command, Dismiss):
        if state.suspected is None:
            return Refused(409, "Nothing is suspected", "This complaint is not suspected to repeat another, or that was decided before.")
        dismissed = RepeatDismissed(of=state.suspected, by=command.by, reason=command.reason)
        return Decision(replace(state, suspected=None, dismissed=(*state.dismissed, state.suspected)), (dismissed,))
    if state.merged_into is not None:
        return Refused(409, "Merged already", "The complaint was merged before: undo that first.")
    if command.into == subject:
        return Refused(422, "The same complaint", "A complaint cannot be merged into itself.")
    merged = ComplaintMerged(into=command.into, by=command.by, reason=command.reason)
    return Decision(replace(state, merged_into=command.into, suspected=None), (merged,))


def decide(
    state: IntakeState | None, submission: Submission, delivery: Delivery, item: int, now: datetime, earlier: Sequence[Earlier] = (),
    returned: Returned | None = None,
) -> Decision[IntakeState]:  # fmt: skip
    """The event that `submission` becomes; besides, that it may repeat one of the customer's `earlier` complaints.

    `now` is not used: a contact carries the times of its own delivery. `returned`: the letter of ours that a mail set aside has
    brought back.
    """
    before = state or IntakeState()
    match submission:
        case ContactSubmission(contact=contact) | ReplySubmission(contact=contact) if _seen(before, contact):
            repeated = SubmissionSetAside(
                source=contact.source,
                reason="this message came before, as another event",
                received_at=delivery.received_at,
                raw=contact.raw,
            )
            return Decision(before, (repeated,))
        case ContactSubmission(contact=contact):
            after = replace(_understood(_with_message(before, contact), contact), contacts=before.contacts + 1)
            if not before.received:
                after = replace(after, received=True, opened_at=repeats.opened(contact), category=contact.category)
                received = ComplaintReceived(contact=contact, history=repeats.history(earlier))
                return _suspecting(after, contact, received, earlier)
            added = ContactAdded(contact=contact)
            # The rest of the first message may say who the customer is, or what is wrong.
            return Decision(after, (added,)) if contact.completes is None else _suspecting(after, contact, added, earlier)
        case ReplySubmission(contact=contact):
            after = replace(_with_message(before, contact), replies=before.replies + 1)
            return Decision(after, (ReplySent(contact=contact),))
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
        case SetAside():
            aside = SubmissionSetAside(
                source=submission.source,
                reason=submission.reason,
                received_at=delivery.received_at,
                raw=_raw(submission.identity.sha256, delivery, item),
                returned=returned,
            )
            return Decision(before, (aside,))
        case Rejected():
            rejected = SubmissionRejected(
                source=submission.source,
                reason=submission.reason,
                received_at=delivery.received_at,
                raw=_raw(submission.identity.sha256, delivery, item),
            )
            return Decision(before, (rejected,))


def _suspecting(
    state: IntakeState, contact: Contact, event: ComplaintReceived | ContactAdded, earlier: Sequence[Earlier]
) -> Decision[IntakeState]:
    """The event, and behind it which other complaint this may be, if that was not said before."""
    found: RepeatSuspected | None = None
    if state.suspected is None and state.opened_at is not None and state.merged_into is None:
        others = [each for each in earlier if each.complaint_id not in state.dismissed]
        found = repeats.suspected(contact, state.opened_at, others)
    return Decision(state, (event,)) if found is None else Decision(replace(state, suspected=found.of), (event, found))


def _understood(state: IntakeState, contact: Contact) -> IntakeState:
    """What there is to read back. A correction replaces the list; any other contact adds to it."""
    reading = contact.reading
    if reading is None:
        return state
    earlier = () if CORRECTION in contact.tags else state.issues
    new = tuple([issue.text for issue in reading.issues if issue.text not in earlier])
    return replace(
        state, issues=(*earlier, *new)[:MOST_ISSUES], impact=reading.impact or state.impact, language=contact.language or state.language
    )


def _message_key(contact: Contact) -> str | None:
    """What makes a message the same when it comes again. The rest of a message that came in parts is not the same."""
    if contact.message_id is None:
        return None
    part = "rest" if contact.completes == contact.message_id else contact.author_kind == "agent"
    return hashlib.sha256(f"{part}\x1f{contact.message_id}".encode()).hexdigest()[:16]


def _seen(state: IntakeState, contact: Contact) -> bool:
    return _message_key(contact) in state.messages


def _with_message(state: IntakeState, contact: Contact) -> IntakeState:
    key = _message_key(contact)
    return state if key is None else replace(state, messages=(*state.messages, key)[-REMEMBERED_MESSAGES:])


def after_erasure(submission: Submission, delivery: Delivery, item: int) -> Decision[IntakeState]:
    """What comes about a complaint that was erased is set aside: nothing of it is kept, and the record says that it came."""
    source = submission.contact.source if hasattr(submission, "contact") else submission.source
    identity = submission.identity
    ended = SubmissionSetAside(
        source=source.model_copy(update={"record_id": "erased", "event_id": "erased", "record_url": None}),
        reason="the complaint was erased",
        received_at=delivery.received_at,
        raw=_raw(identity.sha256, delivery, item),
    )
    return Decision(IntakeState(), (ended,))


def _raw(sha256: bytes, delivery: Delivery, item: int) -> Raw:
    return Raw(delivery_id=delivery.id, item=item, sha256=sha256.hex(), content_type=delivery.content_type)
