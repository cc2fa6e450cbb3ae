"""Who deals with a complaint, by when, and where it stands. Pure: state, input and policy in; state and events out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.calendar import durations
from shared.contracts.complaints import ComplaintReceived, Contact, ContactAdded, ReplySent, Short, StatusReported
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Clock, ClockName, DecisionMade, PolicyCitation, Reason, Status, StatusChanged
from shared.policy.evaluate import Policy, PolicyResult

_CLOCKS: tuple[tuple[ClockName, str], ...] = (
    ("acknowledge", "acknowledge_within"),
    ("final_response", "final_response_within"),
)


class EscalationState(BaseModel):
    """What escalation knows of a complaint. Times are UTC; no text and no identifiers of the customer."""

    model_config = ConfigDict(frozen=True)

    received_at: AwareDatetime | None = None
    last_contact_at: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None
    status: Status = "open"
    severity: int = 1
    category: str = "other"
    tags: tuple[str, ...] = ()
    channel: str = "unknown"
    contact_preference: str = "any"
    vulnerable: bool = False
    tier: int | None = None
    clocks: tuple[Clock, ...] = ()
    remedy_authority: dict[str, str] = {}
    # What the contact centre reported before the complaint itself arrived.
    reported: StatusReported | None = None


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


def on_event(state: S | None, data: EventData, at: datetime, policy: Policy) -> Decision[S]:
    """What an event of intake, accepted `at`, changes."""
    before = state or S()
    match data:
        case ComplaintReceived(contact=contact):
            return _received(before, contact, at, policy)
        case ContactAdded(contact=contact):
            return _wrote_again(before, contact, at, policy)
        case ReplySent(contact=contact):
            return Decision(before.model_copy(update={"last_contact_at": contact.occurred_at}))
        case StatusReported():
            if before.received_at is None:
                return Decision(before.model_copy(update={"reported": data}))
            return _reported(before, data)
        case _:
            return Decision(before)


def on_command(state: S | None, command: Resolve | Close, now: datetime) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    if state is None or state.received_at is None:
        return Refused(404, "No such complaint", "Escalation knows no complaint with this id. If it was just sent, try again in a moment.")
    match command:
        case Resolve():
            if state.status in ("resolved", "closed"):
                return Refused(409, "Already resolved", f"The complaint is {state.status}; only an open one can be resolved.")
            return _change(state, "resolved", now, by=command.by, resolution=command.resolution, remedy=command.remedy)
        case Close():
            if state.status == "closed":
                return Refused(409, "Already closed", "The complaint is closed.")
            if state.status != "resolved" and not command.reason:
                detail = f"The complaint is {state.status}: closing it without a resolution needs a `reason`."
                return Refused(409, "Not resolved", detail)
            return _change(state, "closed", now, by=command.by, reason=command.reason)


def _received(before: S, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    after = before.model_copy(update={"received_at": contact.received_at, **_facts_of(contact)})
    after, decision = _decide(after, at, policy, ComplaintReceived.TYPE)
    if before.reported is not None:
        reported = _reported(after.model_copy(update={"reported": None}), before.reported)
        return Decision(reported.state, (decision, *reported.events))
    return Decision(after, (decision,))


def _wrote_again(before: S, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    """A new contact can make things more serious, never less; and it reopens what was thought to be solved."""
    facts = _facts_of(contact)
    facts |= {
        "severity": max(before.severity, contact.severity),
        "tags": tuple(dict.fromkeys((*before.tags, *contact.tags))),
        "vulnerable": before.vulnerable or facts["vulnerable"],
        "category": before.category if contact.category == "other" else contact.category,
        "contact_preference": before.contact_preference if contact.customer.contact_preference == "any" else contact.customer.contact_preference,
        "channel": before.channel,
    }  # fmt: skip
    after = before.model_copy(update=facts)
    events: tuple[EventData, ...] = ()
    if after.status != "open":
        reopened = _change(after, "open", contact.occurred_at, by="customer", reason="the customer wrote again")
        after, events = reopened.state, reopened.events
    decided, decision = _decide(after, at, policy, ContactAdded.TYPE)
    if (decided.tier, decided.clocks, decided.remedy_authority) != (before.tier, before.clocks, before.remedy_authority):
        return Decision(decided, (*events, decision))
    return Decision(after, events)


def _reported(before: S, reported: StatusReported) -> Decision[S]:
    """What the contact centre says of its own record is a fact: it is followed, whatever the status here."""
    if reported.status == before.status:
        return Decision(before)
    by = f"contact-centre:{reported.source.instance}"
    return _change(before, reported.status, reported.occurred_at, by=by, reason=reported.reason)


def _change(before: S, status: Status, at: datetime, *, by: str, **why: Any) -> Decision[S]:
    changed = StatusChanged(status=status, previous=before.status, by=by, occurred_at=at, **why)
    resolved_at = at if status == "resolved" else None if status in ("open", "waiting") else before.resolved_at
    return Decision(before.model_copy(update={"status": status, "resolved_at": resolved_at}), (changed,))


def _decide(before: S, as_of: datetime, policy: Policy, trigger: str) -> tuple[S, DecisionMade]:
    """Apply the policy. The tier never falls and no deadline moves later by it: what was promised stands."""
    result = policy.decide(facts(before, as_of))
    outcome = result.outcome
    tier = max(outcome["tier"], before.tier or 0)
    started_at = before.received_at or as_of
    earlier = {clock.name: clock for clock in before.clocks}
    clocks = []
    for name, target in _CLOCKS:
        due_at = durations.add(started_at, durations.parse(outcome[target]), policy.calendar_zone)
        clock = Clock(name=name, target=outcome[target], started_at=started_at, due_at=due_at, zone=policy.calendar_zone)
        clocks.append(min(clock, earlier.get(name, clock), key=lambda c: c.due_at))
    decision = DecisionMade(
        tier=tier,
        previous_tier=before.tier,
        clocks=tuple(clocks),
        remedy_authority=outcome.get("remedy_authority", {}),
        guidance=result.guidance,
        policy=citation(policy, result),
        trigger=trigger,
        as_of=as_of,
    )
    update = {"tier": tier, "clocks": decision.clocks, "remedy_authority": decision.remedy_authority}
    return before.model_copy(update=update), decision


def facts(state: S, as_of: datetime) -> dict[str, Any]:
    """The facts of `complaint-facts/4`: no text, no identifiers."""
    complaint: dict[str, Any] = {
        "severity": state.severity,
        "category": state.category,
        "tags": list(state.tags),
        "status": state.status,
        "received_at": state.received_at or as_of,
        "last_contact_at": state.last_contact_at or as_of,
        "contact_preference": state.contact_preference,
        "channel": state.channel,
        "customer": {"vulnerable": state.vulnerable, "history": []},
    }
    if state.resolved_at is not None:
        complaint["resolved_at"] = state.resolved_at
    return {"as_of": as_of, "complaint": complaint}


def citation(policy: Policy, result: PolicyResult) -> PolicyCitation:
    """What a decision cites: enough to find the rules and to recompute it."""
    return PolicyCitation(
        id=policy.id, version=policy.version, digest=policy.digest, rules=result.rules, inputs=result.inputs, degraded=result.degraded
    )  # fmt: skip


def _facts_of(contact: Contact) -> dict[str, Any]:
    return {
        "last_contact_at": contact.received_at,
        "severity": contact.severity,
        "category": contact.category,
        "tags": contact.tags,
        "channel": contact.channel,
        "contact_preference": contact.customer.contact_preference,
        "vulnerable": bool(contact.customer.support_needs),
    }
