"""What a policy promises: which clocks a decision wants, with which target, set by which rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from shared.calendar.durations import Duration, read
from shared.calendar.plain import digest_of, text_of
from shared.contracts.complaints import PolicyCitation
from shared.frozen import dataclass
from shared.policy.complaint import citation
from shared.policy.evaluate import Policy, PolicyResult
from shared.policy.shape import ClockKind

MetBy = Literal["reply", "resolution"]
ACKNOWLEDGE, NEXT_UPDATE, FINAL_RESPONSE = "acknowledge", "next_update", "final_response"
# The service's own clocks that each have an outcome of their own.
_OWN: Mapping[str, tuple[str, MetBy]] = {
    ACKNOWLEDGE: ("acknowledge_within", "reply"),
    NEXT_UPDATE: ("next_update_within", "reply"),
    FINAL_RESPONSE: ("final_response_within", "resolution"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """What was promised for a clock, and by whom: rules of a policy's version, counted in a calendar."""

    text: str
    calendar: str
    policy: str
    version: int
    rules: tuple[str, ...]

    @property
    def duration(self) -> Duration:
        return read(self.text)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A clock that a decision wants."""

    name: str
    regime: str
    target: Target
    legal: bool
    pausable: bool
    met_by: MetBy
    counts_from: Literal["received", "resolved"]
    warn_before: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """What decides: the service's own policy, those of the legal regimes beside it, and the tiers and desks there are."""

    own: Policy
    regimes: tuple[Policy, ...] = ()
    top_tier: int = 3
    desks: tuple[str, ...] = ()

    @property
    def policies(self) -> tuple[Policy, ...]:
        return (self.own, *self.regimes)


Said = tuple[tuple[Policy, PolicyResult], ...]
"""What policies say of the same facts, the service's own first."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What is read from a policy once: its calendar, and what each rule sets, by outcome and clock.

    `regime`: the legal regime that it is of; empty: it is the service's own.
    """

    regime: str
    calendar: str
    calendar_text: str
    kinds: Mapping[str, ClockKind]
    sets: Mapping[str, Mapping[tuple[str, str | None], Any]]


@lru_cache(maxsize=64)
def page(policy: Policy) -> _Page:
    """The policy's calendar by name (one that is written out is named by its digest), its clocks, its rules by id."""
    spec = policy.document.spec
    text = text_of(policy.calendar)
    named = spec.calendar if isinstance(spec.calendar, str) else digest_of(text)
    kinds = {name: ClockKind(title=name, pausable=True) for name in _OWN} | spec.clocks
    sets = {rule.id: {(each.name, each.key): each.value for each in rule.settings} for rule in policy.rules.rules}
    return _Page(policy.id if policy.kind == "RegimePolicy" else "", named, text, kinds, sets)


def counts_from_resolution(policy: Policy) -> bool:
    """Whether it has clocks that begin with the resolution."""
    return any(kind.counts_from == "resolved" for kind in page(policy).kinds.values())


def said(policies: Iterable[Policy], facts: Mapping[str, Any]) -> Said:
    """What each of the policies says."""
    return tuple([(policy, policy.decide(facts)) for policy in policies])


def cited(those: Said) -> tuple[PolicyCitation, ...]:
    """What a decision of several policies together cites: the first holds the facts of all."""
    return tuple([citation(policy, result, facts=index == 0) for index, (policy, result) in enumerate(those)])


def calendars_of(those: Said) -> dict[str, str]:
    """The calendars that their clocks are counted by, as text by name."""
    return {page(policy).calendar: page(policy).calendar_text for policy, _ in those}


def wanted(policy: Policy, result: PolicyResult) -> tuple[Wanted, ...]:
    """The clocks of a result."""
    outcome = result.outcome
    own = tuple([outcome.get(name) for name, _ in _OWN.values()])
    return _wanted(policy, result.rules, own, tuple(outcome.get("clocks", {}).items()))


@lru_cache(maxsize=256)  # most complaints match one of a few sets of rules
def _wanted(
    policy: Policy, rules: tuple[str, ...], own: tuple[str | None, ...], others: tuple[tuple[str, str], ...]
) -> tuple[Wanted, ...]:
    """`own`: the targets of the service's own clocks, in the order of `_OWN`; `others`: those of `clocks`, by name."""
    read_once = page(policy)

    def wish(name: str, place: tuple[str, str | None], text: str, met_by: MetBy) -> Wanted:
        kind = read_once.kinds[name]
        by = tuple([rule for rule in rules if read_once.sets[rule].get(place) == text])
        return Wanted(
            name=name,
            regime=read_once.regime,
            target=Target(text, read_once.calendar, policy.id, policy.version, by or ("default",)),
            legal=kind.legal,
            pausable=kind.pausable and not kind.legal,
            met_by=met_by,
            counts_from=kind.counts_from,
            warn_before=tuple(kind.warn_before),
        )

    first = () if read_once.regime else zip(_OWN.items(), own, strict=True)
    return (
        *(wish(name, (outcome, None), text, met_by) for (name, (outcome, met_by)), text in first if text is not None),
        *(wish(name, ("clocks", name), text, read_once.kinds[name].met_by) for name, text in others),
    )
