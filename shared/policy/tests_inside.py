"""The tests inside a policy document: from `given` to facts, from `expect` to a verdict, and which rules they hit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.calendar import durations
from shared.policy import targets
from shared.policy.calendars import due_at
from shared.policy.evaluate import Policy
from shared.policy.facts import Fact, FactSchema
from shared.policy.facts_json import FactsRefused, read_value
from shared.policy.outcomes import Kind, ValueRefused
from shared.policy.problems import did_you_mean
from shared.policy.shape import Test

# Tests start from a neutral complaint, at an instant of no meaning.
NEUTRAL_AS_OF = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
# `given.<name>: 30d` puts that fact of the complaint so long before as_of; `age` in a history entry likewise.
SHORTHANDS = {"age": "received_at", "silent": "last_contact_at"}
_ENTRY_SHORTHANDS = {"age": "opened_at"}

Fault = tuple[tuple[int | str, ...], str]


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One test run. `differences`: for each thing that was expected and not decided, (name, expected, decided)."""

    __test__ = False  # not a test of ours: pytest collects by name

    name: str
    passed: bool
    rules: tuple[str, ...]
    outcome: dict[str, Any]
    differences: tuple[tuple[str, Any, Any], ...]
    degraded: bool


def run_tests(policy: Policy) -> list[TestOutcome]:
    """Run each test of the policy's document."""
    return [_run(policy, test) for test in policy.document.spec.tests]


def coverage(policy: Policy, outcomes: list[TestOutcome]) -> dict[str, list[str]]:
    """Rule id -> names of the tests in which it matched; an empty list is a rule that no test hits."""
    hit: dict[str, list[str]] = {rule.id: [] for rule in policy.rules.rules}
    for outcome in outcomes:
        for rule in outcome.rules:
            hit[rule].append(outcome.name)
    return hit


def _run(policy: Policy, test: Test) -> TestOutcome:
    facts, faults = given_facts(test.given, policy.schema)
    assert not faults, "load_policy has refused such a test"
    result = policy.decide(facts)
    differences: list[tuple[str, Any, Any]] = []
    for name, expected in test.expect.items():
        if name == "rules":
            if sorted(expected) != sorted(result.rules):
                differences.append((name, list(expected), list(result.rules)))
        elif name == "degraded":
            if expected != result.degraded:
                differences.append((name, expected, result.degraded))
        elif name == "due":
            differences.extend(_due_differences(policy, facts, result.outcome, expected))
        else:
            wanted = policy.outcomes[name].read(expected)
            if not _same(wanted, result.outcome.get(name)):
                differences.append((name, wanted, result.outcome.get(name)))
    if result.degraded and not test.expect.get("degraded", False):
        differences.append(("degraded", False, "; ".join(result.faults)))
    return TestOutcome(test.name, not differences, result.rules, result.outcome, tuple(differences), result.degraded)


