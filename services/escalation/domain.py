"""Who deals with a complaint, by when, and where it stands. Pure: state, input and policy in; state and events out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.calendar import durations
from shared.contracts.complaints import ComplaintReceived, Contact, ContactAdded, ReplySent, Short, StatusReported
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Clock, ClockName, DecisionMade, Reason, Status, StatusChanged
from shared.policy.complaint import ComplaintFacts, citation
from shared.policy.evaluate import Policy

_CLOCKS: tuple[tuple[ClockName, str], ...] = (
    ("acknowledge", "acknowledge_within"),
    ("final_response", "final_response_within"),
)


@dataclass(frozen=True, slots=True)
class EscalationState:
    """What escalation knows and has decided of a complaint."""

    facts: ComplaintFacts = field(default_factory=ComplaintFacts)
    tier: int | None = None
    clocks: tuple[Clock, ...] = ()
    remedy_authority: dict[str, str] = field(default_factory=dict)
    # What the contact centre reported before the complaint itself arrived.
    reported: StatusReported | None = None
    # When the last report that was followed occurred: an older one that comes late says nothing new.
    reported_at: AwareDatetime | None = None


class Resolve(BaseModel):
    """A person says that the complaint is resolved, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: Reason
    remedy: Short | None = None
    by: Short = ""


class Close(BaseModel):
    """A person ends the complaint. Without a resolution the reason is required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Reason | None = None
    by: Short = ""


S = EscalationState
_NEW = EscalationState()


def on_event(state: S | None, data: EventData, at: datetime, policy: Policy) -> Decision[S]:
    """What an event of intake, accepted `at`, changes."""
    before = state or _NEW
    match data:
        case ComplaintReceived(contact=contact):
            return _received(before, contact, at, policy)
        case ContactAdded(contact=contact):
            return _wrote_again(before, contact, at, policy)
        case ReplySent(contact=contact):
            return Decision(replace(before, facts=before.facts.after_reply(contact.occurred_at)))
        case StatusReported():
            if before.facts.received_at is not None:
                return _reported(before, data)
            if before.reported is not None and data.occurred_at < before.reported.occurred_at:
                return Decision(before)
            return Decision(replace(before, reported=data))
        case _:
            return Decision(before)


def on_command(state: S | None, command: Resolve | Close, now: datetime) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    if state is None or state.facts.received_at is None:
        detail = "Escalation knows no complaint with this id. If it was just sent, try again in a moment."
        return Refused(404, "No such complaint", detail)
    status = state.facts.status
    match command:
        case Resolve():
            if status in ("resolved", "closed"):
                return Refused(409, "Already resolved", f"The complaint is {status}; only an open one can be resolved.")
            return _change(state, "resolved", now, by=command.by, resolution=command.resolution, remedy=command.remedy)
        case Close():
            if status == "closed":
                return Refused(409, "Already closed", "The complaint is closed.")
            if status != "resolved" and not command.reason:
                detail = f"The complaint is {status}: closing it without a resolution needs a `reason`."
                return Refused(409, "Not resolved", detail)
            return _change(state, "closed", now, by=command.by, reason=command.reason)


def _received(before: S, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    known = replace(before, facts=before.facts.after_contact(contact), reported=None)
    after, decision = _decide(known, at, policy, ComplaintReceived.TYPE)
    if before.reported is None:
        return Decision(after, (decision,))
    reported = _reported(after, before.reported)
    return Decision(reported.state, (decision, *reported.events))


def _wrote_again(before: S, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    """A new contact may raise the tier; and it reopens what was thought to be solved."""
    after = replace(before, facts=before.facts.after_contact(contact))
    events: tuple[EventData, ...] = ()
    if after.facts.status != "open":
        reopened = _change(after, "open", contact.occurred_at, by="customer", reason="the customer wrote again")
        after, events = reopened.state, reopened.events
    decided, decision = _decide(after, at, policy, ContactAdded.TYPE)
    if (decided.tier, decided.clocks, decided.remedy_authority) != (
        before.tier,
        before.clocks,
        before.remedy_authority,
    ):
        return Decision(decided, (*events, decision))
    return Decision(after, events)


def _reported(before: S, reported: StatusReported) -> Decision[S]:
    """What the contact centre says of its own record is a fact: it is followed, whatever the status here."""
    if before.reported_at is not None and reported.occurred_at < before.reported_at:
        return Decision(before)
    before = replace(before, reported_at=reported.occurred_at)
    if reported.status == before.facts.status:
        return Decision(before)
    by = f"contact-centre:{reported.source.instance}"
    return _change(before, reported.status, reported.occurred_at, by=by, reason=reported.reason)


def _change(before: S, status: Status, at: datetime, *, by: str, **why: Any) -> Decision[S]:
    changed = StatusChanged(status=status, previous=before.facts.status, by=by, occurred_at=at, **why)
    return Decision(replace(before, facts=before.facts.after_status(status, at)), (changed,))


def _decide(before: S, as_of: datetime, policy: Policy, trigger: str) -> tuple[S, DecisionMade]:
    """Apply the policy. The tier never falls and no deadline moves later by it: what was promised stands."""
    result = policy.decide(before.facts.as_of(as_of))
    outcome = result.outcome
    started_at = before.facts.received_at or as_of
    earlier = {clock.name: clock for clock in before.clocks}
    clocks = []
    for name, target in _CLOCKS:
        due_at = durations.add(started_at, durations.parse(outcome[target]), policy.calendar_zone)
        clock = Clock(
            name=name, target=outcome[target], started_at=started_at, due_at=due_at, zone=policy.calendar_zone
        )
        clocks.append(min(clock, earlier.get(name, clock), key=lambda c: c.due_at))
    decision = DecisionMade(
        tier=max(outcome["tier"], before.tier or 0),
        previous_tier=before.tier,
        clocks=tuple(clocks),
        remedy_authority=outcome.get("remedy_authority", {}),
        guidance=result.guidance,
        policy=citation(policy, result),
        trigger=trigger,
        as_of=as_of,
    )
    decided = replace(before, tier=decision.tier, clocks=decision.clocks, remedy_authority=decision.remedy_authority)
    return decided, decision
