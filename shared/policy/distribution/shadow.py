"""Shadows: a version evaluated beside the one in force. It only counts and keeps examples; it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.contracts.policies import Activation, ShadowFigures
from shared.policy.evaluate import Policy, PolicyResult
from shared.telemetry import metrics

MOST_EXAMPLES = 20
MOST_KINDS = 100


@dataclass(slots=True)
class _Seen:
    decisions: int = 0
    different: int = 0
    errors: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


class Shadows:
    """What one process has seen of each shadow. A decision that a conflict repeats is counted again."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._seen: dict[int, tuple[Activation, _Seen]] = {}

    def notice(self, shadow: Activation, policy: Policy, active: Policy, result: PolicyResult) -> None:
        """Decide by the shadow what `active` has decided. Whatever goes wrong is counted, never raised."""
        _, seen = self._seen.setdefault(shadow.seq, (shadow, _Seen()))
        seen.decisions += 1
        outcome = "same"
        try:
            beside = policy.rules.decide(result.facts)
            differing = _differing(result.outcome, beside.outcome)
            if beside.degraded and not result.degraded:
                outcome = "error"
                seen.errors += 1
            elif differing:
                outcome = "different"
                seen.different += 1
                for each in differing:
                    if each in seen.differing or len(seen.differing) < MOST_KINDS:
                        seen.differing[each] = seen.differing.get(each, 0) + 1
                if len(seen.examples) < MOST_EXAMPLES:
                    seen.examples.append(_example(active, result, beside))
        except Exception:
            outcome = "error"
            seen.errors += 1
        metrics.SHADOW_DECISIONS.labels(self._service, shadow.policy, str(shadow.version), outcome).inc()

    def figures(self) -> tuple[ShadowFigures, ...]:
        """Of every shadow since the process started."""
        return tuple(
            ShadowFigures(
                seq=shadow.seq, policy=shadow.policy, version=shadow.version, decisions=seen.decisions,
                different=seen.different, errors=seen.errors, differing=dict(seen.differing), examples=tuple(seen.examples),
            )
            for shadow, seen in self._seen.values()
        )  # fmt: skip


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Each outcome that changes, as "tier: 1 -> 2"."""
    names = sorted({*before, *after})
    return [f"{n}: {before.get(n, '-')} -> {after.get(n, '-')}" for n in names if before.get(n) != after.get(n)]


def _example(active: Policy, result: PolicyResult, beside: PolicyResult) -> dict[str, Any]:
    inputs = {**result.inputs, **beside.inputs}
    return {
        "active": {"version": active.version, "rules": list(result.rules), "outcome": result.outcome},
        "shadow": {"rules": list(beside.rules), "outcome": beside.outcome},
        "inputs": inputs,
    }
