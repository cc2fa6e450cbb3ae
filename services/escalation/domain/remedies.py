"""Remedies within authority: offers from the catalogue of the policy, never beyond a limit, whoever asks. Pure.

What an offer may hold is bounded by the catalogue (one offer, one complaint), by who makes it (authority), and, across
complaints, by what one customer may get: that sum is kept in a table and checked in the save (store.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.escalation.domain.teams import Teams
from shared.contracts.complaints import Money, Short
from shared.contracts.decision import Refused
from shared.contracts.escalations import (
    RemedyAccepted,
    RemedyAuthorised,
    RemedyCountered,
    RemedyOffered,
    RemedyOption,
    RemedyRefused,
    Stated,
)
from shared.frozen import dataclass, replace
from shared.policy import outcomes
from shared.policy.shape import Remedy

Catalogue = Mapping[str, Remedy]
Standing = Literal["asked", "open", "countered", "accepted", "refused"]
# Of these the customer may still get, or has got, the amount.
COUNTS: tuple[Standing, ...] = ("asked", "open", "countered", "accepted")


@dataclass(frozen=True, slots=True)
class Offer:
    """`asked`: it waits for somebody of `needs_tier`. `chosen`: the option that the customer took."""

    number: int
    options: tuple[RemedyOption, ...]
    standing: Standing
    by: str
    needs_tier: int | None = None
    chosen: int | None = None


@dataclass(frozen=True, slots=True)
class Remedies:
    offers: tuple[Offer, ...] = ()


class OfferRemedy(BaseModel):
    """What the customer may choose from: at least two options, one of them immediate where the catalogue has one.

    `reason`: why there is only one option, or why an amount is unlike what others got.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: Annotated[tuple[RemedyOption, ...], Field(min_length=1, max_length=10)]
    reason: Stated | None = None
    by: Short = ""


class AuthoriseOffer(BaseModel):
    """Somebody who may, allows an offer beyond the authority of who made it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer: int
    reason: Stated | None = None
    by: Short = ""


class CounterOffer(BaseModel):
    """The customer asks for something else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer: int
    asked: Stated
    by: Short = ""


class AcceptOffer(BaseModel):
    """The customer takes one of the options, counted from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer: int
    option: Annotated[int, Field(ge=1)] = 1
    by: Short = ""


class RefuseOffer(BaseModel):
    """The customer wants none of it; or we take it back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    offer: int
    reason: Stated | None = None
    by: Short = ""


Command = OfferRemedy | AuthoriseOffer | CounterOffer | AcceptOffer | RefuseOffer
Step = tuple[Remedies, RemedyOffered | RemedyAuthorised | RemedyCountered | RemedyAccepted | RemedyRefused]


def command(
    before: Remedies, given: Command, catalogue: Catalogue, authority: Mapping[str, str], teams: Teams, now: datetime
) -> Step | Refused:
    """What a command changes, or why it cannot be done."""
    if isinstance(given, OfferRemedy):
        return _offer(before, given, catalogue, authority, teams, now)
    offer = next((each for each in before.offers if each.number == given.offer), None)
    if offer is None:
        return Refused(404, "No such offer", f"There is no offer {given.offer}; this complaint has {len(before.offers)}.")
    match given:
        case AuthoriseOffer():
            return _authorise(before, offer, given, authority, teams, now)
        case CounterOffer():
            if offer.standing != "open":
                return _not(offer)
            event = RemedyCountered(offer=offer.number, asked=given.asked, by=given.by, at=now)
            return _with(before, replace(offer, standing="countered")), event
        case AcceptOffer():
            if offer.standing not in ("open", "countered"):
                return _not(offer)
            if given.option > len(offer.options):
                return Refused(409, "No such option", f"Offer {offer.number} has {len(offer.options)} options.")
            taken = RemedyAccepted(offer=offer.number, option=offer.options[given.option - 1], by=given.by, at=now)
            return _with(before, replace(offer, standing="accepted", chosen=given.option - 1)), taken
        case RefuseOffer():
            if offer.standing not in ("asked", "open", "countered"):
                return _not(offer)
            gone = RemedyRefused(offer=offer.number, reason=given.reason, by=given.by, at=now)
            return _with(before, replace(offer, standing="refused")), gone


def _offer(
    before: Remedies, given: OfferRemedy, catalogue: Catalogue, authority: Mapping[str, str], teams: Teams, now: datetime
) -> Step | Refused:
    if not catalogue:
        return Refused(409, "No remedies", "The policy in force has no catalogue of remedies (spec.remedies).")
    needs: int | None = None
    options: list[RemedyOption] = []
    for option in given.options:
        remedy = catalogue.get(option.remedy)
        if remedy is None:
            return Refused(409, "No such remedy", f"The catalogue has no '{option.remedy}': {', '.join(sorted(catalogue))}.")
        wrong = _beyond(before, option, remedy)
        if wrong:
            return Refused(409, "Beyond the limit", wrong)
        whole = beyond(before, option, authority)
        if whole is not None and not teams.may_grant(given.by, option.remedy, whole):
            tier = teams.tier_that_may(option.remedy, whole)
            if tier is None:
                return Refused(
                    409, "Beyond all authority", f"{option.remedy} of {_shown(whole)}: nobody in the directory may grant so much."
                )
            needs = max(needs or 0, tier)
        options.append(option.model_copy(update={"immediate": remedy.immediate}))
    alone = _too_few(options, catalogue)
    if alone and not given.reason:
        return Refused(409, "More options", f"{alone} Or say in `reason` why this is all.")
    number = len(before.offers) + 1
    offer = Offer(number, tuple(options), "open" if needs is None else "asked", given.by, needs)
    event = RemedyOffered(
        offer=number, options=offer.options, needs_tier=needs, reason=given.reason, by=given.by, at=now
    )
    return Remedies((*before.offers, offer)), event


