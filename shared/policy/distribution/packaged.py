"""The default that comes with a service: recorded by the service itself, as a version and an activation like any other."""

from __future__ import annotations

from importlib import metadata

import structlog

from shared.clock import utc_now
from shared.contracts.policies import EVER, Activation, VersionPublished
from shared.policy.distribution.records import Records
from shared.policy.evaluate import Policy

log = structlog.get_logger(__name__)


def packaged_activation(packaged: Policy, text: str, records: Records) -> list[VersionPublished | Activation]:
    """What a service records of its packaged default: nothing if it is there, or if people have chosen another one.

    The first one counts since ever, so that no time is without a policy; one that a later release brings, from now on, as
    long as nobody has activated anything.
    """
    known, now = records.of_service(packaged.service), utc_now()
    own = [a for a in known if a.packaged]
    if own and any(a.kind == packaged.kind and a.mode == "active" and not a.packaged for a in known):
        return []
    if any((a.policy, a.version) == (packaged.id, packaged.version) or _later(a, packaged) for a in own):
        return []
    published = records.versions.get(f"{packaged.id}/{packaged.version}")
    if published is not None and published.digest != packaged.digest:
        log.warning(
            "the packaged policy differs from the published one of its version; that one counts", policy=packaged.id
        )
        return []
    by = f"amends {metadata.version('amends')}"
    activation = Activation(
        service=packaged.service, kind=packaged.kind, seq=max((a.seq for a in known), default=0) + 1, policy=packaged.id,
        version=packaged.version, digest=packaged.digest, effective_from=now if own else EVER, by=(by,),
        reason="packaged with the service", decided_at=now, packaged=True,
    )  # fmt: skip
    if published is not None:
        return [activation]
    version = VersionPublished(
        policy=packaged.id, version=packaged.version, digest=packaged.digest, kind=packaged.kind, service=packaged.service,
        text=text, by=by, published_at=now,
    )  # fmt: skip
    return [version, activation]


def _later(activation: Activation, packaged: Policy) -> bool:
    return activation.policy == packaged.id and activation.version > packaged.version
