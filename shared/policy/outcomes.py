"""What a policy can decide: one typed table per kind of document, and how values are read and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from shared.calendar import durations
from shared.policy.language.tree import Type
from shared.policy.problems import did_you_mean

Aggregation = Literal["MAX", "MIN"]

_MONEY = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})? ([A-Z]{3})", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class ValueRefused(ValueError):
    """The value does not fit the outcome. The message says what would."""

# Facts about a remedy that can be proved by a system of the company, a carrier or a person.
VERIFIABLE = (
    "refund_booked", "credit_booked", "payment_sent", "parcel_delivered", "repair_done", "callback_made",
    "account_corrected",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that a rule can set. `money`: amounts by remedy, as "500 GBP"; `words`: a list of free words."""

    kind: Literal["int", "duration", "word", "words", "money"]
    doc: str
    values: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 0
    required: bool = False

    def read(self, value: Any) -> Any:
        """The value in its canonical form. Raises ValueRefused."""
        match self.kind:
            case "int":
                return self._whole(value)
            case "duration":
                return str(_duration(value))
            case "word":
                return self._word(value)
            case "words":
                if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                    raise ValueRefused("must be a list of words, such as [ombudsman_leaflet]")
                return list(value)
            case "money":
                return self._amounts(value)

    def rank(self, value: Any) -> Any:
        """What MAX and MIN compare. Durations of unlike units compare by nominal length, a day being 24 hours."""
        return durations.parse(value).length_s if self.kind == "duration" else value

    def type(self) -> Type | None:
        """The type that an invariant sees, None if invariants cannot name it."""
        kinds: dict[str, Type] = {"int": Type("int"), "duration": Type("duration"), "word": Type("string")}
        return kinds.get(self.kind)

    def _whole(self, value: Any) -> int:
        if type(value) is not int or not self.minimum <= value <= self.maximum:
            raise ValueRefused(f"must be a whole number from {self.minimum} to {self.maximum}, not {_shown(value)}")
        return value

    def _word(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueRefused(f"must be one of {', '.join(self.values)}, not {_shown(value)}")
        if value not in self.values:
            raise ValueRefused(f"'{value}' is not one of {', '.join(self.values)}{did_you_mean(value, self.values)}")
        return value

    def _amounts(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not value:
            raise ValueRefused("must name remedies and their limits, such as {goodwill_payment: 500 GBP}")
        for name in value:
            if not _NAME.fullmatch(name):
                raise ValueRefused(f"'{name[:64]}' is not a name of a remedy; use small letters, digits and _")
        return {name: str(money(amount)) for name, amount in value.items()}


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def money(value: Any) -> Money:
    """Read "500 GBP" or {amount: 500, currency: GBP}. Raises ValueRefused."""
    if isinstance(value, dict) and set(value) == {"amount", "currency"}:
        value = f"{value['amount']} {value['currency']}"
    found = _MONEY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueRefused(f"{_shown(value)} is not an amount of money; write it with its currency, such as 500 GBP")
    return Money(Decimal(found[1] + (found[2] or "")), found[3])


def _duration(value: Any) -> durations.Duration:
    if not isinstance(value, str):
        raise ValueRefused(f"must be a duration such as 4h, 30m or 10d, not {_shown(value)}")
    try:
        return durations.parse(value)
    except durations.DurationRefused as error:
        raise ValueRefused(str(error)) from None


def _shown(value: Any) -> str:
    """The value as it stands in YAML, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else f"'{str(value)[:40]}'"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document: the service that runs it, and what it can decide."""

    service: str
    outcomes: Mapping[str, Outcome]


KINDS: dict[str, Kind] = {
    "EscalationPolicy": Kind(
        "escalation",
        {
            "tier": Outcome("int", "Who deals with it: 1 is the front line.", minimum=1, maximum=9, required=True),
            "acknowledge_within": Outcome("duration", "The complaint is acknowledged by then."),
            "final_response_within": Outcome("duration", "The final response is sent by then."),
            "remedy_authority": Outcome("money", "What a handler may offer without asking, per remedy."),
        },
    ),
    "FollowUpPolicy": Kind(
        "followup",
        {
            "action": Outcome(
                "word",
                "What to plan.",
                values=("none", "progress_update", "holding_response", "satisfaction_survey"),
                required=True,
            ),
            "after": Outcome("duration", "How long from now, once."),
            "every": Outcome("duration", "How often, counted from the last contact."),
            "max_contacts": Outcome("int", "At most so many of these contacts.", minimum=1, maximum=100),
            "channel": Outcome(
                "word", "How to reach the customer.", values=("preferred", "email", "phone", "sms", "post")
            ),
            "enclose": Outcome("words", "What to send along."),
            "verify": Outcome("word", "The fact to verify before the customer is asked.", values=("none", *VERIFIABLE)),
            "verify_after": Outcome("duration", "How long after the resolution the fact is looked for."),
            "again_after": Outcome("duration", "Without an answer: ask again, and then give up, after this long each."),
            "per_week": Outcome("int", "At most so many messages of any kind in seven days.", minimum=1, maximum=100),
            "from_hour": Outcome("int", "Messages come from this hour on, where the customer is.", maximum=23),
            "until_hour": Outcome("int", "... and before this hour.", minimum=1, maximum=24),
            "on_yes": Outcome("word", "What to say when it is solved.", values=("nothing", "thank", "ask_for_review")),
        },
    ),
}
