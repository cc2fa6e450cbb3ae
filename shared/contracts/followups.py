"""The events of the topic `followups`, written by followup: promises, progress updates before a resolution, check-ins
after it, and what came of it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from shared.contracts.complaints import Answer, PolicyCitation, Short, Tag
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Reason

PromiseKind = Literal["callback", "refund", "update", "delivery", "document", "visit", "other"]
PromiseSource = Literal["api", "cli", "webhook", "text", "other"]
AnswerWay = Literal["link", "email", "sms", "chat", "phone", "api", "other"]
OutcomeKind = Literal["solved", "partly", "not_solved", "unverified", "not_asked", "other"]
Comment = Annotated[str, StringConstraints(max_length=10_000)]
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
    """A check-in after the resolution, at `due_at`. The same number again moves it, because of `moved_because`.

    `kind`: `verify` looks whether `fact` can be proved, `ask` and `ask_again` ask the customer whether it is solved.
    """

    TYPE: ClassVar[str] = "amends.followup.check_in_scheduled.v1"
    number: int
    kind: Short
    due_at: AwareDatetime
    channel: Short
    policy: PolicyCitation
    fact: Short | None = None
    moved_because: tuple[Short, ...] = ()


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


class CheckInSent(EventData):
    """The question of check-in `number` has left by `channel` as message `message`; `late`: well after it was due."""

    TYPE: ClassVar[str] = "amends.followup.check_in_sent.v1"
    number: int
    channel: Short
    message: Short
    late: bool = False


class CheckInAnswered(EventData):
    """The customer says whether it is solved. Escalation reopens on `no` and `partly`, one tier up with the same clocks,
    and closes on `yes`. `comment` is what they added, in their words: intake makes a contact of it, which is read like any
    other (`severity` and `tags` are not used). `previous`: what they had answered before."""

    TYPE: ClassVar[str] = "amends.followup.check_in_answered.v1"
    number: int
    answer: Answer
    via: AnswerWay = "other"
    comment: Comment | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=100)] = ()
    previous: Answer | None = None
    by: Short
    occurred_at: AwareDatetime


class CheckInUnanswered(EventData):
    """Silence after check-in `number`; the outcome is unverified. Silence is never satisfaction."""

    TYPE: ClassVar[str] = "amends.followup.check_in_unanswered.v1"
    number: int
    asked: int
    silent_since: AwareDatetime


class FactChecked(EventData):
    """Whether `fact` (refund_booked, parcel_delivered...) is true, by `evidence`, as the company's own systems say.

    `disproves`: the remedy that the customer was promised and that was not carried out, as the fact is not true.
    """

    TYPE: ClassVar[str] = "amends.followup.fact_checked.v1"
    fact: Short
    proved: bool
    evidence: Reason | None = None
    disproves: Short | None = None
    by: Short
    occurred_at: AwareDatetime


class UpdateSent(EventData):
    """Progress update `number` has left. `owns`: the broken promises that it owned up to."""

    TYPE: ClassVar[str] = "amends.followup.update_sent.v1"
    number: int
    channel: Short
    message: Short
    owns: tuple[Short, ...] = ()


class HandOffTold(EventData):
    """The message that says who has the complaint since hand-off `number` left by `channel` under the name `message`.
    `owns`: broken promises it owned up to."""

    TYPE: ClassVar[str] = "amends.followup.hand_off_told.v1"
    number: int
    channel: Short
    message: Short
    owns: tuple[Short, ...] = ()


class PromiseProposed(EventData):
    """An agent's outgoing text seems to promise something: a person confirms or dismisses it. `quote` are its words."""

    TYPE: ClassVar[str] = "amends.followup.promise_proposed.v1"
    promise: Short
    kind: PromiseKind = "other"
    what: Reason
    quote: Reason
    due_at: AwareDatetime | None = None
    zone: Short
    proposed_from: Short


class PromiseMade(EventData):
    """Something was promised to the customer, due at `due_at`: who keeps it, and in which `zone` the time was meant.

    `nobody_works`: why nobody is at work at that time, where that is so.
    """

    TYPE: ClassVar[str] = "amends.followup.promise_made.v1"
    promise: Short
    kind: PromiseKind = "other"
    what: Reason
    due_at: AwareDatetime
    zone: Short
    owner: Short
    made_through: PromiseSource = "other"
    by: Short
    nobody_works: Short | None = None


class PromiseDueSoon(EventData):
    """A reminder, while there is time to keep it."""

    TYPE: ClassVar[str] = "amends.followup.promise_due_soon.v1"
    promise: Short
    what: Reason
    owner: Short
    due_at: AwareDatetime


class PromiseKept(EventData):
    """It was kept, as `evidence` shows; `late`: after it was due."""

    TYPE: ClassVar[str] = "amends.followup.promise_kept.v1"
    promise: Short
    evidence: Reason
    late: bool = False
    by: Short
    kept_at: AwareDatetime


class PromiseBroken(EventData):
    """It was not kept by `due_at`. Escalation raises it; the next message to the customer must own it."""

    TYPE: ClassVar[str] = "amends.followup.promise_broken.v1"
    promise: Short
    kind: PromiseKind = "other"
    what: Reason
    owner: Short
    due_at: AwareDatetime
    broken_at: AwareDatetime


class PromiseWithdrawn(EventData):
    """It binds nobody (any more): dismissed before it was confirmed, or replaced in agreement with the customer."""

    TYPE: ClassVar[str] = "amends.followup.promise_withdrawn.v1"
    promise: Short
    reason: Reason
    by: Short


class MessageFailed(EventData):
    """A message could not be delivered by `channel`; it is tried by `next_channel`, if there is another."""

    TYPE: ClassVar[str] = "amends.followup.message_failed.v1"
    message: Short
    channel: Short
    reason: Reason
    next_channel: Short | None = None


class TaskCreated(EventData):
    """Something that a person must do: call or write by post where no message can go, or look up a fact."""

    TYPE: ClassVar[str] = "amends.followup.task_created.v1"
    task: Short
    kind: Short
    what: Reason
    due_at: AwareDatetime


class TaskDone(EventData):
    """The task was done, or is not needed any more."""

    TYPE: ClassVar[str] = "amends.followup.task_done.v1"
    task: Short
    result: Reason
    by: Short


class ContactStopped(EventData):
    """The customer hears nothing more from us by themselves: they have died, asked for it, or are on a quiet list."""

    TYPE: ClassVar[str] = "amends.followup.contact_stopped.v1"
    reason: Short
    by: Short


class ContactAllowed(EventData):
    """The customer may be written to again."""

    TYPE: ClassVar[str] = "amends.followup.contact_allowed.v1"
    reason: Short
    by: Short


class OutcomeRecorded(EventData):
    """What came of a resolution, as the customer sees it. Recorded again when a reopened complaint is resolved again."""

    TYPE: ClassVar[str] = "amends.followup.outcome_recorded.v1"
    outcome: OutcomeKind
    resolved_at: AwareDatetime
    seconds_to_resolution: Annotated[int, Field(ge=0)]
    promises_kept: Annotated[int, Field(ge=0)] = 0
    promises_broken: Annotated[int, Field(ge=0)] = 0
    reopened: Annotated[int, Field(ge=0)] = 0
    team: Short | None = None
    category: Short
    remedy: Short | None = None
    channel: Short
    recorded_at: AwareDatetime
