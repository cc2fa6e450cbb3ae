"""FLOWS: which topic holds which events, written by whom and read by whom. The pictures are generated from it.

TABLES: the topics of policies, which hold no events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.contracts import complaints, dead_letters, escalations, followups, policies, privacy, records
from shared.contracts.envelope import SERVICES, EventData

PARTITIONS = 6
# Personal data: Kafka keeps events six days, by the broker's clock.
RETENTION_MS = 518_400_000
SEGMENT_MS = 43_200_000


@dataclass(frozen=True, slots=True)
class Flow:
    """One topic by its logical name: a deployment may put a prefix before it.

    `consumers` follow all of it by its sequence. A service that only needs some types of event `selects` these: it makes
    nothing of the sequence, and what is not among them is not even decoded.
    """

    topic: str
    key: str
    producer: str
    consumers: tuple[str, ...]
    events: tuple[type[EventData], ...]
    selects: Mapping[str, tuple[type[EventData], ...]] = field(default_factory=dict)

    @property
    def readers(self) -> tuple[str, ...]:
        """The services that read it, all of it or some."""
        return (*self.consumers, *self.selects)

    @property
    def writers(self) -> tuple[str, ...]:
        """The services that write to it."""
        return (self.producer,) if self.producer in SERVICES else SERVICES


FLOWS: tuple[Flow, ...] = (
    Flow(
        topic="complaints",
        key="complaint id (set aside, rejected: submission id)",
        producer="intake",
        consumers=("escalation", "followup", "records"),
        events=(
            complaints.ComplaintReceived,
            complaints.ContactAdded,
            complaints.ReplySent,
            complaints.StatusReported,
            complaints.SubmissionSetAside,
            complaints.SubmissionRejected,
            complaints.ComplaintMerged,
            complaints.MergeUndone,
            complaints.RepeatSuspected,
            complaints.RepeatDismissed,
            privacy.IntakeErasureConfirmed,
        ),
    ),
    Flow(
        topic="escalations",
        key="complaint id",
        producer="escalation",
        consumers=("followup", "records"),
        events=(
            escalations.DecisionMade,
            escalations.StatusChanged,
            escalations.ClocksSet,
            escalations.ClocksPaused,
            escalations.ClocksResumed,
            escalations.ClockWarned,
            escalations.ClockMissed,
            escalations.ClocksMet,
            escalations.Escalated,
            escalations.AlarmRaised,
            escalations.LimitExtended,
            escalations.HandOffRequested,
            escalations.HandOffAccepted,
            escalations.HandOffRefused,
            escalations.HandOffLapsed,
            escalations.RemedyOffered,
            escalations.RemedyAuthorised,
            escalations.RemedyCountered,
            escalations.RemedyAccepted,
            escalations.RemedyRefused,
            escalations.IncidentLogged,
            escalations.ConductWarned,
            escalations.ConductRestricted,
            escalations.ConductReviewDue,
            escalations.ConductAppealed,
            escalations.ConductEnded,
            privacy.EscalationErasureConfirmed,
        ),
    ),
    Flow(
        topic="followups",
        key="complaint id",
        producer="followup",
        consumers=("escalation", "records"),
        selects={"intake": (followups.CheckInAnswered,)},
        events=(
            followups.UpdateScheduled,
            followups.UpdateDue,
            followups.UpdateCancelled,
            followups.CheckInScheduled,
            followups.CheckInDue,
            followups.CheckInCancelled,
            followups.CheckInSent,
            followups.CheckInAnswered,
            followups.CheckInUnanswered,
            followups.FactChecked,
            followups.UpdateSent,
            followups.HandOffTold,
            followups.PromiseProposed,
            followups.PromiseMade,
            followups.PromiseDueSoon,
            followups.PromiseKept,
            followups.PromiseBroken,
            followups.PromiseWithdrawn,
            followups.MessageFailed,
            followups.TaskCreated,
            followups.TaskDone,
            followups.ContactStopped,
            followups.ContactAllowed,
            followups.OutcomeRecorded,
            privacy.FollowUpErasureConfirmed,
        ),
    ),
    Flow(
        topic="records",
        key="complaint id (checkpoint signed: the log's id)",
        producer="records",
        consumers=("intake", "escalation", "followup"),
        events=(
            privacy.ComplaintErased,
            privacy.HoldSet,
            privacy.ErasureRequested,
            privacy.HoldLifted,
            privacy.CaseRead,
            privacy.AccessGiven,
            records.CheckpointSigned,
        ),
    ),
    Flow(
        topic="dead-letters",
        key="original key",
        producer="every service",
        consumers=(),
        events=(dead_letters.DeadLetterParked,),
    ),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A compacted topic of one partition: the newest record of a key is its value. Read whole, without a consumer group."""

    topic: str
    key: str
    writers: str
    readers: str
    record: type[policies.PolicyRecord]
    services_that_read: tuple[str, ...] = SERVICES
    keep_ms: int | None = None  # None: for ever

    @property
    def settings(self) -> dict[str, Any]:
        """How Kafka keeps it, in Kafka's names."""
        if self.keep_ms is None:
            return {"cleanup.policy": ["compact"]}
        return {"cleanup.policy": ["compact", "delete"], "retention.ms": self.keep_ms, "segment.ms": self.keep_ms}


POLICY_VERSIONS, POLICY_ACTIVATIONS, POLICY_STATUS = "policy.versions", "policy.activations", "policy.status"
TABLES: tuple[Table, ...] = (
    Table(
        topic=POLICY_VERSIONS,
        key="policy/version",
        writers="`amends policy`; each service its packaged default",
        readers="every service that decides by policy",
        record=policies.VersionPublished,
    ),
    Table(
        topic=POLICY_ACTIVATIONS,
        key="policy/seq",
        writers="`amends policy`; each service its packaged default",
        readers="every service that decides by policy",
        record=policies.Activation,
    ),
    Table(
        topic=POLICY_STATUS,
        key="service/replica",
        writers="every service that decides by policy",
        readers="`amends policy`",
        record=policies.ReplicaStatus,
        services_that_read=(),
        keep_ms=86_400_000,
    ),
)

EVENTS: dict[str, type[EventData]] = {event.TYPE: event for flow in FLOWS for event in flow.events}
TOPIC_OF: dict[str, str] = {flow.producer: flow.topic for flow in FLOWS}
DEAD_LETTERS = "dead-letters"


def topics_read_by(service: str) -> tuple[str, ...]:
    """The logical names of the topics that `service` consumes."""
    return tuple(flow.topic for flow in FLOWS if service in flow.readers)


def topics_followed_by(service: str) -> tuple[str, ...]:
    """Those of which it must get every event."""
    return tuple(flow.topic for flow in FLOWS if service in flow.consumers)


def selected_by(service: str) -> dict[str, tuple[str, ...]]:
    """The types of event that it takes of the other topics."""
    return {flow.topic: tuple(e.TYPE for e in flow.selects[service]) for flow in FLOWS if service in flow.selects}
