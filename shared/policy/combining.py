"""How the outcomes of several matched rules become one: aggregation, compiled from the document's hit policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from operator import gt, lt
from typing import Any, Literal

from shared.calendar.durations import Duration
from shared.policy import targets
from shared.policy.calendars import NEVER
from shared.policy.outcomes import Outcome, money

CLOCK_CHANGE_S = 3 * 3_600
# The instant at which a target is due, for the complaint that is being decided.
Due = Callable[[Duration], datetime]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that a rule sets. `key` is the name inside an outcome that holds several, such as remedy_authority.

    `better` tells whether this rank wins over another's; None: no other rule sets another value, so nothing to win. With
    `by_due` the ranks are targets of unlike units, which compare by when they are due. With `union` the values of all
    rules are put together.
    """

    name: str
    key: str | None
    value: Any
    rank: Any = None
    better: Callable[[Any, Any], bool] | None = None
    by_due: bool = False
    union: bool = False


def settings_of(
    thens: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Outcome], aggregate: Mapping[str, Literal["MAX", "MIN"]]
) -> list[tuple[Setting, ...]]:
    """For each rule what it sets, ready to be combined."""
    mixed = _mixed(thens, outcomes)
    return [tuple(_settings(then, outcomes, aggregate, mixed)) for then in thens]


def _mixed(thens: Iterable[Mapping[str, Any]], outcomes: Mapping[str, Outcome]) -> set[tuple[str, str | None]]:
    """The durations of which only the calendar can tell which is due first."""
    found: dict[tuple[str, str | None], set[Duration]] = {}
    for then in thens:
        for name, value in then.items():
            if outcomes[name].kind == "duration":
                found.setdefault((name, None), set()).add(targets.parse(value))
            elif outcomes[name].kind == "clocks":
                for key, text in value.items():
                    found.setdefault((name, key), set()).add(targets.parse(text))
    return {place for place, several in found.items() if any(_unlike(a, b) for a, b in combinations(several, 2))}


def _unlike(a: Duration, b: Duration) -> bool:
    """Whether which of the two ends sooner depends on when they begin: always with business time; of hours and days only
    where they are so near that a clock change can turn the order."""
    if targets.family(a) == targets.family(b):
        return False
    return a.business or b.business or abs(targets.nominal_s(a) - targets.nominal_s(b)) <= CLOCK_CHANGE_S


def _settings(
    then: Mapping[str, Any],
    outcomes: Mapping[str, Outcome],
    aggregate: Mapping[str, Literal["MAX", "MIN"]],
    mixed: set[tuple[str, str | None]],
) -> Iterable[Setting]:
    for name, value in then.items():
        outcome = outcomes[name]
        better = {"MAX": gt, "MIN": lt}.get(aggregate.get(name, ""))
        match outcome.kind:
            case "money":
                for key, text in value.items():
                    yield Setting(name, key, text, money(text).amount, gt)
            case "clocks":
                for key, text in value.items():
                    yield _target(Setting(name, key, text), lt, (name, key) in mixed)
            case "words":
                yield Setting(name, None, value, union=True)
            case "duration":
                yield _target(Setting(name, None, value), better, (name, None) in mixed)
            case _:
                yield Setting(name, None, value, value, better)


def _target(setting: Setting, better: Callable[[Any, Any], bool] | None, mixed: bool) -> Setting:
    target = targets.parse(setting.value)
    rank = target if mixed else targets.nominal_s(target)
    return Setting(setting.name, setting.key, setting.value, rank, better, by_due=mixed)


def combined(default: Mapping[str, Any], matched: Iterable[Sequence[Setting]], due: Due) -> dict[str, Any]:
    """The outcomes of the matched rules, aggregated; what none of them sets is taken from the default."""
    outcome = fresh(default)
    best: dict[tuple[str, str | None], Any] = {}
    for settings in matched:
        for each in settings:
            place = (each.name, each.key)
            value = each.value
            if each.better is not None:
                rank = due(each.rank) if each.by_due else each.rank
                if place in best and not each.better(rank, best[place]):
                    continue
                best[place] = rank
            elif each.union:
                if place in best:
                    value = sorted({*best[place], *value})
                best[place] = value
            if each.key is None:
                outcome[each.name] = value
            else:
                outcome.setdefault(each.name, {})[each.key] = value
    return outcome


def alone(default: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """The whole outcome if only this rule matches: nothing competes."""
    return combined(default, [[replace(each, better=None, by_due=False) for each in settings]], lambda target: NEVER)


def fresh(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that the caller may change without changing the policy."""
    copy = dict(outcome)
    for name, value in outcome.items():
        if type(value) is dict or type(value) is list:
            copy[name] = value.copy()
    return copy
