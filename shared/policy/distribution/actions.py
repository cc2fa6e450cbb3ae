"""What people do to policies: publish, activate, roll back. Pure: the records that are there in, new records out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.policies import Activation, VersionPublished
from shared.errors import AmendsError
from shared.policy.distribution.line import SEVERAL, Versioned, canaries_of, canary_at, in_force_at, order, standing
from shared.policy.distribution.records import Records

# A person's activation takes effect so much later at the earliest: every replica knows it by then (replica.py).
MIN_LEAD = timedelta(seconds=10)
PROPOSAL_LASTS = timedelta(days=7)


class NotDone(AmendsError):
    """The request cannot be fulfilled. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for an activation, and how. `at` None: as soon as every replica can know of it. `percent`: as a canary."""

    by: str
    reason: str
    at: datetime | None = None
    in_the_past: bool = False
    override: str | None = None
    percent: int | None = None


def publish(
    records: Records, policy: Versioned, text: str, by: str, now: datetime, parts: Mapping[str, str] | None = None
) -> list[VersionPublished]:
    """Nothing if exactly this is published already. Raises NotDone: a version has one content for ever."""
    there = records.versions.get(f"{policy.id}/{policy.version}")
    if there is not None and there.digest != policy.digest:
        raise NotDone(
            f"{policy.id} version {policy.version} is published with another content, by {there.by} on "
            f"{there.published_at:%d %b %Y}: give this one a higher metadata.version"
        )
    if there is not None:
        return []
    for other in records.versions.values():
        if other.policy == policy.id and other.kind != policy.kind:
            raise NotDone(f"{policy.id} is a {other.kind} already: choose another metadata.id")
    version = VersionPublished(
        policy=policy.id, version=policy.version, digest=policy.digest, kind=policy.kind, service=policy.service, text=text,
        parts=dict(parts or {}), by=by, published_at=now,
    )  # fmt: skip
    return [version]


def published(records: Records, policy: str, version: int | None = None) -> VersionPublished:
    """That version, or the newest. Raises NotDone."""
    versions = sorted((v for v in records.versions.values() if v.policy == policy), key=lambda v: v.version)
    if not versions:
        known = sorted({v.policy for v in records.versions.values()})
        raise NotDone(f"no policy '{policy}' is published" + (f"; there is {', '.join(known)}" if known else ""))
    found = versions[-1] if version is None else next((v for v in versions if v.version == version), None)
    if found is None:
        raise NotDone(f"{policy} has no version {version}; it has {', '.join(str(v.version) for v in versions)}")
    return found


def in_slot(records: Records, version: VersionPublished) -> list[Activation]:
    """The activations that it would replace or follow, by seq."""
    return [
        a
        for a in records.of_service(version.service)
        if a.kind == version.kind and (version.kind not in SEVERAL or a.policy == version.policy)
    ]


def activate(
    records: Records, version: VersionPublished, approvers: int, request: Request, now: datetime
) -> list[Activation]:
    """The activation, or the proposal of the first of two; nothing if it is what will be in force then anyway."""
    slot = standing(in_slot(records, version))
    earliest = now + MIN_LEAD
    at = request.at or earliest
    if at < earliest and not request.in_the_past:
        raise NotDone(
            f"{at:%d %b %Y %H:%M:%S %Z} is not {MIN_LEAD.seconds} seconds ahead, so a replica might not know it in time; "
            "say --in-the-past to apply it to what happened since then and is not decided yet"
        )
    current = in_force_at(slot, at)
    canary = canary_at(slot, at)
    if canary is not None and _is(canary, version) and canary.percent == request.percent:
        return []
    if current is not None and _is(current, version) and canary is None:
        return []
    proposals = [
        a
        for a in slot
        if a.mode == "proposed" and _is(a, version) and a.percent == request.percent and now < a.decided_at + PROPOSAL_LASTS
    ]
    voids = [a.seq for a in slot if a.mode == "shadow" and _is(a, version)]
    by: tuple[str, ...] = (request.by,)
    share = {} if request.percent is None else {"percent": request.percent}
    if approvers > 1:
        if not proposals:
            return [_next(records, version, request, now, mode="proposed", effective_from=at, by=by, **share)]
        first = proposals[-1]
        if request.by in first.by:
            raise NotDone(
                f"{version.policy} version {version.version} needs a second person: {', '.join(first.by)} proposed it on "
                f"{first.decided_at:%d %b %H:%M}; the same key cannot approve it"
            )
        by, voids = (*first.by, request.by), [*voids, *(a.seq for a in proposals)]
        if request.at is None and not request.in_the_past:
            at = max(first.effective_from, earliest)
    mode = "active" if request.percent is None else "canary"
    return [_next(records, version, request, now, mode=mode, effective_from=at, by=by, voids=voids, **share)]


def shadow(
    records: Records, version: VersionPublished, request: Request, ends_at: datetime | None, now: datetime
) -> list[Activation]:
    """Evaluate the version beside the one in force, from now on. Takes the place of the policy's earlier shadows."""
    voids = [a.seq for a in standing(in_slot(records, version)) if a.mode == "shadow" and a.policy == version.policy]
    return [_next(records, version, request, now, mode="shadow", effective_from=now, ends_at=ends_at, voids=voids)]


