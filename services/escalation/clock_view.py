"""How a complaint's clocks stand, and why each is due when it is: for people. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.escalation.domain import EscalationState
from services.escalation.domain.clocks import Clocks, Running, calendar, joined_pauses
from services.escalation.domain.promises import Target
from shared.calendar import clock as business
from shared.calendar.segments import segments
from shared.calendar.zones import to_instant, to_seconds


def overview(state: EscalationState, now: datetime) -> dict[str, Any]:
    """All clocks: what is due when, where each stands at `now`, and who set it. Live ones first, the soonest first."""
    at, running = to_seconds(now), state.clocks.running
    ordered = sorted(running, key=lambda each: (not each.live, each.due is None, each.due or 0, each.key))
    return {
        "status": state.facts.status,
        "tier": state.tiers.tier,
        "desks": list(state.tiers.desks),
        "as_of": now,
        "paused_since": _instant(state.clocks.paused_since),
        "clocks": [_standing(state.clocks, each, at) for each in ordered],
    }


def explain(state: EscalationState, name: str, now: datetime) -> dict[str, Any] | None:
    """One clock, segment by segment, and every target that was promised for it. None: there is no clock of that name."""
    found = next((each for each in state.clocks.running if each.key == name), None)
    if found is None:
        return None
    at = min(each for each in (to_seconds(now), found.met, found.missed) if each is not None)
    target, pauses = found.targets[found.binding], _pauses(state.clocks, found)
    counts = calendar(state.clocks, target)
    return {
        **_standing(state.clocks, found, to_seconds(now)),
        "calendar_text": state.clocks.calendars[target.calendar],
        "promised": [_promise(state.clocks, found, each) for each in found.targets],
        "segments": [
            {
                "from": to_instant(each.begin), "to": _instant(each.end), "counted_s": each.counted_s,
                "to_count_s": each.to_count_s, "why": each.why,
            }
            for each in segments(counts, found.started, target.duration, pauses, at)
        ],
    }  # fmt: skip


def _standing(clocks: Clocks, clock: Running, now: int) -> dict[str, Any]:
    target = clock.targets[clock.binding]
    counts, pauses = calendar(clocks, target), _pauses(clocks, clock)
    stopped = min(each for each in (now, clock.met, clock.missed) if each is not None)
    reading = business.read(counts, clock.started, target.duration, pauses, stopped)
    return {
        "name": clock.key,
        "state": _state(clock, reading.state),
        "due_at": _instant(clock.due),
        "started_at": to_instant(clock.started),
        "counted_s": reading.counted_s,
        "budget_s": None if target.duration.unit == "bd" else business.budget_s(counts, clock.started, target.duration),
        "legal": clock.legal,
        "pausable": clock.pausable,
        "met_by": clock.met_by,
        "met_at": _instant(clock.met),
        "missed_at": _instant(clock.missed),
        "warns_at": _instant(clock.warn) if clock.live else None,
        "zone": counts.zone,
        **_by(target),
    }


def _state(clock: Running, reading: str) -> str:
    if clock.met is not None:
        return "met late" if clock.missed is not None or (clock.due is not None and clock.met >= clock.due) else "met"
    return "missed" if clock.missed is not None else reading


def _promise(clocks: Clocks, clock: Running, target: Target) -> dict[str, Any]:
    due = business.due_at(calendar(clocks, target), clock.started, target.duration, _pauses(clocks, clock))
    return {**_by(target), "due_at": _instant(due)}


def _by(target: Target) -> dict[str, Any]:
    return {
        "target": target.text, "calendar": target.calendar, "policy": target.policy, "version": target.version, "rules": target.rules
    }  # fmt: skip


def _pauses(clocks: Clocks, clock: Running) -> list[tuple[int, int]]:
    return joined_pauses(clocks) if clock.pausable else []


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else to_instant(seconds)
