"""The events of the topic `escalations`, written by escalation: decisions by policy, status, tiers, hand-offs, remedies and
conduct. Those of clocks stand in `clocks`, and are known here as well."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from shared.contracts.clocks import Clock as Clock
from shared.contracts.clocks import ClockMissed as ClockMissed
from shared.contracts.clocks import ClockName as ClockName
from shared.contracts.clocks import ClocksMet as ClocksMet
from shared.contracts.clocks import ClocksPaused as ClocksPaused
from shared.contracts.clocks import ClocksResumed as ClocksResumed
from shared.contracts.clocks import ClocksSet as ClocksSet
from shared.contracts.clocks import ClockWarned as ClockWarned
from shared.contracts.clocks import Deadline as Deadline
from shared.contracts.clocks import MetClock as MetClock
from shared.contracts.complaints import Money, Part, PolicyCitation, Short
from shared.contracts.envelope import EventData

Status = Literal["open", "waiting", "resolved", "closed"]
Reason = Annotated[str, StringConstraints(max_length=2000)]
# A reason in a command: blanks are none.
Stated = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]


class DecisionMade(EventData):
    """Tier, clocks, guidance and remedy authority by policy. `trigger` is the event type that made it necessary.

    `policy` is the service's own, `regimes` are those of the legal regimes that were applied beside it. `deadlines` are
    all clocks that this decision set, or moved to an earlier time; `clocks` repeats the first and the last of the
    service's own, as the first release wrote them. `team`: who has the complaint by this, where nobody need be asked.
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
    regimes: tuple[PolicyCitation, ...] | None = None
    team: Short | None = None


class TierDecided(EventData):
    """DecisionMade for those who need no more of it: what decided is most of its bytes, and is not read."""

    TYPE: ClassVar[str] = DecisionMade.TYPE
    tier: Annotated[int, Field(ge=1, le=9)]
    previous_tier: int | None = None


class StatusChanged(EventData):
    """A new status: escalation alone writes it. `by` is a person's key, `contact-centre:<source>` or `customer`.

    `reason`: why; where a complaint ends without an offer, there is always one.
    """

    TYPE: ClassVar[str] = "amends.escalation.status_changed.v1"
    status: Status
    previous: Status
    by: Short
    reason: Reason | None = None
    resolution: Reason | None = None
    remedy: Short | None = None
    occurred_at: AwareDatetime


class LimitExtended(EventData):
    """A person recorded that a legal limit is extended, and why. Regimes that know this `extension` then set later deadlines."""

    TYPE: ClassVar[str] = "amends.escalation.limit_extended.v1"
    extension: Short
    reason: Reason
    by: Short
    at: AwareDatetime


Cause = Literal["rule", "request", "missed_clock", "broken_promise", "lapsed_hand_off", "not_solved", "failed_remedy", "other"]


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


class OpenPromise(Part):
    """What somebody has promised and not yet kept."""

    promise: Short
    what: Reason
    due_at: AwareDatetime


class HandOffPackage(Part):
    """What the next person needs so that the customer need not say it again.

    The customer's words are in the complaint's contacts; here is what they come to. `tried`: how it was answered before;
    `known`: what not to ask again; `missing`: what a hand-off that could not wait went without.
    """

    category: Short
    severity: int
    channel: Short
    received_at: AwareDatetime
    issues: tuple[Reason, ...] = ()
    wanted: Reason | None = None
    support_needs: tuple[Short, ...] = ()
    heat: Short | None = None
    tags: tuple[Short, ...] = ()
    tried: tuple[Reason, ...] = ()
    offers: tuple[Reason, ...] = ()
    promises: tuple[OpenPromise, ...] = ()
    clocks: tuple[Deadline, ...] = ()
    guidance: tuple[Reason, ...] = ()
    known: tuple[Short, ...] = ()
    missing: tuple[Short, ...] = ()


class HandOffRequested(EventData):
    """The complaint is to be taken over by `team`, who accepts or refuses by `accept_by`; else it moves on. `policy`: what
    decided how long they have."""

    TYPE: ClassVar[str] = "amends.escalation.hand_off_requested.v1"
    number: int
    team: Short
    tier: int
    reason: Reason
    by: Short
    accept_by: AwareDatetime
    package: HandOffPackage
    at: AwareDatetime
    policy: PolicyCitation | None = None


