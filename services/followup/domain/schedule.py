"""What the customer hears, and when: progress updates before the resolution, a check-in after it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime

from shared.calendar import durations
from shared.contracts.complaints import ComplaintReceived, ContactAdded, ReplySent
from shared.contracts.decision import Decision, Due, Timer
from shared.contracts.envelope import EventData
from shared.contracts.escalations import StatusChanged
from shared.contracts.followups import (
    CheckInCancelled,
    CheckInDue,
    CheckInScheduled,
    UpdateCancelled,
    UpdateDue,
    UpdateKind,
    UpdateScheduled,
)
from shared.policy.complaint import ComplaintFacts, citation
from shared.policy.evaluate import Policy, PolicyResult

UPDATE, CHECK_IN = "update", "check_in"
_UPDATES: dict[str, UpdateKind] = {"progress_update": "progress_update", "holding_response": "holding_response"}


@dataclass(frozen=True, slots=True)
class Planned:
    """A contact that is planned: number `number` of its sort, with the cadence it came from."""

    number: int
    kind: str
    due_at: AwareDatetime
    channel: str
    every: str | None = None


@dataclass(frozen=True, slots=True)
class FollowUpState:
    """What follow-up knows of a complaint, and what it has planned. No text and no identifiers of the customer."""

    facts: ComplaintFacts = field(default_factory=ComplaintFacts)
    updates: int = 0
    check_ins: int = 0
    update: Planned | None = None
    check_in: Planned | None = None


S = FollowUpState
_NEW = FollowUpState()


def on_event(state: S | None, data: EventData, at: datetime, policy: Policy) -> Decision[S]:
    """What an event of intake or escalation, accepted or decided `at`, changes in the plan."""
    before = state or _NEW
    match data:
        case ComplaintReceived(contact=contact) | ContactAdded(contact=contact):
            first = before.facts.received_at is None
            after = replace(before, facts=before.facts.after_contact(contact))
            # Whoever is planned to hear from us still does; a first contact, or a more serious one, makes a new plan.
            return _plan(after, at, policy, "the customer wrote again") if first or after.update else Decision(after)
        case ReplySent(contact=contact):
            after = replace(before, facts=before.facts.after_reply(contact.occurred_at))
            return _move_update(after, contact.occurred_at, policy) if after.update else Decision(after)
        case StatusChanged():
            after = replace(before, facts=before.facts.after_status(data.status, data.occurred_at))
            if after.facts.received_at is None:
                return Decision(after)
            return _plan(after, at, policy, f"the complaint is {data.status}")
        case _:
            return Decision(before)


def on_timer(state: S | None, due: Due, now: datetime, policy: Policy) -> Decision[S]:
    """A planned contact has come due; `now` is later than `due.due_at` after an outage."""
    before = state or _NEW
    if due.name == CHECK_IN and before.check_in is not None:
        planned = before.check_in
        event = CheckInDue(
            number=planned.number, kind=planned.kind, due_at=planned.due_at, fired_at=now, channel=planned.channel
        )  # fmt: skip
        return Decision(replace(before, check_in=None), (event,))
    if due.name == UPDATE and before.update is not None:
        return _update_due(before, before.update, now, policy)
    return Decision(before)


def _update_due(before: S, planned: Planned, now: datetime, policy: Policy) -> Decision[S]:
    """The update goes out as the policy says at its due time; then the next one is planned."""
    result = policy.decide(before.facts.as_of(planned.due_at))
    kind = _UPDATES.get(result.outcome["action"])
    if kind is None:
        cancelled = UpdateCancelled(number=planned.number, reason=f"the policy now says {result.outcome['action']}")
        return Decision(replace(before, update=None), (cancelled,))
    event = UpdateDue(
        number=planned.number, kind=kind, due_at=planned.due_at, fired_at=now, channel=planned.channel,
        policy=citation(policy, result),
    )  # fmt: skip
    after = replace(before, update=None, facts=before.facts.after_reply(now))
    following = _next_update(after, now, policy, result)
    return Decision(following.state, (event, *following.events), following.timers)


def _plan(before: S, at: datetime, policy: Policy, why: str) -> Decision[S]:
    """Make the plan that the policy wants now; cancel what it no longer wants."""
    result = policy.decide(before.facts.as_of(at))
    action = result.outcome["action"]
    after = before
    events: list[EventData] = []
    cancel: list[str] = []
    if before.check_in is not None and before.facts.status in ("open", "waiting"):
        events.append(CheckInCancelled(number=before.check_in.number, reason=why))
        after = replace(after, check_in=None)
        cancel.append(CHECK_IN)
    if before.update is not None and action not in _UPDATES:
        events.append(UpdateCancelled(number=before.update.number, reason=why))
        after = replace(after, update=None)
        cancel.append(UPDATE)
    further: Decision[S] = Decision(after)
    if action in _UPDATES and (after.update is None or after.update.every != result.outcome.get("every")):
        further = _next_update(after, at, policy, result)
    elif action not in (*_UPDATES, "none") and after.check_in is None:
        further = _next_check_in(after, at, policy, result)
    return Decision(further.state, (*events, *further.events), further.timers, tuple(cancel))


def _next_update(before: S, at: datetime, policy: Policy, result: PolicyResult) -> Decision[S]:
    """Plan the next update (or move the planned one to the new cadence), as often as the policy allows."""
    outcome = result.outcome
    kind = _UPDATES.get(outcome["action"])
    number = before.update.number if before.update else before.updates + 1
    span = outcome.get("every") if before.updates or "after" not in outcome else outcome["after"]
    if kind is None or span is None or number > outcome.get("max_contacts", number):
        return Decision(before)
    planned = Planned(
        number=number, kind=kind, due_at=durations.add(at, durations.parse(span), policy.calendar_zone),
        channel=_channel(before, outcome), every=outcome.get("every"),
    )  # fmt: skip
    event = UpdateScheduled(
        number=number, kind=kind, due_at=planned.due_at, channel=planned.channel, policy=citation(policy, result)
    )  # fmt: skip
    return Decision(
        replace(before, updates=number, update=planned), (event,), (Timer(UPDATE, planned.due_at),)
    )


def _move_update(before: S, at: datetime, policy: Policy) -> Decision[S]:
    """The customer has just heard from us: the planned update counts from there."""
    result = policy.decide(before.facts.as_of(at))
    return _next_update(before, at, policy, result) if result.outcome["action"] in _UPDATES else Decision(before)


def _next_check_in(before: S, at: datetime, policy: Policy, result: PolicyResult) -> Decision[S]:
    outcome = result.outcome
    number = before.check_ins + 1
    due_at = durations.add(
        before.facts.resolved_at or at, durations.parse(outcome.get("after", "0d")), policy.calendar_zone
    )
    planned = Planned(number=number, kind=outcome["action"], due_at=due_at, channel=_channel(before, outcome))
    event = CheckInScheduled(
        number=number, kind=planned.kind, due_at=due_at, channel=planned.channel, policy=citation(policy, result)
    )  # fmt: skip
    return Decision(
        replace(before, check_ins=number, check_in=planned), (event,), (Timer(CHECK_IN, due_at),)
    )


def _channel(state: S, outcome: dict[str, Any]) -> str:
    """The channel that the policy names; `preferred` is the customer's, or else the one they wrote on (`any`: not known)."""
    named: str = outcome.get("channel", "preferred")
    if named != "preferred":
        return named
    facts = state.facts
    if facts.contact_preference != "any":
        return facts.contact_preference
    return "any" if facts.channel in ("unknown", "api") else facts.channel
