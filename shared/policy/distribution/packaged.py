"""The default that comes with a service: recorded by the service itself, as a version and an activation like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.resources.abc import Traversable

import structlog

from shared.clock import utc_now
from shared.contracts.policies import EVER, Activation, VersionPublished
from shared.policy.distribution.line import Versioned
from shared.policy.distribution.records import Records
from shared.policy.distribution.versions import load_version

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Packaged:
    """A document that comes with a service: compiled, as text, and what stands beside it."""

    document: Versioned
    text: str
    parts: Mapping[str, str]


def packaged(text: str, *, origin: str, folder: Traversable | None = None) -> Packaged:
    """The document, with the texts in `folder` that it names. Raises PolicyRefused."""
    parts: dict[str, str] = {}

    def beside(name: str) -> str:
        if folder is None:
            raise FileNotFoundError(name)
        parts[name] = folder.joinpath(*name.split("/")).read_text(encoding="utf-8")
        return parts[name]

    return Packaged(load_version(text, origin=origin, beside=beside), text, parts)


def packaged_activation(default: Packaged, records: Records) -> list[VersionPublished | Activation]:
    """What a service records of its packaged default: nothing if it is there, or if people have chosen another one.

    The first one counts since ever, so that no time is without a policy; one that a later release brings, from now on, as
    long as nobody has activated anything.
    """
    packaged = default.document
    known, now = records.of_service(packaged.service), utc_now()
    own = [a for a in known if a.packaged and a.kind == packaged.kind]
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
        text=default.text, parts=dict(default.parts), by=by, published_at=now,
    )  # fmt: skip
    return [version, activation]


def _later(activation: Activation, packaged: Versioned) -> bool:
    return activation.policy == packaged.id and activation.version > packaged.version