class HandOffAccepted(EventData):
    """`by` of `team` has the complaint now.

    For the customer: the team's `title`, `cause` (why it was handed off) or `customer_reason` (in somebody's words for
    the customer), and whether they are to be told of it; None: follow-up's policy says so.
    """

    TYPE: ClassVar[str] = "amends.escalation.hand_off_accepted.v1"
    number: int
    team: Short
    by: Short
    at: AwareDatetime
    title: Short | None = None
    cause: Cause | None = None
    customer_reason: Reason | None = None
    tell_customer: bool | None = None


class HandOffRefused(EventData):
    """The team does not take it, for a reason; it moves on."""

    TYPE: ClassVar[str] = "amends.escalation.hand_off_refused.v1"
    number: int
    team: Short
    by: Short
    reason: Reason
    at: AwareDatetime


class HandOffLapsed(EventData):
    """Nobody answered by `accept_by`; it moves on."""

    TYPE: ClassVar[str] = "amends.escalation.hand_off_lapsed.v1"
    number: int
    team: Short
    accept_by: AwareDatetime
    fired_at: AwareDatetime


class RemedyOption(Part):
    """One remedy of the catalogue, with its amount where it has one."""

    remedy: Short
    amount: Money | None = None
    immediate: bool = False


class RemedyOffered(EventData):
    """What the customer may choose from. `needs_tier`: it is not offered before somebody of that tier has authorised it."""

    TYPE: ClassVar[str] = "amends.escalation.remedy_offered.v1"
    offer: int
    options: tuple[RemedyOption, ...]
    needs_tier: int | None = None
    reason: Reason | None = None
    by: Short
    at: AwareDatetime


class RemedyAuthorised(EventData):
    """Somebody who may has authorised an offer beyond the authority of whoever made it."""

    TYPE: ClassVar[str] = "amends.escalation.remedy_authorised.v1"
    offer: int
    by: Short
    reason: Reason | None = None
    at: AwareDatetime


class RemedyCountered(EventData):
    """The customer asks for something else."""

    TYPE: ClassVar[str] = "amends.escalation.remedy_countered.v1"
    offer: int
    asked: Reason
    by: Short
    at: AwareDatetime


class RemedyAccepted(EventData):
    """The customer has chosen one of the options."""

    TYPE: ClassVar[str] = "amends.escalation.remedy_accepted.v1"
    offer: int
    option: RemedyOption
    by: Short
    at: AwareDatetime


class RemedyRefused(EventData):
    """The customer wants none of it, or the offer was withdrawn or not authorised."""

    TYPE: ClassVar[str] = "amends.escalation.remedy_refused.v1"
    offer: int
    reason: Reason | None = None
    by: Short
    at: AwareDatetime


IncidentKind = Literal["abuse", "threat", "self_harm", "discrimination", "other"]


class IncidentLogged(EventData):
    """Somebody on our side needed help at once. Logged apart from the complaint, whose clocks run on."""

    TYPE: ClassVar[str] = "amends.escalation.incident_logged.v1"
    incident: int
    kind: IncidentKind
    what: Reason
    by: Short
    at: AwareDatetime


class ConductWarned(EventData):
    """The customer was told, with the reason, which conduct is not accepted and what follows."""

    TYPE: ClassVar[str] = "amends.escalation.conduct_warned.v1"
    reason: Reason
    by: Short
    at: AwareDatetime


class ConductRestricted(EventData):
    """Contact is limited in `scope` until `until`, reviewed at `review_at`. The complaint is handled all the same."""

    TYPE: ClassVar[str] = "amends.escalation.conduct_restricted.v1"
    scope: tuple[Short, ...]
    reason: Reason
    until: AwareDatetime
    review_at: AwareDatetime
    by: Short
    at: AwareDatetime


class ConductReviewDue(EventData):
    """The time to look at a restriction again has come."""

    TYPE: ClassVar[str] = "amends.escalation.conduct_review_due.v1"
    review_at: AwareDatetime
    fired_at: AwareDatetime


class ConductAppealed(EventData):
    """The customer does not agree with a restriction: somebody else looks at it."""

    TYPE: ClassVar[str] = "amends.escalation.conduct_appealed.v1"
    words: Reason
    by: Short
    at: AwareDatetime


class ConductEnded(EventData):
    """A restriction has ended: its time was over, a review or an appeal lifted it."""

    TYPE: ClassVar[str] = "amends.escalation.conduct_ended.v1"
    reason: Reason
    by: Short
    at: AwareDatetime
