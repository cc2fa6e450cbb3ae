"""What is in force at one service, and when: a fold of its versions and activations, whatever order they came in. Pure."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from shared.contracts.policies import EVER, Activation
from shared.policy.evaluate import Policy, PolicyResult

# Of these kinds several run at once, each under its own id; of every other one a service runs one.
SEVERAL = ("RegimePolicy",)




class Versioned(Protocol):
    """One version of a document. In force it also says by which `activation` it is (0: packaged with the service, not yet
    recorded), that it comes `late` (another version was in force by then already) and that newer activations may not
    have arrived (`lag`)."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def approvers(self) -> int: ...
    @property
    def activation(self) -> int: ...
    @property
    def late(self) -> bool: ...
    @property
    def lag(self) -> bool: ...


V = TypeVar("V", bound=Versioned)

VersionKey = tuple[str, int, str]  # policy, version, digest
Beside = Callable[
    [Activation, Policy, Policy, PolicyResult], None
]  # shadow, its policy, the policy in force, its result


@dataclass(frozen=True, slots=True)
class InForce(Generic[V]):
    """One stretch of time: from `since` on, `activation` counts. `policy` None: this process cannot run that version.

    `version` is "policy/version". `percent`: it is a canary, and counts for that share of the complaints only.
    """

    since: datetime
    activation: int
    policy: V | None
    version: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Slot(Generic[V]):
    """The stretches of one policy, in their order: the last one that has begun counts.

    If that is a canary, then for its share of the complaints, and for all others the last one before that is none.
    """

    stretches: tuple[InForce[V], ...]
    starts: tuple[datetime, ...]

    def find(self, at: datetime, now: datetime, complaint: UUID | None) -> tuple[int, bool, bool]:
        """Which stretch `at` is in (-1: none), whether another one has begun by `now`, whether it is only the last runnable."""
        wanted = self._counting(at, complaint)
        late = self._counting(now, complaint) != wanted
        found = wanted
        while found >= 0 and (self.stretches[found].policy is None or (found != wanted and self.stretches[found].percent)):
            found -= 1
        return found, late, found != wanted

    def last(self, at: datetime) -> list[InForce[V]]:
        """The stretch that `at` is in; if it is a canary also the one for all others. Nothing before the first."""
        top, rest = bisect_right(self.starts, at) - 1, self._counting(at, None)
        return [self.stretches[index] for index in sorted({top, rest}, reverse=True) if index >= 0]

    def _counting(self, at: datetime, complaint: UUID | None) -> int:
        index = bisect_right(self.starts, at) - 1
        top = self.stretches[index]
        if index < 0 or top.percent is None or (complaint is not None and in_share(top.version, top.percent, complaint)):
            return index
        while index >= 0 and self.stretches[index].percent is not None:
            index -= 1
        return index


@dataclass(frozen=True, slots=True)
class Line:
    """An immutable snapshot of a service. A handler that began with one is not disturbed by the next.

    In force at a time is the activation with the greatest `effective_from` up to then (of equal ones the later `seq`),
    of those that no later one voids. Before all of them, the packaged default. `main` is the service's policy, `others` what
    else is packaged with it, by kind. Packs are each in a slot of their own, and none before its first activation.
    """

    main: Slot[Policy]
    packs: tuple[Slot[Policy], ...] = ()
    others: Mapping[str, Slot[Versioned]] = field(default_factory=dict)
    shadows: tuple[tuple[Activation, Policy], ...] = ()
    beside: Beside | None = None
    _made: dict[tuple[str, int, bool, bool, tuple[int, ...]], Any] = field(default_factory=dict, compare=False)

    def in_force(self, at: datetime, now: datetime, complaint: UUID | None = None, *, lag: bool) -> Policy:
        """The policy in force at `at`, decided at `now`. It says whether it comes late, and whether to doubt it."""
        index, late, doubtful = self.main.find(at, now, complaint)
        doubtful = doubtful or any(slot.find(at, now, complaint)[2] for slot in self.packs)
        return self._policy(self.main.stretches[max(index, 0)], at, late, lag or doubtful)

    def packs_in_force(
        self, at: datetime, now: datetime, complaint: UUID | None = None, *, lag: bool
    ) -> tuple[Policy, ...]:
        """The same of the packs that are switched on, by policy id."""
        found = ((slot, *slot.find(at, now, complaint)) for slot in self.packs)
        return tuple(
            self._policy(slot.stretches[index], at, late, lag or doubtful)
            for slot, index, late, doubtful in found
            if index >= 0
        )

    def other_in_force(
        self, kind: str, at: datetime, now: datetime, complaint: UUID | None = None, *, lag: bool
    ) -> Versioned:
        """The same of another kind of document that is packaged with the service."""
        slot = self.others[kind]
        index, late, doubtful = slot.find(at, now, complaint)
        stretch = slot.stretches[max(index, 0)]
        assert stretch.policy is not None
        key = (kind, stretch.activation, late, lag or doubtful, ())
        found: Versioned | None = self._made.get(key)
        if found is None:
            found = self._made[key] = replace(stretch.policy, activation=stretch.activation, late=late, lag=lag or doubtful)
        return found

    def not_runnable(self, at: datetime) -> list[str]:
        """The versions in force at `at` that this process cannot run."""
        return [each.version.replace("/", " version ") for slot in self._slots() for each in slot.last(at) if each.policy is None]

    def canaries(self, at: datetime) -> list[str]:
        """The canaries in force at `at`, as "policy/version 10%"."""
        found = (each for slot in self._slots() for each in slot.last(at) if each.policy is not None)
        return [f"{each.version} {each.percent}%" for each in found if each.percent is not None]

    def _slots(self) -> tuple[Slot[Any], ...]:
        return (self.main, *self.packs, *self.others.values())

    def _policy(self, stretch: InForce[Policy], at: datetime, late: bool, lag: bool) -> Policy:
        assert stretch.policy is not None
        shadows = [
            (shadow, policy)
            for shadow, policy in self.shadows
            if policy.kind == stretch.policy.kind
            and shadow.effective_from <= at
            and (shadow.ends_at is None or at < shadow.ends_at)
        ]
        key = (stretch.policy.kind, stretch.activation, late, lag, tuple(shadow.seq for shadow, _ in shadows))
        policy: Policy | None = self._made.get(key)
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
    versions: Mapping[VersionKey, Versioned],
    activations: Iterable[Activation],
    beside: Beside | None = None,
    others: Iterable[Versioned] = (),
) -> Line:
    """The snapshot that these records give. `versions` holds what this process can run, `others` what is packaged besides."""
    valid = standing(activations)
    active = sorted((a for a in valid if a.mode in ("active", "canary")), key=order)
    slots: dict[str, list[InForce[Any]]] = {
        each.kind: [InForce(EVER, 0, each, f"{each.id}/{each.version}")] for each in (packaged, *others)
    }
    known = set(slots)
    for a in active:
        found = InForce(a.effective_from, a.seq, versions.get(version_of(a)), f"{a.policy}/{a.version}", a.percent)
        slots.setdefault(slot_of(a), []).append(found)
    made: dict[str, Slot[Any]] = {name: Slot(tuple(each), tuple(s.since for s in each)) for name, each in slots.items()}
    main = made.pop(packaged.kind)
    shadows = [
        (a, policy)
        for a in valid
        if a.mode == "shadow" and isinstance(policy := versions.get(version_of(a)), Policy)
    ]
    return Line(
        main,
        tuple(slot for name, slot in made.items() if name not in known),
        {name: slot for name, slot in made.items() if name in known},
        tuple(shadows),
        beside,
    )


