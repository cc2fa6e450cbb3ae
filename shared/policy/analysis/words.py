"""A complaint in plain words, and as a test for a document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.policy.facts import Fact, FactSchema
from shared.policy.tests_inside import SHORTHANDS, given_facts

_NEUTRAL_WORDS = "nothing special"


def in_words(schema: FactSchema, facts: Mapping[str, Any]) -> str:
    """What is special about the complaint: "severity 5, category billing, received_at 29 days before"."""
    told = [_told(path, value, facts["as_of"]) for path, value in unusual(schema, facts)]
    return ", ".join(told) or _NEUTRAL_WORDS


def unusual(schema: FactSchema, facts: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    """The facts that a neutral complaint of the same time does not have; None for one that is missing."""
    neutral, _ = given_facts({"as_of": facts["as_of"].isoformat()}, schema)
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, fact in schema.facts.items():
        if fact.kind == "message":
            _differing((name,), fact, facts[name], neutral[name], found)
    return found


def _differing(
    path: tuple[str, ...], message: Fact, given: Mapping[str, Any], neutral: Mapping[str, Any],
    found: list[tuple[tuple[str, ...], Any]],
) -> None:  # fmt: skip
    for name, fact in message.fields.items():
        place = (*path, name)
        if fact.kind == "message" and not fact.many:
            _differing(place, fact, given[name], neutral[name], found)
        elif given.get(name) != neutral.get(name):
            found.append((place, given.get(name)))


def _told(path: tuple[str, ...], value: Any, as_of: datetime) -> str:
    name = ".".join(path[1:])
    if value is None:
        return f"no {name}"
    if isinstance(value, bool):
        return name if value else f"not {name}"
    if isinstance(value, datetime):
        return f"{name} {_ago(as_of - value)}"
    if isinstance(value, list):
        return f"{name} [{', '.join(_entry(each, as_of) for each in value)}]"
    return f"{name} {value}"


def _entry(value: Any, as_of: datetime) -> str:
    if isinstance(value, Mapping):
        return " ".join(_ago(as_of - each) if isinstance(each, datetime) else str(each) for each in value.values())
    return str(value)


def _ago(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    if seconds == 0:
        return "now"
    amount, unit = next((abs(seconds) // size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{amount} {unit}{'' if amount == 1 else 's'} {'before' if seconds > 0 else 'later'}"


_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_SHORT = {"day": "d", "hour": "h", "minute": "m"}


def as_test(schema: FactSchema, facts: Mapping[str, Any], name: str, expect: str) -> str:
    """A test of a document, in YAML, that gives this complaint. `expect` is YAML, too."""
    given: dict[str, Any] = {}
    for path, value in unusual(schema, facts):
        if value is None:
            continue
        short = next((s for s, target in SHORTHANDS.items() if path == ("complaint", target)), None)
        if short is not None and (span := _span(facts["as_of"] - value)) is not None:
            given[short] = span
            continue
        into = given
        for step in path[:-1]:
            into = into.setdefault(step, {})
        into[path[-1]] = _plain(value)
    if any(isinstance(value, datetime) for _, value in unusual(schema, facts)):
        given = {"as_of": _plain(facts["as_of"]), **given}
    return f"- name: {_yaml(name)}\n  given: {_yaml(given)}\n  expect: {expect}"


def as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as `amends policy eval` takes them."""
    plain: dict[str, Any] = _plain(facts)
    return plain


def _span(ago: timedelta) -> str | None:
    seconds = ago.total_seconds()
    for size, unit in _UNITS:
        if unit in _SHORT and seconds >= 0 and seconds % size == 0:
            return f"{int(seconds // size)}{_SHORT[unit]}"
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _yaml(value: Any) -> str:
    """Flow style, quoted where YAML would read something else than text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, str) and not value.replace("_", "").isalnum():
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if not isinstance(value, str) else value
