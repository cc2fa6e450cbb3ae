"""The records of the policy topics: versions, activations, and what each replica runs. Plain JSON under text keys.

They are no events about a complaint: the newest record of a key is its value (compacted topics, one partition each).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(max_length=200)]
Why = Annotated[str, StringConstraints(max_length=2000)]


class PolicyRecord(BaseModel):
    """Frozen; readers ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class VersionPublished(PolicyRecord):
    """One version of a policy document, as its author wrote it. Never changed: `digest` names its exact content.

    `parts` are the further texts that it names, such as lexicons, by that name.
    """

    policy: Name
    version: Annotated[int, Field(ge=1)]
    digest: Name
    kind: Name
    service: Name
    text: str
    parts: dict[str, str] = Field(default_factory=dict)
    by: Name
    published_at: AwareDatetime

    @property
    def key(self) -> str:
        return f"{self.policy}/{self.version}"


class Activation(PolicyRecord):
    """Puts a version in force at one service from `effective_from` on, or (mode `shadow`) evaluates it beside.

    `seq` counts the activations of the service: 1, 2, 3... `voids` names earlier ones that count no more, from now on
    and for everything not decided yet. Mode `proposed`: the first of two approvals; `ended`: only voids. `packaged`: the
    service's own default, recorded by the service itself. `override`: why it was activated although a guardrail was
    breached. `ends_at`: only of a shadow. Mode `canary`: in force for `percent` of the complaints, until the next activation.
    """

    service: Name
    kind: Name
    seq: Annotated[int, Field(ge=1)]
    policy: Name
    version: Annotated[int, Field(ge=1)]
    digest: Name
    mode: Literal["active", "canary", "shadow", "proposed", "ended"] = "active"
    percent: Annotated[int, Field(ge=1, le=100)] | None = None
    effective_from: AwareDatetime
    ends_at: AwareDatetime | None = None
    by: tuple[Name, ...]
    reason: Why
    decided_at: AwareDatetime
    voids: tuple[int, ...] = ()
    packaged: bool = False
    override: Why | None = None

    @property
    def key(self) -> str:
        return f"{self.policy}/{self.seq}"


class Rejected(PolicyRecord):
    """A version that a replica cannot run, and why."""

    policy: Name
    version: int
    reason: str


class ShadowFigures(PolicyRecord):
    """What a replica has seen of a shadow since it started: decisions compared, those that differ, errors, examples.

    `differing` counts by outcome. An example holds the inputs and both outcomes: no text and no identifiers.
    """

    seq: int
    policy: Name
    version: int
    decisions: int
    different: int
    errors: int
    differing: dict[str, int] = Field(default_factory=dict)
    examples: tuple[dict[str, Any], ...] = ()


class ReplicaStatus(PolicyRecord):
    """What one process runs. `packs`: further policies in force, as
    `policy/version`; `canaries`: what is in force for a share of the complaints, as `policy/version 10%`. `known`: the last
    activation that it has taken in. `loaded`: digests by `policy/version`. `fresh`: it has lately seen the end of the topics."""

    service: Name
    replica: Name
    at: AwareDatetime
    started_at: AwareDatetime
    policy: Name
    version: int
    digest: Name
    activation: int
    packs: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    known: int = 0
    fresh: bool
    loaded: dict[str, str] = Field(default_factory=dict)
    rejected: tuple[Rejected, ...] = ()
    shadows: tuple[ShadowFigures, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.service}/{self.replica}"


EVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")  # since when the first packaged default counts
