"""Who deals with a complaint, by when, and where it stands. Pure: state, input and policy in; state and events out.

Each part decides about its own piece of the state and knows nothing of the others: `status`, `tiers`, `clocks`. Here
stands what an input means to all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from services.escalation.domain import clocks, status, tiers
from services.escalation.domain.clocks import Clocks
from services.escalation.domain.status import Close, Reports, Resolve
from services.escalation.domain.tiers import Tiers
from shared.contracts.complaints import ComplaintReceived, Contact, ContactAdded, ReplySent, StatusReported
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import EventData
from shared.contracts.escalations import DecisionMade, StatusChanged
from shared.policy.complaint import ComplaintFacts, citation
from shared.policy.evaluate import Policy

__all__ = ["Close", "Command", "EscalationState", "Resolve", "on_command", "on_event"]

Command = Resolve | Close


@dataclass(frozen=True, slots=True)
class EscalationState:
    """What escalation knows and has decided of a complaint: one part for each module of the domain."""

    facts: ComplaintFacts = field(default_factory=ComplaintFacts)
    reports: Reports = field(default_factory=Reports)
    tiers: Tiers = field(default_factory=Tiers)
    clocks: Clocks = field(default_factory=Clocks)


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
            if before.facts.received_at is None:
                return Decision(replace(before, reports=status.keep(before.reports, data)))
            return _reported(before, data)
        case _:
            return Decision(before)


def on_command(state: S | None, command: Command, now: datetime) -> Decision[S] | Refused:
    """What a person's command changes, or why it cannot be done."""
    if state is None or state.facts.received_at is None:
        detail = "Escalation knows no complaint with this id. If it was just sent, try again in a moment."
        return Refused(404, "No such complaint", detail)
    match command:
        case Resolve() | Close():
            changed = status.command(state.facts, command, now)
            return changed if isinstance(changed, Refused) else Decision(_changed(state, changed), (changed,))


def _received(before: S, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    early = before.reports.early
    known = replace(before, facts=before.facts.after_contact(contact), reports=replace(before.reports, early=None))
    after, decision = _decide(known, at, policy, ComplaintReceived.TYPE)
    if early is None:
        return Decision(after, (decision,))
    reported = _reported(after, early)
    return Decision(reported.state, (decision, *reported.events))


def _wrote_again(before: S, contact: Contact, at: datetime, policy: Policy) -> Decision[S]:
    """A new contact may raise the tier; and it reopens what was thought to be solved."""
    after = replace(before, facts=before.facts.after_contact(contact))
    events: tuple[EventData, ...] = ()
    if after.facts.status != "open":
        reason = "the customer wrote again"
        reopened = status.change(after.facts, "open", contact.occurred_at, by="customer", reason=reason)
        after, events = _changed(after, reopened), (reopened,)
    decided, decision = _decide(after, at, policy, ContactAdded.TYPE)
    if (decided.tiers, decided.clocks) != (before.tiers, before.clocks):
        return Decision(decided, (*events, decision))
    return Decision(after, events)


def _reported(before: S, data: StatusReported) -> Decision[S]:
    reports, changed = status.report(before.facts, before.reports, data)
    after = replace(before, reports=reports)
    return Decision(after) if changed is None else Decision(_changed(after, changed), (changed,))


def _changed(before: S, changed: StatusChanged) -> S:
    return replace(before, facts=before.facts.after_status(changed.status, changed.occurred_at))


def _decide(before: S, as_of: datetime, policy: Policy, trigger: str) -> tuple[S, DecisionMade]:
    """Apply the policy: tier and clocks by its outcome."""
    result = policy.decide(before.facts.as_of(as_of))
    started_at = before.facts.received_at or as_of
    decided = replace(
        before,
        tiers=tiers.decided(before.tiers, result.outcome),
        clocks=clocks.decided(before.clocks, result.outcome, started_at, policy.calendar_zone),
    )
    decision = DecisionMade(
        tier=decided.tiers.tier or 1,
        previous_tier=before.tiers.tier,
        clocks=decided.clocks.clocks,
        remedy_authority=decided.tiers.remedy_authority,
        guidance=result.guidance,
        policy=citation(policy, result),
        trigger=trigger,
        as_of=as_of,
    )
    return decided, decision