def beyond(before: Remedies, option: RemedyOption, authority: Mapping[str, str], but: int = 0) -> Money | None:
    """What the complaint would get of the option's remedy in all (its offers that stand, except `but`, and this option), if
    that is more than whoever has the complaint may grant; else None. So nobody grants more by granting it in parts."""
    if option.amount is None:
        return None
    amount, currency = option.amount.amount, option.amount.currency
    whole = Money(amount=granted(before, option.remedy, currency, but) + amount, currency=currency)
    return None if _within(authority.get(option.remedy), whole) else whole


def _too_few(options: list[RemedyOption], catalogue: Catalogue) -> str:
    if len({(option.remedy, option.amount) for option in options}) < 2 <= len(catalogue):
        return "Offer at least two options that differ."
    if any(remedy.immediate for remedy in catalogue.values()) and not any(option.immediate for option in options):
        names = ", ".join(sorted(name for name, remedy in catalogue.items() if remedy.immediate))
        return f"Offer one that the customer has at once ({names})."
    return ""


def _authorise(
    before: Remedies, offer: Offer, given: AuthoriseOffer, authority: Mapping[str, str], teams: Teams, now: datetime
) -> Step | Refused:
    if offer.standing != "asked" or offer.needs_tier is None:
        return _not(offer)
    for option in offer.options:
        whole = beyond(before, option, authority, offer.number)
        if whole is not None and not teams.may_grant(given.by, option.remedy, whole):
            may = ", ".join(teams.who_may(option.remedy, whole)) or "nobody"
            return Refused(
                403, "Not within your authority", f"{given.by} may not grant {option.remedy} of {_shown(whole)}; who may: {may}."
            )
    if given.by == offer.by:
        return Refused(403, "Not by yourself", "Somebody else than who made the offer authorises it.")
    event = RemedyAuthorised(offer=offer.number, by=given.by, reason=given.reason, at=now)
    return _with(before, replace(offer, standing="open")), event


def _beyond(before: Remedies, option: RemedyOption, remedy: Remedy) -> str:
    """Which limit of the catalogue an option breaks, if any. What one customer may get is checked in the save."""
    limits = (remedy.limit, remedy.per_complaint, remedy.per_customer and remedy.per_customer.amount)
    if option.amount is None:
        most = next((each for each in limits if each), None)
        return f"{option.remedy}: say its `amount`, for it is limited ({most})." if most else ""
    if option.amount.amount <= 0:
        return f"{option.remedy}: the amount must be more than 0."
    currency = next((outcomes.money(each).currency for each in limits if each), option.amount.currency)
    if currency != option.amount.currency:
        return f"{option.remedy}: the catalogue has it in {currency}, not in {option.amount.currency}."
    for limit, already, what in (
        (remedy.limit, Decimal(0), "one offer"),
        (remedy.per_complaint, granted(before, option.remedy, currency), "one complaint"),
    ):
        if limit is not None and already + option.amount.amount > outcomes.money(limit).amount:
            used = f", of which {already:f} {currency} are offered already" if already else ""
            return f"{option.remedy}: {what} may get {outcomes.money(limit)}{used}."
    return ""


def granted(before: Remedies, remedy: str, currency: str, but: int = 0) -> Decimal:
    """What the complaint's offers hold of a remedy: each offer's option counts once, a taken one alone; `but` not."""
    total = Decimal(0)
    for offer in before.offers:
        if offer.standing not in COUNTS or offer.number == but:
            continue
        options = offer.options if offer.chosen is None else offer.options[offer.chosen : offer.chosen + 1]
        total += max(
            (o.amount.amount for o in options if o.remedy == remedy and o.amount and o.amount.currency == currency),
            default=Decimal(0),
        )
    return total


def _within(authority: str | None, amount: Money) -> bool:
    if authority is None:
        return False
    most = outcomes.money(authority)
    return most.currency == amount.currency and amount.amount <= most.amount


def _with(before: Remedies, offer: Offer) -> Remedies:
    return Remedies(tuple([offer if each.number == offer.number else each for each in before.offers]))


def _not(offer: Offer) -> Refused:
    said = {"asked": "waits to be authorised", "open": "is open", "countered": "was countered"}
    return Refused(409, "Not now", f"Offer {offer.number} {said.get(offer.standing, f'is {offer.standing}')}.")


def told(before: Remedies) -> tuple[str, ...]:
    """The offers for a person to read."""
    return tuple([
        f"{offer.number}: {', '.join(_option(option) for option in offer.options)} ({offer.standing})" for offer in before.offers
    ])


def _option(option: RemedyOption) -> str:
    return option.remedy if option.amount is None else f"{option.remedy} {_shown(option.amount)}"


def _shown(amount: Money) -> str:
    return f"{amount.amount:f} {amount.currency}"
