"""What a hand-off must carry, kept as it comes in: what it is about, what was tried, promised and offered. Pure."""

from __future__ import annotations

from shared.contracts.complaints import Contact
from shared.contracts.envelope import EventData
from shared.contracts.escalations import Deadline, DecisionMade, HandOffPackage, OpenPromise, StatusChanged
from shared.contracts.followups import PromiseBroken, PromiseKept, PromiseMade, PromiseWithdrawn
from shared.frozen import dataclass, replace
from shared.policy.complaint import ComplaintFacts

# The customer has corrected our list of what it is about: it takes the place of the one before.
CORRECTION = "correction"
MOST = 10
SHORT = 300


@dataclass(frozen=True, slots=True)
class Case:
    """`words`: the customer's own words are here (a call or a webhook may come without). No names, no addresses.

    `source_instance`, `source_record`: the contact centre's record that the complaint began with.
    """

    words: bool = False
    issues: tuple[str, ...] = ()
    wanted: str | None = None
    needs: tuple[str, ...] = ()
    heat: str | None = None
    known: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    promises: tuple[OpenPromise, ...] = ()
    guidance: tuple[str, ...] = ()
    customer: str | None = None
    source_instance: str | None = None
    source_record: str | None = None
    language: str | None = None


def after_contact(case: Case, contact: Contact) -> Case:
    """With what a contact of the customer says."""
    customer = contact.customer
    stated = [each for each in (contact.issue, contact.product) if each]
    reading = contact.reading
    issues = tuple(issue.text for issue in reading.issues) if reading is not None else ()
    earlier = () if CORRECTION in contact.tags else case.issues
    new = [each[:SHORT] for each in (issues or stated) if each[:SHORT] not in earlier]
    known = [
        name
        for name, value in (
            ("name", customer.name), ("e-mail", customer.emails), ("phone", customer.phones), ("product", contact.product),
            ("when it happened", contact.incident_at), ("amount claimed", contact.money_claimed),
        )
        if value and name not in case.known
    ]  # fmt: skip
    asked: tuple[str, ...] = ()
    if reading is not None:
        asked = (*reading.wanted, "somebody above") if reading.escalation else reading.wanted
    wanted = contact.remedy_sought or ", ".join(asked)
    return replace(
        case,
        words=case.words or (bool(contact.text.strip()) and contact.text_status != "pending_fetch"),
        issues=(*earlier, *new)[:MOST],
        wanted=wanted[:SHORT] if wanted else case.wanted,
        needs=tuple(dict.fromkeys((*case.needs, *customer.support_needs))),
        heat=(reading.heat if reading is not None else None) or case.heat,
        known=(*case.known, *known),
        customer=case.customer or customer.ref or next(iter(customer.emails), None),
        source_instance=case.source_instance or contact.source.instance,
        source_record=case.source_record or contact.source.record_id,
        language=case.language or (reading.language if reading is not None else contact.language),
    )


def after_event(case: Case, data: EventData) -> Case:
    """With what happened besides: promises, resolutions that were tried, guidance of the policy."""
    match data:
        case PromiseMade():
            kept = [each for each in case.promises if each.promise != data.promise]
            made = OpenPromise(promise=data.promise, what=data.what[:SHORT], due_at=data.due_at)
            return replace(case, promises=(*kept, made)[-MOST:])
        case PromiseKept() | PromiseBroken() | PromiseWithdrawn():
            return replace(case, promises=tuple([each for each in case.promises if each.promise != data.promise]))
        case StatusChanged(status="resolved") if data.resolution:
            return replace(case, tried=(*case.tried, data.resolution[:SHORT])[-MOST:])
        case DecisionMade():
            return replace(case, guidance=data.guidance)
        case _:
            return case


def missing(case: Case) -> tuple[str, ...]:
    """What a package still lacks. Only what can still come: a text that is to be fetched."""
    return () if case.words else ("the customer's words",)


def package(facts: ComplaintFacts, case: Case, offers: tuple[str, ...], clocks: tuple[Deadline, ...]) -> HandOffPackage:
    """All of it, for the next person."""
    if facts.received_at is None:
        raise TypeError("a complaint that was not received cannot be handed off")
    return HandOffPackage(
        category=facts.category,
        severity=facts.severity,
        channel=facts.channel,
        received_at=facts.received_at,
        issues=case.issues,
        wanted=case.wanted,
        support_needs=case.needs,
        heat=case.heat,
        tags=facts.tags,
        tried=case.tried,
        offers=offers,
        promises=case.promises,
        clocks=clocks,
        guidance=case.guidance,
        known=case.known,
        missing=missing(case),
    )
