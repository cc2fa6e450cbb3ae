"""A recorded decision as a line of JSON: the form in which backtests take history, from a file or from the ledger.

{"complaint": "any reference", "decided_at": "2026-03-02T12:00:00Z", "version": 12, "open": true,
 "facts": {"as_of": ..., "complaint": {...}}, "outcome": {"tier": 1, ...}, "rules": ["ESC-010"], "degraded": false}

`facts` and `outcome` are as the decision's citation records them. `open`: the complaint is still open, so that what was
told to the customer still counts; it is true where it is missing. Other keys are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.policy.facts import Fact, FactSchema

Facts = dict[str, Any]


class RecordRefused(ValueError):
    """The line is not a recorded decision. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision. `facts` in the form that policies take; `hour` is the UTC hour of the decision ("2026-03-02T12")."""

    complaint: str
    decided_at: str
    hour: str
    facts: Facts
    outcome: Mapping[str, Any] | None
    open: bool


def line(
    *, complaint: str, decided_at: datetime, version: int, facts: Mapping[str, Any], outcome: Mapping[str, Any],
    open: bool, rules: tuple[str, ...] = (), degraded: bool = False,
) -> bytes:  # fmt: skip
    """A recorded decision as a line, newline included. `facts` may hold datetimes or their texts."""
    return orjson.dumps(
        {
            "complaint": complaint, "decided_at": decided_at, "version": version, "open": open, "facts": facts,
            "outcome": outcome, "rules": rules, "degraded": degraded,
        },
        option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z,
    )  # fmt: skip


def reader(schema: FactSchema) -> Callable[[bytes], Recorded]:
    """A function that reads a line. It raises RecordRefused."""
    instants, nested = _instants(schema)

    def read(text: bytes) -> Recorded:
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise RecordRefused("not JSON") from None
        if not isinstance(given, dict) or not isinstance(facts := given.get("facts"), dict):
            raise RecordRefused('not a recorded decision: it has no "facts"')
        try:
            _convert(facts, instants, nested)
            decided_at = given.get("decided_at") or facts["as_of"].isoformat()
            hour = decided_at[:13] if decided_at.endswith("Z") else _hour(decided_at)
            outcome = given.get("outcome")
            if outcome is not None and not isinstance(outcome, dict):
                raise RecordRefused('its "outcome" is not an object')
            return Recorded(
                str(given.get("complaint", "")), decided_at, hour, facts, outcome, given.get("open", True) is not False
            )
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            if isinstance(error, RecordRefused):
                raise
            raise RecordRefused(f"a time or a fact is missing or has another form ({type(error).__name__})") from None

    return read


Paths = list[tuple[tuple[str, ...], str]]


def _instants(schema: FactSchema) -> tuple[Paths, Paths]:
    """Where times stand: (message, field), and for lists of messages (list, field)."""
    plain: Paths = []
    nested: Paths = []

    def collect(prefix: tuple[str, ...], fields: Mapping[str, Fact]) -> None:
        for name, fact in fields.items():
            if fact.kind == "timestamp":
                plain.append((prefix, name))
            elif fact.kind == "message" and fact.many:
                nested.extend(((*prefix, name), key) for key, part in fact.fields.items() if part.kind == "timestamp")
            elif fact.kind == "message":
                collect((*prefix, name), fact.fields)

    collect((), schema.facts)
    return plain, nested


def _convert(facts: Facts, instants: Paths, nested: Paths) -> None:
    """Texts of times become times, in place."""
    for prefix, name in instants:
        message = facts
        for step in prefix:
            message = message[step]
        if (text := message.get(name)) is not None:
            message[name] = _instant(text)
    for prefix, name in nested:
        message = facts
        for step in prefix[:-1]:
            message = message[step]
        for entry in message.get(prefix[-1], ()):
            entry[name] = _instant(entry[name])


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise RecordRefused(f"'{text[:40]}' has no zone")
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def _hour(text: str) -> str:
    return _instant(text).isoformat()[:13]
