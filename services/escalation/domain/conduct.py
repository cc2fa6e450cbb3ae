"""Help for staff: incidents at once to a lead, and steps about conduct that are fair, limited and reviewed. Pure.

A step is about what was done, not about who somebody is. The complaint's clocks run on, and it is handled all the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.escalation.domain.teams import Teams
from shared.contracts.complaints import Short, Tag
from shared.contracts.decision import Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import (
    ConductAppealed,
    ConductEnded,
    ConductRestricted,
    ConductReviewDue,
    ConductWarned,
    IncidentKind,
    IncidentLogged,
    Stated,
)
from shared.frozen import dataclass, replace

TIMER = "conduct_review"
# No restriction lasts longer without being decided again; and it is looked at half-way at the latest.
LONGEST = timedelta(days=366)
LEAD_TIER = 2


@dataclass(frozen=True, slots=True)
class Restriction:
    scope: tuple[str, ...]
    until: AwareDatetime
    review_at: AwareDatetime
    by: str


@dataclass(frozen=True, slots=True)
class Conduct:
    """`threatened`: an incident was a threat, after which no warning is needed first."""

    incidents: int = 0
    warned: bool = False
    threatened: bool = False
    restriction: Restriction | None = None


class HelpNow(BaseModel):
    """An agent needs help with this contact at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: IncidentKind = "abuse"
    what: Stated
    by: Short = ""


class WarnAboutConduct(BaseModel):
    """The customer was told which conduct is not accepted, and what follows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


class RestrictContact(BaseModel):
    """Limit contact: `scope` are the channels or ways that are closed; others stay open. A lead decides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Annotated[tuple[Tag, ...], Field(min_length=1, max_length=10)]
    reason: Stated
    until: AwareDatetime
    review_at: AwareDatetime | None = None
    by: Short = ""


class AppealConduct(BaseModel):
    """The customer does not agree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: Stated
    by: Short = ""


class EndRestriction(BaseModel):
    """A review or an appeal lifts it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    by: Short = ""


Command = HelpNow | WarnAboutConduct | RestrictContact | AppealConduct | EndRestriction
Step = tuple[Conduct, tuple[EventData, ...]]
ALL_WAYS = frozenset({"email", "phone", "chat", "sms", "post", "in_person"})
EVERYTHING = frozenset({"all", "any", "every", "everything", "*"})


def command(before: Conduct, given: Command, teams: Teams, now: datetime) -> Step | Refused:
    """What a command changes, or why it cannot be done."""
    match given:
        case HelpNow():
            number = before.incidents + 1
            event = IncidentLogged(incident=number, kind=given.kind, what=given.what, by=given.by, at=now)
            return replace(before, incidents=number, threatened=before.threatened or given.kind == "threat"), (event,)
        case WarnAboutConduct():
            return replace(before, warned=True), (ConductWarned(reason=given.reason, by=given.by, at=now),)
        case RestrictContact():
            return _restrict(before, given, teams, now)
        case AppealConduct():
            if before.restriction is None:
                return Refused(409, "No restriction", "There is no restriction to appeal against.")
            return before, (ConductAppealed(words=given.words, by=given.by, at=now),)
        case EndRestriction():
            if before.restriction is None:
                return Refused(409, "No restriction", "There is no restriction in force.")
            if not _may(teams, given.by):
                return _not_a_lead(given.by)
            return replace(before, restriction=None), (ConductEnded(reason=given.reason, by=given.by, at=now),)


def _restrict(before: Conduct, given: RestrictContact, teams: Teams, now: datetime) -> Step | Refused:
    if not _may(teams, given.by):
        return _not_a_lead(given.by)
    if not before.warned and not before.threatened:
        return Refused(409, "Warn first", "Without a threat the customer is warned, with the reason, before contact is limited.")
    if set(given.scope) >= ALL_WAYS or EVERYTHING & set(given.scope):
        return Refused(409, "Too wide", "Leave one way open: the complaint is handled all the same.")
    if not now < given.until <= now + LONGEST:
        return Refused(409, "Limit it in time", "`until` lies ahead, a year at most.")
    review_at = given.review_at or now + (given.until - now) / 2
    if not now < review_at <= given.until:
        return Refused(409, "Review it in time", "`review_at` lies ahead, and not after `until`.")
    restriction = Restriction(given.scope, given.until, review_at, given.by)
    event = ConductRestricted(
        scope=given.scope, reason=given.reason, until=given.until, review_at=review_at, by=given.by, at=now
    )
    return replace(before, restriction=restriction), (event,)


def fired(before: Conduct, due_at: datetime, now: datetime) -> Step:
    """The time to review has come, or the restriction's time is over."""
    restriction = before.restriction
    if restriction is None:
        return before, ()
    if restriction.until <= now:
        over = ConductEnded(reason="its time is over", by="escalation", at=now)
        return replace(before, restriction=None), (over,)
    return before, (ConductReviewDue(review_at=due_at, fired_at=now),)


def wake(before: Conduct, now: datetime) -> datetime | None:
    """When to look next: at the review, then at the end."""
    restriction = before.restriction
    if restriction is None:
        return None
    return restriction.review_at if restriction.review_at > now else restriction.until


def _may(teams: Teams, by: str) -> bool:
    tier = teams.tier_of(by)
    return not teams.peopled or (tier is not None and tier >= LEAD_TIER)


def _not_a_lead(by: str) -> Refused:
    return Refused(403, "A lead decides", f"{by} is in no team of tier {LEAD_TIER} or above (see the directory).")
