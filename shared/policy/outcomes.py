"""What policies can decide: the types of outcomes, and how their values are read and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from shared.calendar.durations import Duration, DurationRefused
from shared.policy import targets
from shared.policy.language.tree import Type
from shared.policy.problems import did_you_mean

_MONEY = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})? ([A-Z]{3})", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class ValueRefused(ValueError):
    """The value does not fit the outcome. The message says what would."""

    def about(self, name: str) -> str:
        """The message with the name of the outcome before it."""
        return f"{name} {self}" if str(self).startswith("must") else f"{name}: {self}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that a rule can set.

    `word` is one of `values`; `name` is a name that the organisation chose. `words` are several names: what several
    rules set is put together. `money` holds amounts by remedy, as "500 GBP", and the greatest of each remedy wins;
    `clocks` holds targets by clock, as "8w", and the soonest of each clock wins.
    """

    kind: Literal["int", "duration", "word", "name", "words", "money", "clocks"]
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
                return str(_target(value))
            case "word":
                return self._word(value)
            case "name":
                return _name(value)
            case "words":
                return self._words(value)
            case "money":
                return {name: str(money(each)) for name, each in _by_name(value, "{goodwill_payment: 500 GBP}").items()}
            case "clocks":
                return {
                    name: str(_target(each)) for name, each in _by_name(value, "{final_response_legal: 8w}").items()
                }

    @property
    def keyed(self) -> bool:
        """Whether it holds a value for each of several names, which are aggregated name by name."""
        return self.kind in ("money", "clocks")

    @property
    def ordered(self) -> bool:
        """Whether one value is greater than another."""
        return self.kind in ("int", "duration")

    def type(self) -> Type | None:
        """The type that an invariant sees, None if invariants cannot name it."""
        kinds: dict[str, Type] = {
            "int": Type("int"),
            "duration": Type("duration"),
            "word": Type("string"),
            "name": Type("string"),
            "words": Type("list", of=Type("string")),
        }
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

    def _words(self, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueRefused(f"must be a list of words, such as [{self.values[0] if self.values else 'leaflet'}]")
        return sorted({self._word(each) if self.values else _name(each) for each in value})


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueRefused(f"must be a name of small letters, digits and _, not {_shown(value)}")
    return value


def _by_name(value: Any, example: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ValueRefused(f"must hold names and values, such as {example}")
    for name in value:
        if not _NAME.fullmatch(name):
            raise ValueRefused(f"'{name[:64]}' is not a name; use small letters, digits and _")
    return value


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


def _target(value: Any) -> Duration:
    if not isinstance(value, str):
        raise ValueRefused(f"must be a duration such as 4h, 10d, 8w or 3bd, not {_shown(value)}")
    try:
        return targets.parse(value)
    except DurationRefused as error:
        raise ValueRefused(str(error)) from None


def _shown(value: Any) -> str:
    """The value as it stands in YAML, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else f"'{str(value)[:40]}'"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document: the service that runs it, what it can decide, and what it is for."""

    service: str
    outcomes: Mapping[str, Outcome]
    doc: str
