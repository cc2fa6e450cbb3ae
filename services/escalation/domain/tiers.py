"""Who deals with a complaint: its tier, and what that tier may grant. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tier, and what a handler may offer without asking. `tier` is None until the policy has decided."""

    tier: int | None = None
    remedy_authority: dict[str, str] = field(default_factory=dict)


def decided(before: Tiers, outcome: Mapping[str, Any]) -> Tiers:
    """By a policy's outcome. The tier never falls: the customer and the staff were told the first one (ADR 8)."""
    return Tiers(max(outcome["tier"], before.tier or 0), outcome.get("remedy_authority", {}))
