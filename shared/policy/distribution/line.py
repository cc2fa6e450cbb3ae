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
Beside = Callable[[Activation, Policy, Policy, PolicyResult], None]  # shadow, its policy, the policy in force, its result


@dataclass(frozen=True, slots=True)
class InForce:
    """One stretch of time: from `since` on, `activation` counts. `policy` None: this process cannot run that version."""

    since: datetime
    activation: int
    policy: Policy | None


@dataclass(frozen=True, slots=True)
class Line:
    """An immutable snapshot. A handler that began with one is not disturbed by the next.

    In force at a time is the activation with the greatest `effective_from` up to then (of equal ones the later `seq`),
    of those that no later one voids. Before all of them, the packaged default.
    """

    stretches: tuple[InForce, ...]
    shadows: tuple[tuple[Activation, Policy], ...] = ()
    beside: Beside | None = None
    _starts: tuple[datetime, ...] = ()
    _made: dict[tuple[int, bool, bool, tuple[int, ...]], Policy] = field(default_factory=dict, compare=False)

    def in_force(self, at: datetime, now: datetime, *, lag: bool) -> Policy:
        """The policy in force at `at`, decided at `now`. It says whether it comes late, and whether to doubt it."""
        index = bisect_right(self._starts, at) - 1
        late = bisect_right(self._starts, now) - 1 > index
        found = max(index, 0)
        while self.stretches[found].policy is None:  # the first one is packaged, so always there
            found -= 1
        lag = lag or found != max(index, 0)
        shadows = [(s, p) for s, p in self.shadows if s.effective_from <= at and (s.ends_at is None or at < s.ends_at)]
        key = (found, late, lag, tuple(s.seq for s, _ in shadows))
        policy = self._made.get(key)
        if policy is None:
            policy = self._made[key] = self._policy(found, late, lag, shadows)
        return policy

    def _policy(self, index: int, late: bool, lag: bool, shadows: list[tuple[Activation, Policy]]) -> Policy:
        stretch, notice = self.stretches[index], self.beside
        assert stretch.policy is not None
        active = replace(stretch.policy, activation=stretch.activation, late=late, lag=lag, beside=None)
        if not shadows or notice is None:
            return active

        def beside(result: PolicyResult) -> None:
            for shadow, policy in shadows:
                notice(shadow, policy, active, result)

        return replace(active, beside=beside)


def line(
    packaged: Policy,
    versions: Mapping[VersionKey, Policy],
    activations: Iterable[Activation],
    beside: Beside | None = None,
) -> Line:
    """The snapshot that these records give. `versions` holds what this process can run."""
    known = list(activations)
    valid = standing(known)
    base = InForce(EVER, 0, packaged)
    active = sorted((a for a in valid if a.mode == "active"), key=lambda a: (a.effective_from, a.seq))
    stretches = (base, *(InForce(a.effective_from, a.seq, versions.get(version_of(a))) for a in active))
    shadows = [(a, versions[version_of(a)]) for a in valid if a.mode == "shadow" and version_of(a) in versions]
    return Line(stretches, tuple(shadows), beside, tuple(stretch.since for stretch in stretches))


def standing(activations: Iterable[Activation]) -> list[Activation]:
    """Those that no other one voids."""
    known = list(activations)
    voided = {seq for a in known for seq in a.voids}
    return [a for a in known if a.seq not in voided]


def in_force_at(activations: Iterable[Activation], at: datetime) -> Activation | None:
    """The activation that counts at `at`, or None: then it is the packaged default."""
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

    async def caught_up(self) -> None:
        """Ask before a batch of events is decided: returns when every activation that could matter is known."""
        ...


class Fixed:
    """One policy for all times: for tests and benchmarks."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def in_force(self, at: datetime, now: datetime) -> Policy:
        return self._policy

    async def caught_up(self) -> None:
        return
