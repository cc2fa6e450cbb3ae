"""Facts as JSON: read and checked against the schema, for the command line and for tests inside documents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.policy.facts import Fact, FactSchema
from shared.policy.problems import did_you_mean


class FactsRefused(ValueError):
    """The facts do not fit the schema. The message names the path."""


def read_facts(schema: FactSchema, given: Any) -> tuple[dict[str, Any], list[str]]:
    """Facts from decoded JSON, and what looks wrong in them.

    Nothing is refused but a value that is no object: a fact that is unknown is left out, one of another type is kept as
    it is, so that the decision is the one that a service would make. Raises FactsRefused.
    """
    if not isinstance(given, dict):
        raise FactsRefused('facts must be an object such as {"as_of": "2026-03-02T09:00:00Z", "complaint": {...}}')
    warnings: list[str] = []
    return _message("", schema.facts, given, warnings), warnings


def _message(prefix: str, fields: Mapping[str, Fact], given: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in given.items():
        fact = fields.get(name)
        if fact is None:
            warnings.append(f"there is no fact '{prefix}{name}'{did_you_mean(name, fields)}")
        elif value is not None:
            read[name] = _kept(prefix + name, fact, value, warnings)
    return read


def _kept(path: str, fact: Fact, value: Any, warnings: list[str]) -> Any:
    if fact.kind == "message" and fact.many and isinstance(value, list):
        one = replace(fact, many=False)
        return [_kept(f"{path}[{index}]", one, each, warnings) for index, each in enumerate(value)]
    if fact.kind == "message" and not fact.many and isinstance(value, dict):
        return _message(f"{path}.", fact.fields, value, warnings)
    try:
        return read_value(path, fact, value)
    except FactsRefused as refused:
        warnings.append(str(refused))
        return value


def read_value(path: str, fact: Fact, value: Any) -> Any:
    """One value (not a message) in the form that conditions work on. Raises FactsRefused."""
    if fact.many:
        if not isinstance(value, list):
            raise FactsRefused(f"{path} must be a list")
        if len(value) > fact.at_most:
            raise FactsRefused(f"{path} has more than {fact.at_most} entries")
        return [_one(f"{path}[{index}]", fact, each) for index, each in enumerate(value)]
    return _one(path, fact, value)


def _one(path: str, fact: Fact, value: Any) -> Any:
    match fact.kind:
        case "message":
            raise FactsRefused(f"{path} must be an object")
        case "int":
            return _whole(path, fact, value)
        case "bool":
            if not isinstance(value, bool):
                raise FactsRefused(f"{path} must be true or false")
            return value
        case "double":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise FactsRefused(f"{path} must be a number")
            return float(value)
        case "timestamp":
            return _instant(path, value)
        case "string":
            if not isinstance(value, str):
                raise FactsRefused(f"{path} must be text")
            if fact.values and not fact.open and value not in fact.values:
                raise FactsRefused(f"'{value[:40]}' is not a value of {path} ({', '.join(fact.values)})"
                                   f"{did_you_mean(value, fact.values)}")  # fmt: skip
            return value


def _whole(path: str, fact: Fact, value: Any) -> int:
    low = fact.minimum if fact.minimum is not None else -(2**63)
    high = fact.maximum if fact.maximum is not None else 2**63 - 1
    if type(value) is not int or not low <= value <= high:
        raise FactsRefused(f"{path} must be a whole number from {low} to {high}")
    return value


def _instant(path: str, value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise FactsRefused(f"{path} must be a time such as 2026-03-02T09:00:00Z") from None
    if instant.tzinfo is None:
        raise FactsRefused(f"{path} has no zone: add Z or an offset, as in 2026-03-02T09:00:00Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise FactsRefused(f"{path} is before the year 1 or after 9999") from None