def _due_differences(
    policy: Policy, facts: Mapping[str, Any], outcome: Mapping[str, Any], expected: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """What of `due: {clock: time}` is decided otherwise."""
    for name, time in expected.items():
        decided = due_of(policy, facts, outcome, name)
        if decided != _instant(time):
            yield f"due.{name}", time, None if decided is None else decided.isoformat().replace("+00:00", "Z")


def due_of(policy: Policy, facts: Mapping[str, Any], outcome: Mapping[str, Any], name: str) -> datetime | None:
    """When the duration or clock `name` of an outcome is due; None if it is not set, or has not begun."""
    target = outcome.get("clocks", {}).get(name) or outcome.get(name)
    kind = policy.document.spec.clocks.get(name)
    complaint = facts["complaint"]
    start = complaint.get("resolved_at") if kind and kind.counts_from == "resolved" else complaint["received_at"]
    return None if target is None or start is None else due_at(policy.calendar, start, targets.parse(target))


def _instant(value: Any) -> datetime | None:
    """A time with its zone, or None."""
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo is not None else None


def _same(wanted: Any, decided: Any) -> bool:
    """Equal; the order of words means nothing."""
    if isinstance(wanted, list) and isinstance(decided, list):
        return sorted(wanted) == sorted(decided)
    return bool(wanted == decided)


def _check_due(expected: Any, kind: Kind, clocks: Iterable[str]) -> Iterator[Fault]:
    known = [*(name for name, outcome in kind.outcomes.items() if outcome.kind == "duration"), *clocks]
    if not isinstance(expected, dict):
        yield ("expect", "due"), "due must hold clocks and times, such as {final_response_within: 2026-03-02T17:30:00Z}"
        return
    for name, time in expected.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            yield ("expect", "due", name), f"'{name}' is not a clock of this document{hint}"
        elif _instant(time) is None:
            yield (
                ("expect", "due", name),
                f"'{str(time)[:40]}' is not a time with its zone, such as 2026-03-02T17:30:00Z",
            )


def check_test(test: Test, schema: FactSchema, kind: Kind, rules: list[str], clocks: Iterable[str]) -> Iterator[Fault]:
    """(path inside the test, message) for what the test names wrongly."""
    _, faults = given_facts(test.given, schema)
    yield from ((("given", *path), message) for path, message in faults)
    for name, expected in test.expect.items():
        path = ("expect", name)
        if name == "rules":
            if not isinstance(expected, list) or not all(isinstance(each, str) for each in expected):
                yield path, "rules must be a list of rule ids, such as [ESC-010]; [] if none matches"
                continue
            for unknown in [each for each in expected if each not in rules]:
                yield path, f"there is no rule '{unknown}'{did_you_mean(unknown, rules)}"
        elif name == "degraded":
            if not isinstance(expected, bool):
                yield path, "degraded must be true or false"
        elif name == "due":
            yield from _check_due(expected, kind, clocks)
        elif name not in kind.outcomes:
            known = [*kind.outcomes, "rules", "degraded", "due"]
            yield path, f"'{name}' cannot be expected{did_you_mean(name, known) or '; known: ' + ', '.join(known)}"
        else:
            try:
                kind.outcomes[name].read(expected)
            except ValueRefused as refused:
                yield path, refused.about(name)
    if not test.expect:
        yield ("expect",), "nothing is expected: name at least one outcome, or rules"


def given_facts(given: Mapping[str, Any], schema: FactSchema) -> tuple[dict[str, Any], list[Fault]]:
    """The neutral complaint with what `given` says, and what `given` says wrongly."""
    faults: list[Fault] = []
    as_of = NEUTRAL_AS_OF
    if "as_of" in given:
        try:
            as_of = read_value("as_of", schema.facts["as_of"], given["as_of"])
        except FactsRefused as refused:
            faults.append((("as_of",), str(refused)))
    facts: dict[str, Any] = {
        name: _neutral(fact, as_of) if fact.kind == "message" else as_of for name, fact in schema.facts.items()
    }
    for name, value in given.items():
        if name in SHORTHANDS and "complaint" in facts:
            target = SHORTHANDS[name]
            if isinstance(given.get("complaint"), dict) and target in given["complaint"]:
                faults.append(((name,), f"'{name}' and complaint.{target} say the same thing: keep one"))
            _before((name,), value, as_of, facts["complaint"], target, faults)
        elif name not in schema.facts:
            known = [*schema.facts, *SHORTHANDS]
            faults.append(
                ((name,), f"unknown key '{name}'{did_you_mean(name, known) or '; known: ' + ', '.join(known)}")
            )
        elif name != "as_of":
            _fill((name,), schema.facts[name], value, as_of, facts[name], faults)
    return facts, faults


def _neutral(message: Fact, as_of: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, fact in message.fields.items():
        if fact.many:
            values[name] = []
        elif fact.kind == "message":
            values[name] = _neutral(fact, as_of)
        elif not fact.optional:
            values[name] = as_of if fact.kind == "timestamp" else fact.neutral
    return values


def _fill(
    path: tuple[int | str, ...], message: Fact, given: Any, as_of: datetime, into: dict[str, Any], faults: list[Fault]
) -> None:
    """Write what `given` says into the neutral message `into`."""
    if not isinstance(given, dict):
        faults.append((path, f"{path[-1]} must hold facts, such as {{severity: 3}}"))
        return
    for name, value in given.items():
        fact = message.fields.get(name)
        place = (*path, name)
        if fact is None:
            known = list(message.fields)
            faults.append(
                (place, f"there is no fact '{name}'{did_you_mean(name, known) or '; known: ' + ', '.join(known)}")
            )
        elif fact.kind == "message" and fact.many:
            into[name] = _entries(place, fact, value, as_of, faults)
        elif fact.kind == "message":
            _fill(place, fact, value, as_of, into[name], faults)
        else:
            try:
                into[name] = read_value(name, fact, value)
            except FactsRefused as refused:
                faults.append((place, str(refused)))


def _entries(
    path: tuple[int | str, ...], fact: Fact, given: Any, as_of: datetime, faults: list[Fault]
) -> list[dict[str, Any]]:
    if not isinstance(given, list):
        faults.append((path, f"{path[-1]} must be a list"))
        return []
    entries = []
    for index, each in enumerate(given):
        entry = _neutral(fact, as_of)
        own = dict(each) if isinstance(each, dict) else each
        if isinstance(own, dict):
            for short, target in _ENTRY_SHORTHANDS.items():
                if short in own and short not in fact.fields and target in fact.fields:
                    _before((*path, index, short), own.pop(short), as_of, entry, target, faults)
        _fill((*path, index), fact, own, as_of, entry, faults)
        entries.append(entry)
    return entries


def _before(
    path: tuple[int | str, ...], value: Any, as_of: datetime, into: dict[str, Any], target: str, faults: list[Fault]
) -> None:
    """Put the fact `target` so long before as_of, as elapsed time: a day is 24 hours, as days(n) in conditions."""
    try:
        into[target] = as_of - timedelta(seconds=durations.parse(str(value)).length_s)
    except ValueError as error:
        faults.append((path, str(error)))
