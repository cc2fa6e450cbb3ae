"""What is in force at one service, and when: a fold of its versions and activations, whatever order they came in. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from shared.contracts.policies import EVER, Activation
from shared.policy.evaluate import Policy, PolicyResult

VersionKey = tuple[str, int, str]  # policy, version, digest
Beside = Callable[
    [Activation, Policy, Policy, PolicyResult], None
]  # shadow, its policy, the policy in force, its result


@dataclass(frozen=True, slots=True)
class InForce:
    """One stretch of time: from `since` on, `activation` counts. `policy` None: this process cannot run that version."""

    since: datetime
    activation: int
    policy: Policy | None
    version: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The stretches of one policy, in their order: the last one that has begun counts."""

    stretches: tuple[InForce, ...]
    starts: tuple[datetime, ...]

    def find(self, at: datetime, now: datetime) -> tuple[int, bool, bool]:
        """Which stretch `at` is in (-1: none), whether another one has begun by `now`, whether it is only the last runnable."""
        wanted = bisect_right(self.starts, at) - 1
        late = bisect_right(self.starts, now) - 1 > wanted
        found = wanted
        while found >= 0 and self.stretches[found].policy is None:
            found -= 1
        return found, late, found != wanted


@dataclass(frozen=True, slots=True)
class Line:
    """An immutable snapshot of a service. A handler that began with one is not disturbed by the next.

    In force at a time is the activation with the greatest `effective_from` up to then (of equal ones the later `seq`),
    of those that no later one voids. Before all of them, the packaged default. Policies of another kind than the packaged
    one are packs: each has its own slot, and none before its first activation.
    """

    main: Slot
    packs: tuple[Slot, ...] = ()
    shadows: tuple[tuple[Activation, Policy], ...] = ()
    beside: Beside | None = None
    _made: dict[tuple[int, bool, bool, tuple[int, ...]], Policy] = field(default_factory=dict, compare=False)

    def in_force(self, at: datetime, now: datetime, *, lag: bool) -> Policy:
        """The policy in force at `at`, decided at `now`. It says whether it comes late, and whether to doubt it."""
        index, late, doubtful = self.main.find(at, now)
        doubtful = doubtful or any(slot.find(at, now)[2] for slot in self.packs)
        return self._policy(self.main.stretches[max(index, 0)], at, late, lag or doubtful)

    def packs_in_force(self, at: datetime, now: datetime, *, lag: bool) -> tuple[Policy, ...]:
        """The same of the packs that are switched on, by policy id."""
        found = ((slot, *slot.find(at, now)) for slot in self.packs)
        return tuple(
            self._policy(slot.stretches[index], at, late, lag or doubtful)
            for slot, index, late, doubtful in found
            if index >= 0
        )

    def not_runnable(self, at: datetime) -> list[str]:
        """The versions in force at `at` that this process cannot run."""
        wanted = ((slot, bisect_right(slot.starts, at) - 1) for slot in (self.main, *self.packs))
        return [slot.stretches[i].version for slot, i in wanted if i >= 0 and slot.stretches[i].policy is None]

    def _policy(self, stretch: InForce, at: datetime, late: bool, lag: bool) -> Policy:
        assert stretch.policy is not None
        shadows = [
            (shadow, policy)
            for shadow, policy in self.shadows
            if policy.kind == stretch.policy.kind
            and shadow.effective_from <= at
            and (shadow.ends_at is None or at < shadow.ends_at)
        ]
        key = (stretch.activation, late, lag, tuple(shadow.seq for shadow, _ in shadows))
        policy = self._made.get(key)
        if policy is None:
            policy = self._made[key] = self._make(stretch.policy, stretch.activation, late, lag, shadows)
        return policy

    def _make(
        self, policy: Policy, activation: int, late: bool, lag: bool, shadows: list[tuple[Activation, Policy]]
    ) -> Policy:
        notice = self.beside
        active = replace(policy, activation=activation, late=late, lag=lag, beside=None)
        if not shadows or notice is None:
            return active

        def beside(result: PolicyResult) -> None:
            for shadow, candidate in shadows:
                notice(shadow, candidate, active, result)

        return replace(active, beside=beside)


def line(
    packaged: Policy,
    versions: Mapping[VersionKey, Policy],
    activations: Iterable[Activation],
    beside: Beside | None = None,
) -> Line:
    """The snapshot that these records give. `versions` holds what this process can run."""
    valid = standing(activations)
    active = sorted((a for a in valid if a.mode == "active"), key=lambda a: (a.effective_from, a.seq))
    base = InForce(EVER, 0, packaged, f"{packaged.id} version {packaged.version}")
    slots: dict[str, list[InForce]] = {slot_of(packaged.kind, packaged): [base]}
    for a in active:
        found = InForce(a.effective_from, a.seq, versions.get(version_of(a)), f"{a.policy} version {a.version}")
        slots.setdefault(slot_of(packaged.kind, a), []).append(found)
    main, *packs = (Slot(tuple(each), tuple(s.since for s in each)) for each in slots.values())
    shadows = [(a, versions[version_of(a)]) for a in valid if a.mode == "shadow" and version_of(a) in versions]
    return Line(main, tuple(packs), tuple(shadows), beside)


def slot_of(main_kind: str, about: Activation | Policy) -> str:
    """What replaces what: one policy of the service's main kind at a time, whatever its id; of a pack its own versions."""
    if about.kind == main_kind:
        return about.kind
    return f"{about.kind}/{about.policy if isinstance(about, Activation) else about.id}"


def standing(activations: Iterable[Activation]) -> list[Activation]:
    """Those that no other one voids."""
    known = list(activations)
    voided = {seq for a in known for seq in a.voids}
    return [a for a in known if a.seq not in voided]


def in_force_at(activations: Iterable[Activation], at: datetime) -> Activation | None:
    """Of the activations of one slot the one that counts at `at`; None: no one."""
    past = [a for a in standing(activations) if a.mode == "active" and a.effective_from <= at]
    return max(past, key=lambda a: (a.effective_from, a.seq), default=None)


def version_of(activation: Activation) -> VersionKey:
    """What the activation names."""
    return activation.policy, activation.version, activation.digest


class Policies(Protocol):
    """What a service's handlers ask: which policy decides."""

    def in_force(self, at: datetime, now: datetime) -> Policy:
        """The policy for something that happened `at` and is decided `now`: an event by its own time, a timer or a
        command by `now`. Raises NotReady as long as the service does not know."""
        ...

    def packs(self, at: datetime, now: datetime) -> tuple[Policy, ...]:
        """The policies of other kinds that are switched on then, such as the legal regimes of escalation."""
        ...

    async def caught_up(self) -> None:
        """Ask before a batch of events is decided: returns when every activation that could matter is known."""
        ...


class Fixed:
    """One policy for all times: for tests and benchmarks."""

    def __init__(self, policy: Policy, *packs: Policy) -> None:
        self._policy, self._packs = policy, packs

    def in_force(self, at: datetime, now: datetime) -> Policy:
        return self._policy

    def packs(self, at: datetime, now: datetime) -> tuple[Policy, ...]:
        return self._packs

    async def caught_up(self) -> None:
        return
