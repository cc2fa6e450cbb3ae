"""What a document's guardrails may limit, and how far: `tier_3_share: +2pp`, `redress_cost: +5%`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from shared.policy.problems import did_you_mean

Form = Literal["count", "share", "rate"]

# Name -> the forms of its limit. `count`: at most so many. `share`: percentage points more. `rate`: percent more.
METRICS: dict[str, tuple[tuple[Form, ...], str]] = {
    "changed_open_promises_worse": (("count",), "Promises to customers, still open, that the change would make worse."),
    "deadlines_later": (("count", "share"), "Deadlines that move later."),
    "changed_share": (("share",), "Decisions that come out differently."),
    "redress_cost": (("rate",), "What handlers may offer without asking, in all."),
    "support_needs_worse": (("count",), "Decisions about customers with support needs that get worse."),
    "degraded": (("count",), "Decisions that could not be made by the rules."),
}
_TIER = re.compile(r"tier_([1-9])_(share|peak)")
_LIMIT = re.compile(r"\+?([0-9]{1,9}(?:\.[0-9]{1,4})?)(pp|%|)")
_FORMS: dict[str, Form] = {"pp": "share", "%": "rate", "": "count"}
_EXAMPLES: dict[Form, str] = {"count": "0", "share": "+2pp", "rate": "+5%"}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` more: cases (count), percentage points (share) or percent (rate)."""

    form: Form
    amount: float


class LimitRefused(ValueError):
    """There is no such guardrail, or its limit has another form. The message says what to write."""


def forms(name: str) -> tuple[Form, ...]:
    """The forms that the limit of a metric can have; () if there is no such metric."""
    if found := _TIER.fullmatch(name):
        return ("share",) if found[2] == "share" else ("rate",)
    return METRICS[name][0] if name in METRICS else ()


def read_limit(name: str, value: Any) -> Limit:
    """The limit that a document gives. Raises LimitRefused."""
    allowed = forms(name)
    if not allowed:
        known = [*METRICS, *(f"tier_{tier}_{what}" for tier in range(1, 5) for what in ("share", "peak"))]
        hint = did_you_mean(name, known) or f"; known: {', '.join(METRICS)}, tier_N_share, tier_N_peak"
        raise LimitRefused(f"there is no guardrail '{name}'{hint}")
    found = None if isinstance(value, bool) else _LIMIT.fullmatch(str(value))
    if found is None or _FORMS[found[2]] not in allowed:
        examples = " or ".join(_EXAMPLES[form] for form in allowed)
        raise LimitRefused(f"the limit of {name} is written as {examples}, not '{str(value)[:40]}'")
    return Limit(_FORMS[found[2]], float(found[1]))
