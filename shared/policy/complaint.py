"""The facts of a complaint (`complaint-facts/4`) as services fold them from events, and what a decision cites."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import AwareDatetime

from shared.contracts.complaints import ComplaintReceived, Contact, PolicyCitation
from shared.contracts.envelope import EventData
from shared.contracts.escalations import (
    ClockMissed,
    ClocksMet,
    Deadline,
    Escalated,
    HandOffAccepted,
    HandOffLapsed,
    LimitExtended,
    Status,
    StatusChanged,
)
from shared.contracts.followups import PromiseBroken
from shared.frozen import dataclass, replace
from shared.policy.evaluate import Policy, PolicyResult
from shared.policy.remedies import remedy_kind

# Facts that may be missing: they are there only where they are known.
_WHERE_KNOWN = ("resolved_at", "remedy", "source", "product", "amount_claimed", "currency", "heat")
# Lists, counts and flags that are left out while there is nothing to say.
_WHERE_SOME = ("reopened", "broken_promises", "lapsed_handoffs", "escalation_requested")
_WHERE_ANY = ("wanted", "missed_clocks", "extensions")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier complaint of the same customer."""

    category: str
    opened_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class ComplaintFacts:
    """What conditions can read about a complaint: no text and no identifiers of the customer. Times are UTC."""

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
    remedy: str | None = None
    support_needs: tuple[str, ...] = ()
    country: str | None = None
    source: str | None = None
    product: str | None = None
    amount_claimed: float | None = None
    currency: str | None = None
    reopened: int = 0
    history: tuple[Earlier, ...] = ()
    heat: str | None = None
    wanted: tuple[str, ...] = ()
    escalation_requested: bool = False
    missed_clocks: tuple[str, ...] = ()
    broken_promises: int = 0
    lapsed_handoffs: int = 0
    extensions: tuple[str, ...] = ()

    def after_receipt(self, data: ComplaintReceived) -> Self:
        """With the first contact, and what the customer complained of before."""
        known = self.after_contact(data.contact)
        if not data.history:
            return known
        return replace(known, history=tuple([Earlier(each.category, each.opened_at) for each in data.history]))

    def after_contact(self, contact: Contact) -> Self:
        """With what a contact of the customer says. A later one can make things more serious, never less."""
        preference, needs, claimed = (
            contact.customer.contact_preference,
            contact.customer.support_needs,
            contact.money_claimed,
        )
        if claimed is None:
            amount, currency = self.amount_claimed, self.currency
        else:
            amount, currency = float(claimed.amount), claimed.currency
        reading = contact.reading
        asked = reading.wanted if reading is not None else ()
        return replace(
            self,
            received_at=self.received_at or contact.received_at,
            last_contact_at=contact.received_at,
            severity=max(self.severity, contact.severity),
            category=self.category if contact.category == "other" else contact.category,
            tags=tuple(dict.fromkeys((*self.tags, *contact.tags))) if self.tags else contact.tags,
            channel=self.channel if self.received_at else contact.channel,
            contact_preference=self.contact_preference if preference == "any" else preference,
            vulnerable=self.vulnerable or bool(needs),
            support_needs=tuple(dict.fromkeys((*self.support_needs, *needs))) if self.support_needs else needs,
            country=contact.customer.country or self.country,
            source=self.source or contact.source.instance,
            product=contact.product or self.product,
            amount_claimed=amount,
            currency=currency,
            heat=self.heat if reading is None else reading.heat,
            wanted=tuple(dict.fromkeys((*self.wanted, *asked))) if self.wanted else asked,
            escalation_requested=self.escalation_requested or (reading is not None and reading.escalation),
        )

    def after_reply(self, at: datetime) -> Self:
        """With the fact that the customer heard from us."""
        return replace(self, last_contact_at=at)

    def after_status(self, changed: StatusChanged) -> Self:
        """With a new status. Reopened means open again with the same clocks, and resolved no longer."""
        status, at = changed.status, changed.occurred_at
        resolved_at = at if status == "resolved" else self.resolved_at if status == "closed" else None
        again = status == "open" and self.status in ("resolved", "closed")
        remedy = self.remedy
        if status == "resolved":
            remedy = remedy_kind(changed.remedy) if changed.remedy else None
        return replace(self, status=status, resolved_at=resolved_at, reopened=self.reopened + again, remedy=remedy)

    def after(self, data: EventData) -> Self:
        """With what was missed, broken, left unanswered, asked for or extended. Other events change nothing."""
        match data:
            case ClockMissed(deadline=deadline):
                return replace(self, missed_clocks=(*self._not_missed(deadline), deadline.key))
            case ClocksMet(clocks=met):
                facts = self
                for each in met:
                    if each.after_miss and not each.late:  # it was met in time: the miss is withdrawn
                        facts = replace(facts, missed_clocks=facts._not_missed(each.deadline))
                return facts
            case PromiseBroken():
                return replace(self, broken_promises=self.broken_promises + 1)
            case HandOffLapsed():
                return replace(self, lapsed_handoffs=self.lapsed_handoffs + 1)
            case HandOffAccepted() if self.lapsed_handoffs:
                return replace(self, lapsed_handoffs=0)
            case Escalated(cause="request"):
                return replace(self, escalation_requested=True)
            case LimitExtended(extension=name):
                return replace(self, extensions=(*self.extensions, name))
            case _:
                return self

    def _not_missed(self, deadline: Deadline) -> tuple[str, ...]:
        return tuple([each for each in self.missed_clocks if each != deadline.key])

    def as_of(self, time: datetime) -> dict[str, Any]:
        """In the form that policies take, for a decision at `time`."""
        complaint: dict[str, Any] = {
            "severity": self.severity,
            "category": self.category,
            "tags": list(self.tags),
            "status": self.status,
            "received_at": self.received_at or time,
            "last_contact_at": self.last_contact_at or time,
            "contact_preference": self.contact_preference,
            "channel": self.channel,
            "customer": {
                "vulnerable": self.vulnerable,
                "history": [{"category": each.category, "opened_at": each.opened_at} for each in self.history],
            },
        }
        for name in _WHERE_KNOWN:
            if (value := getattr(self, name)) is not None:
                complaint[name] = value
        for name in _WHERE_SOME:
            if value := getattr(self, name):
                complaint[name] = value
        for name in _WHERE_ANY:
            if value := getattr(self, name):
                complaint[name] = list(value)
        if self.support_needs:
            complaint["customer"]["support_needs"] = list(self.support_needs)
        if self.country is not None:
            complaint["customer"]["country"] = self.country
        return {"as_of": time, "complaint": complaint}


def citation(policy: Policy, result: PolicyResult, *, facts: bool = True) -> PolicyCitation:
    """What a decision cites: enough to find the rules and to recompute it. Without `facts` where another one holds them."""
    return PolicyCitation(
        id=policy.id, version=policy.version, digest=policy.digest, rules=result.rules, inputs=result.inputs,
        degraded=result.degraded, activation=policy.activation, late=policy.late or None, policy_lag=policy.lag or None,
        facts=dict(result.facts) if facts else None, outcome=result.outcome,
    )  # fmt: skip
