"""Who deals with a complaint: its tier, its specialist desks, what they may grant, and how it rises. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.complaints import Short
from shared.contracts.decision import Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import AlarmRaised, Cause, Escalated, Stated
from shared.frozen import dataclass, field, replace
from shared.policy.evaluate import PolicyResult

# What lifts a complaint by a tier when the policy does not say (`raise_on`).
ALL_CAUSES = ("missed_clock", "broken_promise", "lapsed_hand_off", "failed_remedy")


@dataclass(frozen=True, slots=True)
class Tiers:
    """`tier` is None until the policy has decided. `raise_at` (seconds since 1970): it rises again if nothing is done.

    `alarmed`: what an alarm has been raised for; once is enough.
    """

    tier: int | None = None
    remedy_authority: dict[str, str] = field(default_factory=dict)
    desks: tuple[str, ...] = ()
    raise_on: tuple[str, ...] = ALL_CAUSES
    raise_at: int | None = None
    alarmed: tuple[str, ...] = ()


class Escalate(BaseModel):
    """A person asks for a higher tier (the next one if none is named) or for a specialist desk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Stated
    tier: int | None = Field(default=None, ge=1, le=9)
    desk: Short | None = None
    by: Short = ""


def decided(before: Tiers, outcome: Mapping[str, Any]) -> Tiers:
    """By a policy's outcome. The tier never falls and no desk is left: staff and customer were told of them (ADR 8)."""
    tier, desks = max(outcome["tier"], before.tier or 0), outcome.get("desks", ())
    return replace(
        before,
        tier=tier,
        remedy_authority=outcome.get("remedy_authority", {}),
        desks=(*before.desks, *(each for each in desks if each not in before.desks)) if desks else before.desks,
        raise_on=tuple(outcome["raise_on"]) if "raise_on" in outcome else ALL_CAUSES,
    )


def risen(before: Tiers, after: Tiers, result: PolicyResult, by: str, at: datetime) -> tuple[Escalated, ...]:
    """What there is to tell when a later decision put it higher, or on further desks."""
    if before.tier is None or (after.tier, after.desks) == (before.tier, before.desks):
        return ()
    return (_escalated(before, after, "rule", ", ".join(result.rules) or "default", by, at),)


def lifted(
    before: Tiers, top: int, cause: Cause, detail: str, at: datetime, *, by: str = "escalation"
) -> tuple[Tiers, tuple[EventData, ...]]:
    """One tier up; from the top there is only an alarm, once for each cause and detail."""
    tier = before.tier or 1
    if tier < top:
        after = replace(before, tier=tier + 1)
        return after, (_escalated(before, after, cause, detail, by, at),)
    if (about := f"{cause}: {detail}") in before.alarmed:
        return before, ()
    alarm = AlarmRaised(tier=tier, cause=cause, detail=detail, at=at)
    return replace(before, alarmed=(*before.alarmed, about)), (alarm,)


def command(
    before: Tiers, given: Escalate, desks: Iterable[str], top: int, now: datetime
) -> tuple[Tiers, tuple[EventData, ...]] | Refused:
    """What a person's request changes, or why it cannot be done. `desks`: those there are; none given: any name goes."""
    tier, known = before.tier or 1, tuple(desks)
    if given.tier is not None and given.tier > top:
        return Refused(409, "No such tier", f"The highest tier is {top}.")
    if given.tier is not None and given.tier <= tier and (given.desk is None or given.desk in before.desks):
        return Refused(409, "Not higher", f"The complaint is at tier {tier} already; a request never lowers it.")
    if given.desk is not None and known and given.desk not in known:
        return Refused(409, "No such desk", f"The directory knows these desks: {', '.join(sorted(known))}.")
    if given.desk is not None and given.desk in before.desks and given.tier is None:
        return Refused(409, "There already", f"The {given.desk} desk deals with it already.")
    if given.desk is None and given.tier is None:
        return lifted(before, top, "request", given.reason, now, by=given.by)
    desk = (given.desk,) if given.desk is not None and given.desk not in before.desks else ()
    after = replace(before, tier=max(tier, given.tier or 0), desks=(*before.desks, *desk))
    return after, (_escalated(before, after, "request", given.reason, given.by, now),)


def _escalated(before: Tiers, after: Tiers, cause: Cause, detail: str, by: str, at: datetime) -> Escalated:
    return Escalated(
        tier=after.tier or 1,
        previous_tier=before.tier or 1,
        desks=after.desks,
        added_desks=tuple([each for each in after.desks if each not in before.desks]),
        cause=cause,
        detail=detail,
        by=by,
        at=at,
    )
