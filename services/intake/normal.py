"""A submission on its way to its complaint: what the lookups found about it, and what it tells the next."""

from __future__ import annotations

from uuid import UUID

from services.intake import repeats
from services.intake.customers import Customers, People
from services.intake.domain import IntakeState
from services.intake.repeats import Earlier
from services.intake.submissions import ContactSubmission, Delivery, ReplySubmission, Submission
from services.intake.threads import Threaded
from shared.contracts.complaints import Contact, Returned
from shared.frozen import dataclass, field
from shared.postgres.inputs import Input


@dataclass(frozen=True, slots=True)
class Normal:
    """A submission with the delivery that it came in.

    `place` is where it stands among other messages, `people` how its customer is known, `customers` what those complained of;
    `returned` the letter of ours that it brings back.
    """

    submission: Submission
    delivery: Delivery
    item: int
    place: Threaded | None = None
    people: People = field(default_factory=dict)
    customers: Customers = field(default_factory=Customers)
    returned: Returned | None = None


def place_of(item: Input) -> Threaded | None:
    """Where a message stands among others."""
    return item.body.place if isinstance(item.body, Normal) else None


def is_message(item: Input) -> bool:
    """Whether somebody wrote: the customer, or the organisation to the customer."""
    return isinstance(item.body, Normal) and isinstance(item.body.submission, ContactSubmission | ReplySubmission)


def about(item: Input, subject: UUID) -> Input:
    """The same, about another complaint."""
    return item._replace(subject=subject, correlation_id=str(subject))


def heard(state: IntakeState, contact: Contact, complaint_id: UUID) -> Earlier | None:
    """The complaint as its customer's next one will find it. None for one that began before this was kept."""
    if state.opened_at is None:
        return None
    return Earlier(complaint_id, state.category, state.opened_at, repeats.opened(contact), (), state.issues)
