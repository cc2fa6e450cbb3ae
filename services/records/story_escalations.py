"""Tells the events of escalation about clocks and tiers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.records.story_followups import when

Data = Mapping[str, Any]


def _name(clock: Data) -> str:
    name = str(clock["clock"]).replace("_", " ")
    return f"{name} ({clock['regime']})" if clock.get("regime") else name


def due(clock: Data) -> str:
    """A clock with its deadline, and who set it."""
    due = when(clock["due_at"], clock["zone"]) if clock.get("due_at") else "not known while it is paused"
    return f"{_name(clock)} due {due} ({clock['target']}, {', '.join(clock['rules'])} of {clock['policy']}/{clock['version']})"


def _set(data: Data) -> str:
    return f"{data['why']}: " + "; ".join(due(each) for each in data["deadlines"])


def _resumed(data: Data) -> str:
    return f"{data['why']}: " + "; ".join(due(each) for each in data["deadlines"])


def _met(data: Data) -> str:
    return ", ".join(_name(each["deadline"]) + _how(each) for each in data["clocks"])


def _how(met: Data) -> str:
    if met.get("late"):
        return " late"
    return " in time: the miss is withdrawn" if met.get("after_miss") else ""


def _escalated(data: Data) -> str:
    desks = f", {', '.join(data['added_desks'])} desk" if data.get("added_desks") else ""
    tier = f"tier {data['previous_tier']} to {data['tier']}" if data["tier"] != data["previous_tier"] else f"tier {data['tier']}"
    return f"{tier}{desks}: {data['cause'].replace('_', ' ')} ({data['detail']}), by {data['by']}"


# Type -> what happened in a word or two, and how the rest is told in a line.
TELLERS: dict[str, tuple[str, Callable[[Data], str]]] = {
    "amends.escalation.clocks_set.v1": ("clocks set", _set),
    "amends.escalation.limit_extended.v1": ("limit extended", lambda d: f"{d['extension']}, by {d['by']}: {d['reason']}"),
    "amends.escalation.clocks_paused.v1": (
        "clocks paused", lambda d: f"waiting for the customer: {', '.join(d['clocks'])} stand still",
    ),
    "amends.escalation.clocks_resumed.v1": ("clocks resumed", _resumed),
    "amends.escalation.clock_warned.v1": ("due soon", lambda d: due(d["deadline"])),
    "amends.escalation.clock_missed.v1": ("missed", lambda d: due(d["deadline"])),
    "amends.escalation.clocks_met.v1": ("met", _met),
    "amends.escalation.escalated.v1": ("escalated", _escalated),
    "amends.escalation.alarm_raised.v1": (
        "alarm", lambda d: f"tier {d['tier']} is the highest: {d['cause'].replace('_', ' ')} ({d['detail']})",
    ),
}  # fmt: skip