def end_shadow(records: Records, version: VersionPublished, request: Request, now: datetime) -> list[Activation]:
    """No version of the policy is evaluated beside any more."""
    voids = [a.seq for a in standing(in_slot(records, version)) if a.mode == "shadow" and a.policy == version.policy]
    if not voids:
        raise NotDone(f"{version.policy} has no shadow")
    return [_next(records, version, request, now, mode="ended", effective_from=now, voids=voids)]


def roll_back(
    records: Records, version: VersionPublished, to: int | None, request: Request, now: datetime
) -> list[Activation]:
    """Back to the version before, or to `to`: activated at once, and everything since is void, also what is scheduled.

    A canary is ended, and what is in force for all others stays. A pack that has none before is switched off.
    """
    slot = standing(in_slot(records, version))
    steps = sorted((a for a in slot if a.mode in ("active", "canary")), key=order)
    current = in_force_at(slot, now)
    proposed = [a.seq for a in slot if a.mode == "proposed"]
    if to is None and (canaries := canaries_of(slot, now)):
        later = [a.seq for a in steps if order(a) >= order(canaries[0])]
        return [_next(records, version, request, now, mode="ended", effective_from=now, voids=[*later, *proposed])]
    if current is None:
        raise NotDone(f"nothing of {version.policy} is in force")
    past = [a for a in steps if a.mode == "active" and order(a) <= order(current)]
    target = _target(past, to, version, pending=bool(proposed) or order(steps[-1]) > order(current))
    voids = [*(a.seq for a in steps if target is None or order(a) > order(target)), *proposed]
    if not voids:
        raise NotDone(f"{version.policy} version {current.version} is in force, and nothing is scheduled")
    if target is None:
        return [_next(records, version, request, now, mode="ended", effective_from=now, voids=voids)]
    older = records.versions.get(f"{target.policy}/{target.version}")
    if older is None or older.digest != target.digest:
        raise NotDone(f"{target.policy} version {target.version} is not published any more")
    return [_next(records, older, request, now, effective_from=now, voids=voids)]


def _target(past: Sequence[Activation], to: int | None, version: VersionPublished, *, pending: bool) -> Activation | None:
    """The activation to go back to; None: switch the pack off. `pending`: something is scheduled or proposed."""
    current = past[-1]
    if to is not None:
        found = [a for a in past if a.version == to and a.policy in (version.policy, current.policy)]
        if not found:
            raise NotDone(f"version {to} was not in force before; put it in force with: amends policy activate")
        return found[-1]
    before = [a for a in past if (a.policy, a.version) != (current.policy, current.version)]
    if before:
        return before[-1]
    if version.kind in SEVERAL:
        return None
    withdraw = f"; to withdraw only what is scheduled or proposed: --to {current.version}" if pending else ""
    raise NotDone(f"{current.policy} version {current.version} is the first one: there is none to go back to{withdraw}")


def _next(records: Records, version: VersionPublished, request: Request, now: datetime, **more: object) -> Activation:
    seq = max((a.seq for a in records.of_service(version.service)), default=0) + 1
    fields = {"by": (request.by,), "voids": ()} | more
    fields["voids"] = tuple(fields["voids"])  # type: ignore[arg-type]
    return Activation.model_validate(
        {
            "service": version.service, "kind": version.kind, "seq": seq, "policy": version.policy,
            "version": version.version, "digest": version.digest, "reason": request.reason, "decided_at": now,
            "override": request.override, **fields,
        }
    )  # fmt: skip


def _is(activation: Activation, version: VersionPublished) -> bool:
    return (activation.policy, activation.version) == (version.policy, version.version)


def scheduled(activations: Iterable[Activation], now: datetime) -> list[Activation]:
    """What will be in force later, in that order."""
    return sorted((a for a in standing(activations) if a.mode == "active" and a.effective_from > now), key=order)
