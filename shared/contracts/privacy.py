"""Events about the record itself: erased, held back from erasure, shown to somebody. Written by records; confirmed by each service."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from shared.contracts.complaints import Short
from shared.contracts.envelope import EventData

Why = Annotated[str, StringConstraints(min_length=3, max_length=500)]


class ComplaintErased(EventData):
    """The complaint's key is destroyed: nobody can read its payloads any more. Every service deletes what it has and
    confirms it by its own `erasure_confirmed`. `reason` must not name the person: it stays."""

    TYPE: ClassVar[str] = "amends.complaint.erased.v1"
    reason: Why
    by: Short
    regime: Short | None = None


Matter = Literal["ombudsman", "court", "regulator", "police", "insurance", "product_recall"]


class HoldSet(EventData):
    """The complaint must not be erased (a court, a regulator, an open investigation), until the hold is lifted. `matter`: what
    is going on elsewhere about it."""

    TYPE: ClassVar[str] = "amends.records.hold_set.v1"
    reason: Why
    by: Short
    matter: Matter | None = None


class ErasureRequested(EventData):
    """The customer has asked for erasure. It comes as soon as the rules of retention let it. `reason` must not name the person."""

    TYPE: ClassVar[str] = "amends.records.erasure_requested.v1"
    reason: Why
    by: Short


class HoldLifted(EventData):
    """The hold has ended: retention and requests for erasure count again."""

    TYPE: ClassVar[str] = "amends.records.hold_lifted.v1"
    reason: Why
    by: Short


class CaseRead(EventData):
    """Somebody looked at the case: who and how. One event for what the same reader does within a quarter of an hour."""

    TYPE: ClassVar[str] = "amends.records.case_read.v1"
    by: Short
    how: Literal["timeline", "export", "access", "search"]


class AccessGiven(EventData):
    """The person (or somebody for them) was given what is held about the complaint."""

    TYPE: ClassVar[str] = "amends.records.access_given.v1"
    reason: Why
    by: Short


class _Confirmed(EventData):
    """This service has deleted everything that it had of an erased complaint, but the numbers that end late events."""


class IntakeErasureConfirmed(_Confirmed):
    """Intake has destroyed the deliveries of an erased complaint."""

    TYPE: ClassVar[str] = "amends.intake.erasure_confirmed.v1"


class EscalationErasureConfirmed(_Confirmed):
    """Escalation has deleted its rows of an erased complaint."""

    TYPE: ClassVar[str] = "amends.escalation.erasure_confirmed.v1"


class FollowUpErasureConfirmed(_Confirmed):
    """Follow-up has deleted its rows of an erased complaint, and calls nobody about it any more."""

    TYPE: ClassVar[str] = "amends.followup.erasure_confirmed.v1"


CONFIRMED: dict[str, type[EventData]] = {
    "intake": IntakeErasureConfirmed,
    "escalation": EscalationErasureConfirmed,
    "followup": FollowUpErasureConfirmed,
}
