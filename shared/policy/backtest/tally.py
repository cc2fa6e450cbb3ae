"""Counts of a backtest: mergeable, so that processes can share the work. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from shared.policy import targets
from shared.policy.backtest.recorded import Facts, Recorded
from shared.policy.calendars import due_at
from shared.policy.evaluate import Policy
from shared.policy.outcomes import ValueRefused

Decide = Callable[[Facts], tuple[str, bool]]  # facts -> the outcome as canonical JSON, whether it is degraded


class Cell(NamedTuple):
    """Decisions that count alike: outcomes as canonical JSON, the UTC hour, whether support needs were stated."""

    hour: str
    old: str
    new: str
    support_needs: bool


class Worse(NamedTuple):
    """A date that was told to a customer whose complaint is open, and that would be later, or gone (None)."""

    complaint: str
    name: str
    decided_at: str
    old_due: datetime
    new_due: datetime | None


@dataclass(slots=True)
class Moves:
    """How a deadline moves: counts, and the sum of the shifts in seconds (later is positive)."""

    earlier: int = 0
    later: int = 0
    gone: int = 0
    new: int = 0
    shift_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """What was counted so far."""

    cells: Counter[Cell] = field(default_factory=Counter)
    moves: dict[str, Moves] = field(default_factory=dict)
    worse: dict[tuple[str, str], Worse] = field(default_factory=dict)
    old_degraded: int = 0
    new_degraded: int = 0
    later: int = 0  # decisions with some later deadline
    unreadable: int = 0
    faults: list[str] = field(default_factory=list)  # of the first unreadable lines

    def merge(self, other: Tally) -> None:
        """Add what another process counted; `other` holds later decisions."""
        self.cells.update(other.cells)
        for name, moves in other.moves.items():
            mine = self.moves.setdefault(name, Moves())
            for each in ("earlier", "later", "gone", "new", "shift_s"):
                setattr(mine, each, getattr(mine, each) + getattr(moves, each))
        self.worse |= other.worse
        self.old_degraded += other.old_degraded
        self.new_degraded += other.new_degraded
        self.later += other.later
        self.unreadable += other.unreadable
        self.faults = (self.faults + other.faults)[:5]


def canonical(outcome: Mapping[str, Any]) -> str:
    """An outcome as text: equal outcomes have equal texts."""
    return orjson.dumps(outcome, option=orjson.OPT_SORT_KEYS).decode()


def decider(policy: Policy) -> Decide:
    """The policy's decisions without their explanation; one text for each set of rules that match."""
    rules, texts = policy.rules, dict[tuple[int, ...], str]()

    def decide(facts: Facts) -> tuple[str, bool]:
        matched = rules.matched(facts)
        if matched is None:
            return canonical(rules.default), True
        text = texts.get(matched)
        if text is None:
            text = canonical(rules.outcome(matched, facts))
            if not rules.by_due:
                texts[matched] = text
        return text, False

    return decide


class Counting:
    """Counts decisions of one candidate. `old`: a policy that stands for the recorded outcomes; None: as recorded."""

    def __init__(self, new: Policy, old: Policy | None) -> None:
        self.tally = Tally()
        self._new, self._old = new, old
        self._decide = decider(new)
        self._decide_old = None if old is None else decider(old)
        self._parsed: dict[str, dict[str, Any]] = {}

    def add(self, recorded: Recorded) -> None:
        """Count one decision. Raises ValueError if neither an outcome is recorded nor an old policy given."""
        facts, tally = recorded.facts, self.tally
        new, degraded = self._decide(facts)
        tally.new_degraded += degraded
        if self._decide_old is not None:
            old, degraded = self._decide_old(facts)
            tally.old_degraded += degraded
        elif recorded.outcome is not None:
            old = canonical(recorded.outcome)
            if old not in self._parsed:
                self._parsed[old] = self._as_decided(recorded.outcome)
        else:
            raise ValueError('no "outcome" is recorded: say which policy decided, with --old')
        tally.cells[Cell(recorded.hour, old, new, has_support_needs(facts))] += 1
        if old != new:
            self._deadlines(recorded, self._outcome(old), self._outcome(new))

    def _as_decided(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """A recorded outcome, if such a policy could have decided it. Raises ValueError."""
        for name, value in outcome.items():
            kind = self._new.outcomes.get(name)
            try:
                if kind is not None and value is not None:
                    kind.read(value)
            except ValueRefused as refused:
                raise ValueError(f"the recorded outcome: {refused.about(name)}") from None
        return dict(outcome)

    def _outcome(self, text: str) -> dict[str, Any]:
        if text not in self._parsed:
            self._parsed[text] = orjson.loads(text)
        return self._parsed[text]

    def _deadlines(self, recorded: Recorded, old: dict[str, Any], new: dict[str, Any]) -> None:
        before, after = deadlines_of(self._new, old), deadlines_of(self._new, new)
        later = False
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                later |= self._moved(recorded, name, before.get(name), after.get(name))
        self.tally.later += later

    def _moved(self, recorded: Recorded, name: str, old: str | None, new: str | None) -> bool:
        """Count one deadline that is not the same; whether it is worse for the customer."""
        moves = self.tally.moves.setdefault(name, Moves())
        kind = self._new.document.spec.clocks.get(name)
        complaint = recorded.facts["complaint"]
        start = (
            complaint.get("resolved_at") if kind and kind.counts_from == "resolved" else complaint.get("received_at")
        )
        start = start or recorded.facts["as_of"]
        if old is None:
            moves.new += 1
            return False
        old_due = due_at((self._old or self._new).calendar, start, targets.parse(old))
        new_due = None if new is None else due_at(self._new.calendar, start, targets.parse(new))
        if new_due is None:
            moves.gone += 1
        else:
            moves.earlier += new_due < old_due
            moves.later += new_due > old_due
            moves.shift_s += (new_due - old_due).total_seconds()
        worse = new_due is None or new_due > old_due
        if worse and recorded.open:
            place = (recorded.complaint or f"{recorded.decided_at} {len(self.tally.worse)}", name)
            self.tally.worse[place] = Worse(recorded.complaint, name, recorded.decided_at, old_due, new_due)
        return worse


def deadlines_of(policy: Policy, outcome: Mapping[str, Any]) -> dict[str, str]:
    """The deadlines that an outcome sets: name -> target."""
    found: dict[str, str] = {}
    for name, value in outcome.items():
        kind = policy.outcomes[name].kind if name in policy.outcomes else ""
        if kind == "duration":
            found[name] = value
        elif kind == "clocks":
            found |= value
    return found


def has_support_needs(facts: Facts) -> bool:
    """Whether the customer stated a support need, as far as the facts say."""
    complaint = facts.get("complaint") or {}
    customer = complaint.get("customer") or {}
    return bool(customer.get("vulnerable") or customer.get("support_needs") or complaint.get("support_needs"))