def slot_of(about: Activation) -> str:
    """What replaces what: one document of a kind at a time, whatever its id; of a pack its own versions."""
    return f"{about.kind}/{about.policy}" if about.kind in SEVERAL else about.kind


def standing(activations: Iterable[Activation]) -> list[Activation]:
    """Those that no other one voids."""
    known = list(activations)
    voided = {seq for a in known for seq in a.voids}
    return [a for a in known if a.seq not in voided]


def in_force_at(activations: Iterable[Activation], at: datetime) -> Activation | None:
    """Of the activations of one slot the one that counts at `at`; None: no one."""
    past = [a for a in standing(activations) if a.mode == "active" and a.effective_from <= at]
    return max(past, key=order, default=None)


def canaries_of(activations: Iterable[Activation], at: datetime) -> list[Activation]:
    """Of one slot the canaries that count at `at` or will, in their order: of those that have begun the last one counts."""
    known = standing(activations)
    current = in_force_at(known, at)
    return sorted(
        (a for a in known if a.mode == "canary" and (current is None or order(a) > order(current))), key=order
    )


def canary_at(activations: Iterable[Activation], at: datetime) -> Activation | None:
    """Of the activations of one slot the canary that counts at `at`; None: no one."""
    begun = [a for a in canaries_of(activations, at) if a.effective_from <= at]
    return begun[-1] if begun else None


def in_share(version: str, percent: int, complaint: UUID) -> bool:
    """Whether a complaint is in a canary's share of that "policy/version": for ever the same, and in a larger share still."""
    digest = hashlib.sha256(f"{version}/{complaint}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < percent


def order(activation: Activation) -> tuple[datetime, int]:
    """Of two activations the greater one replaces the other."""
    return activation.effective_from, activation.seq


def version_of(activation: Activation) -> VersionKey:
    """What the activation names."""
    return activation.policy, activation.version, activation.digest


class Policies(Protocol):
    """What a service's handlers ask: which policy decides."""

    def in_force(self, at: datetime, now: datetime, complaint: UUID | None = None) -> Policy:
        """The policy for something that happened `at` and is decided `now`: an event by its own time, a timer or a
        command by `now`. Without a `complaint` no canary counts. Raises NotReady as long as the service does not know."""
        ...

    def packs(self, at: datetime, now: datetime, complaint: UUID | None = None) -> tuple[Policy, ...]:
        """The policies of other kinds that are switched on then, such as the legal regimes of escalation."""
        ...

    def other(self, kind: type[V], at: datetime, now: datetime, complaint: UUID | None = None) -> V:
        """The same of another kind of document that is packaged with the service, such as intake's reading rules."""
        ...

    async def caught_up(self) -> None:
        """Ask before a batch of events is decided: returns when every activation that could matter is known."""
        ...


class Fixed:
    """One policy for all times: for tests and benchmarks."""

    def __init__(self, policy: Policy, *packs: Policy, others: Iterable[Versioned] = ()) -> None:
        self._policy, self._packs, self._others = policy, packs, tuple(others)

    def in_force(self, at: datetime, now: datetime, complaint: UUID | None = None) -> Policy:
        return self._policy

    def packs(self, at: datetime, now: datetime, complaint: UUID | None = None) -> tuple[Policy, ...]:
        return self._packs

    def other(self, kind: type[V], at: datetime, now: datetime, complaint: UUID | None = None) -> V:
        return next(each for each in self._others if isinstance(each, kind))

    async def caught_up(self) -> None:
        return
