"""The facts of a complaint (`complaint-facts/4`) as services fold them from events, and what a decision cites."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import AwareDatetime

from shared.contracts.complaints import Contact, PolicyCitation
from shared.contracts.escalations import Status
from shared.frozen import dataclass, replace
from shared.policy.evaluate import Policy, PolicyResult

# Facts that may be missing: they are there only where they are known.
_WHERE_KNOWN = ("resolved_at", "remedy", "source", "product", "amount_claimed", "currency")


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
        )

    def after_reply(self, at: datetime) -> Self:
        """With the fact that the customer heard from us."""
        return replace(self, last_contact_at=at)

    def after_status(self, status: Status, at: datetime) -> Self:
        """With a new status. Reopened means open again with the same clocks, and resolved no longer."""
        resolved_at = at if status == "resolved" else self.resolved_at if status == "closed" else None
        again = status == "open" and self.status in ("resolved", "closed")
        return replace(self, status=status, resolved_at=resolved_at, reopened=self.reopened + again)

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
            "customer": {"vulnerable": self.vulnerable, "history": []},
        }
        for name in _WHERE_KNOWN:
            if (value := getattr(self, name)) is not None:
                complaint[name] = value
        if self.reopened:
            complaint["reopened"] = self.reopened
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
