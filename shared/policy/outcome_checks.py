"""Checks of what a document decides: outcomes and their values, aggregation, clocks and remedies of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.policy import targets
from shared.policy.guardrails import LimitRefused, read_limit
from shared.policy.outcomes import Kind, Outcome, ValueRefused, money
from shared.policy.problems import did_you_mean
from shared.policy.shape import Spec

Path = tuple[int | str, ...]
Fault = tuple[Path, str]
Values = Mapping[str, Any]


def unknown_outcome(name: str, kind: Kind) -> str:
    hint = did_you_mean(name, kind.outcomes) or f"; it has {', '.join(kind.outcomes)}"
    return f"'{name}' is not an outcome of the {kind.service} service{hint}"


def read_outcomes(path: Path, values: Values, kind: Kind, faults: list[Fault]) -> dict[str, Any]:
    """The values in canonical form; what is wrong with them goes to `faults`."""
    read: dict[str, Any] = {}
    for name, value in values.items():
        outcome = kind.outcomes.get(name)
        if outcome is None:
            faults.append(((*path, name), unknown_outcome(name, kind)))
            continue
        try:
            read[name] = outcome.read(value)
        except ValueRefused as refused:
            faults.append(((*path, name), refused.about(name)))
    return read


def check_outcomes(
    spec: Spec, kind: Kind, thens: Sequence[Values], default: Values, *, has_hours: bool
) -> Iterator[Fault]:
    """What is wrong with the outcomes as a whole. `thens` and `default` hold what could be read."""
    for index, rule in enumerate(spec.rules):
        if not rule.then:
            yield ("spec", "rules", index, "then"), "nothing is decided here: set at least one outcome"
    for name, outcome in kind.outcomes.items():
        if outcome.required and name not in spec.default:
            yield ("spec", "default"), f"the default must set '{name}'"
    yield from _aggregation(spec, kind, thens)
    places = [*((("spec", "rules", i, "then"), then) for i, then in enumerate(thens)), (("spec", "default"), default)]
    yield from _one_currency(kind, places)
    yield from _catalogue(spec, kind, places)
    if not has_hours:
        yield from _business_time(kind, places)


def _aggregation(spec: Spec, kind: Kind, thens: Sequence[Values]) -> Iterator[Fault]:
    for name in spec.aggregate:
        path: Path = ("spec", "aggregate", name)
        if name not in kind.outcomes:
            yield path, unknown_outcome(name, kind)
        elif not kind.outcomes[name].ordered:
            yield path, f"'{name}' has no greatest or least; only whole numbers and durations have"
        elif spec.hit_policy != "COLLECT":
            yield path, f"nothing is aggregated under {spec.hit_policy}: only COLLECT lets several rules match"
    if spec.hit_policy == "COLLECT":
        for name, outcome in kind.outcomes.items():
            yield from _contest(spec, name, outcome, thens)


def _contest(spec: Spec, name: str, outcome: Outcome, thens: Sequence[Values]) -> Iterator[Fault]:
    if outcome.keyed or outcome.kind == "words" or name in spec.aggregate:
        return
    setters = [index for index, values in enumerate(thens) if name in values]
    different = [i for i in setters if thens[i][name] != thens[setters[0]][name]]
    if different:
        first, second = spec.rules[setters[0]].id, spec.rules[different[0]].id
        what = "say in spec.aggregate whether MAX or MIN wins" if outcome.ordered else "under COLLECT both can match"
        yield ("spec", "rules", different[0], "then", name), f"{first} and {second} both set '{name}': {what}"


def _one_currency(kind: Kind, places: Sequence[tuple[Path, Values]]) -> Iterator[Fault]:
    seen: dict[tuple[str, str], str] = {}
    for path, values in places:
        for name, amounts in values.items():
            for remedy, text in amounts.items() if kind.outcomes[name].kind == "money" else ():
                currency = money(text).currency
                if seen.setdefault((name, remedy), currency) != currency:
                    message = f"{remedy} is in {currency} here and in {seen[name, remedy]} before; "
                    yield (*path, name, remedy), message + "amounts of one remedy must share a currency"


def _catalogue(spec: Spec, kind: Kind, places: Sequence[tuple[Path, Values]]) -> Iterator[Fault]:
    """Clocks and remedies that rules name must be known, and nobody's authority goes beyond a remedy's limit."""
    for name, remedy in spec.remedies.items():
        amounts = [each for each in (remedy.limit, remedy.per_complaint, remedy.cost) if each]
        amounts += [remedy.per_customer.amount] if remedy.per_customer else []
        if len({money(each).currency for each in amounts}) > 1:
            yield ("spec", "remedies", name), f"the amounts of {name} must share a currency"
        elif remedy.limit and remedy.per_complaint and money(remedy.limit).amount > money(remedy.per_complaint).amount:
            yield ("spec", "remedies", name, "limit"), f"one offer of {name} may not exceed what one complaint may get"
    for name, clock in spec.clocks.items():
        if clock.legal and clock.pausable:
            yield ("spec", "clocks", name, "pausable"), f"{name} is a legal clock: it runs on while we wait"
    for path, values in places:
        for name, by_key in values.items():
            if kind.outcomes[name].kind == "clocks":
                for clock_name in by_key:
                    if clock_name not in spec.clocks:
                        hint = did_you_mean(clock_name, spec.clocks) or "; say there what it is"
                        yield (*path, name, clock_name), f"spec.clocks has no '{clock_name}'{hint}"
            elif kind.outcomes[name].kind == "money" and spec.remedies:
                yield from _authority((*path, name), by_key, spec)


def _authority(path: Path, amounts: Values, spec: Spec) -> Iterator[Fault]:
    for name, text in amounts.items():
        remedy = spec.remedies.get(name)
        if remedy is None:
            yield (*path, name), f"spec.remedies has no '{name}'{did_you_mean(name, spec.remedies)}"
            continue
        limit, amount = money(remedy.limit) if remedy.limit else None, money(text)
        if limit is None:
            continue
        if limit.currency != amount.currency:
            yield (*path, name), f"{name} is in {amount.currency} here, but its limit is in {limit.currency}"
        elif amount.amount > limit.amount:
            yield (*path, name), f"{text} is more than the limit of {name}, {remedy.limit}"


def _business_time(kind: Kind, places: Sequence[tuple[Path, Values]]) -> Iterator[Fault]:
    for path, values in places:
        for name, value in values.items():
            outcome = kind.outcomes[name]
            if outcome.kind not in ("duration", "clocks"):
                continue
            for text in value.values() if outcome.keyed else (value,):
                if targets.parse(text).business:
                    yield (
                        (*path, name),
                        f"{text} is business time, and spec.calendar has no opening hours: name one that has",
                    )


def check_guardrails(spec: Spec) -> Iterator[Fault]:
    """Guardrails that nobody could check would block nothing."""
    if spec.guardrails is None:
        return
    for name, value in spec.guardrails.limits.items():
        try:
            read_limit(name, value)
        except LimitRefused as refused:
            yield ("spec", "guardrails", "limits", name), str(refused)
