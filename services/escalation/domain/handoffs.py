"""Hand-offs: a complaint moves to a team with everything it needs, and somebody there accepts it, or it moves on. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from services.escalation.domain.teams import Teams
from shared.contracts.complaints import Short
from shared.contracts.decision import Refused
from shared.contracts.escalations import Cause, HandOffAccepted, HandOffLapsed, HandOffRefused, Stated
from shared.frozen import dataclass, replace

TIMER = "hand_off"
# A package that still lacks something waits no longer than this; then it moves and says what is missing.
ACCEPT_WITHIN = "4h"  # where the policy does not say
SAFETY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Asked:
    """That a team is to take the complaint, and what the customer may be told of it."""

    team: str
    reason: str
    by: str
    cause: Cause
    customer_reason: str | None = None
    tell_customer: bool | None = None


@dataclass(frozen=True, slots=True)
class HandOff:
    """`accept_by`: None while its package is put together, until `wait_until` at most.

    `cause`, `customer_reason`, `tell_customer`: what the customer may be told once it is accepted, and whether (None: by
    policy). `help_now`: an agent asked for help; `then`: the team that waited for the complaint when they did, and is asked
    again once help is there.
    """

    number: int
    team: str
    reason: str
    by: str
    accept_by: AwareDatetime | None = None
    wait_until: AwareDatetime | None = None
    cause: Cause = "other"
    customer_reason: str | None = None
    tell_customer: bool | None = None
    help_now: bool = False
    then: Asked | None = None


@dataclass(frozen=True, slots=True)
class HandOffs:
    """The hand-off that waits for an answer, and who has the complaint now: a team, and the person who took it on."""

    number: int = 0
    pending: HandOff | None = None
    team: str | None = None
    owner: str | None = None
    since: AwareDatetime | None = None


class HandOver(BaseModel):
    """A person hands the complaint to a team, for `reason`. `tell_customer`: who has it now, once it is accepted, and why
    (`customer_reason`, in words for them); None: as follow-up's policy says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    team: Short
    reason: Stated
    customer_reason: Stated | None = None
    tell_customer: bool | None = None
    by: Short = ""


class AcceptHandOff(BaseModel):
    """Somebody of the team takes the complaint. `number` as the notification says it; None: whichever waits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int | None = None
    by: Short = ""


class RefuseHandOff(BaseModel):
    """The team does not take it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    number: int | None = None
    by: Short = ""


class AcceptByLink(AcceptHandOff):
    """The same by the link of the notification: having it is being in the team."""


class RefuseByLink(RefuseHandOff):
    """The same by the link of the notification."""


def asked(
    before: HandOffs, ask: Asked, now: datetime, *, complete: bool, help_now: bool = False, then: Asked | None = None
) -> HandOffs:
    """A new hand-off in place of one that waits. It is told at once when its package is complete."""
    number = before.number + 1
    pending = HandOff(
        number, ask.team, ask.reason[:2000], ask.by, None, None if complete else now + SAFETY, ask.cause,
        ask.customer_reason, ask.tell_customer, help_now, then,
    )  # fmt: skip
    return replace(before, number=number, pending=pending)


def interrupted(before: HandOffs) -> Asked | None:
    """Whom a call for help keeps waiting: the team that was asked, or was kept waiting by an earlier call."""
    waiting = before.pending
    if waiting is None:
        return None
    if waiting.help_now:
        return waiting.then
    return Asked(waiting.team, waiting.reason, waiting.by, waiting.cause, waiting.customer_reason, waiting.tell_customer)


def answerable(before: HandOffs, given: AcceptHandOff | RefuseHandOff, teams: Teams) -> HandOff | Refused:
    """The hand-off that may be answered so, or why not."""
    number, by = given.number, given.by
    pending = before.pending
    if pending is None or pending.accept_by is None or (number is not None and number != pending.number):
        since = f" since {before.since:%Y-%m-%d %H:%M} UTC" if before.since else ""
        has = f"{before.owner or before.team} has it{since}" if before.team else "nobody has asked for one"
        return Refused(409, "Nothing to answer", f"This hand-off does not wait for an answer: {has}.")
    if not isinstance(given, AcceptByLink | RefuseByLink) and not teams.is_member(pending.team, by):
        detail = f"It was handed to {pending.team}, and {by} is not in that team (see the directory)."
        return Refused(403, "Not in the team", detail)
    return pending


def accepted(
    before: HandOffs, pending: HandOff, by: str, now: datetime, teams: Teams
) -> tuple[HandOffs, HandOffAccepted]:
    known = teams.teams.get(pending.team)
    title = known.title if known is not None and known.title != pending.team else None  # an id says nothing to a customer
    event = HandOffAccepted(
        number=pending.number, team=pending.team, by=by, at=now, title=title,
        cause=pending.cause, customer_reason=pending.customer_reason, tell_customer=pending.tell_customer,
    )  # fmt: skip
    return replace(before, pending=None, team=pending.team, owner=by, since=now), event


def refused(before: HandOffs, pending: HandOff, reason: str, by: str, now: datetime) -> tuple[HandOffs, HandOffRefused]:
    event = HandOffRefused(number=pending.number, team=pending.team, by=by, reason=reason, at=now)
    return replace(before, pending=None), event


def lapsed(before: HandOffs, pending: HandOff, accept_by: datetime, now: datetime) -> tuple[HandOffs, HandOffLapsed]:
    event = HandOffLapsed(number=pending.number, team=pending.team, accept_by=accept_by, fired_at=now)
    return replace(before, pending=None), event
