"""Tells the events of follow-up: promises, check-ins and what came of them. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Data = Mapping[str, Any]


def when(iso: str, zone: str) -> str:
    """A time for people, in `zone`."""
    at = datetime.fromisoformat(iso)
    with contextlib.suppress(ZoneInfoNotFoundError):
        at = at.astimezone(ZoneInfo(zone))
    return f"{at:%a %d %b %H:%M %Z}"


def _by(data: Data) -> str:
    return f", by {data['by']}"


def _also(data: Data, name: str, before: str = ": ") -> str:
    return f"{before}{data[name]}" if data.get(name) else ""


def _proposed(data: Data) -> str:
    due = f", due {when(data['due_at'], data['zone'])}" if data.get("due_at") else ""
    return f'{data["promise"]}: "{data["quote"]}"{due}; a person confirms or dismisses it'


def _made(data: Data) -> str:
    due = when(data["due_at"], data["zone"])
    return f"{data['promise']}: {data['what']}, due {due}, kept by {data['owner']}{_also(data, 'nobody_works', '; ')}"


def _broken(data: Data) -> str:
    return f"{data['promise']}: {data['what']}, due {when(data['due_at'], 'UTC')}, kept by nobody ({data['owner']})"


def _answered(data: Data) -> str:
    changed = f" (before: {data['previous']})" if data.get("previous") else ""
    comment = f': "{data["comment"]}"' if data.get("comment") else ""
    return f"{data['answer']}{changed} by {data['via']}{comment}"


def _outcome(data: Data) -> str:
    kept, broken = data.get("promises_kept", 0), data.get("promises_broken", 0)
    return f"{data['outcome'].replace('_', ' ')}; {kept} promises kept, {broken} broken, reopened {data.get('reopened', 0)} times"


# Type -> what happened in a word or two, and how the rest is told in a line.
TELLERS: dict[str, tuple[str, Callable[[Data], str]]] = {
    "amends.followup.promise_proposed.v1": ("promise?", _proposed),
    "amends.followup.promise_made.v1": ("promised", _made),
    "amends.followup.promise_due_soon.v1": (
        "promise due", lambda d: f"{d['promise']}: {d['what']}, {d['owner']} is reminded",
    ),
    "amends.followup.promise_kept.v1": (
        "promise kept", lambda d: f"{d['promise']}{' late' if d.get('late') else ''}: {d['evidence']}{_by(d)}",
    ),
    "amends.followup.promise_broken.v1": ("promise broken", _broken),
    "amends.followup.promise_withdrawn.v1": ("promise withdrawn", lambda d: f"{d['promise']}: {d['reason']}{_by(d)}"),
    "amends.followup.update_sent.v1": (
        "update sent",
        lambda d: f"number {d['number']} by {d['channel']}" + (f", owning {', '.join(d['owns'])}" if d.get("owns") else ""),
    ),
    "amends.followup.hand_off_told.v1": (
        "customer told",
        lambda d: f"who has it, by {d['channel']}" + (f", owning {', '.join(d['owns'])}" if d.get("owns") else ""),
    ),
    "amends.followup.check_in_sent.v1": (
        "asked", lambda d: f"whether it is solved, by {d['channel']}{', late' if d.get('late') else ''}",
    ),
    "amends.followup.check_in_answered.v1": ("answered", _answered),
    "amends.followup.check_in_unanswered.v1": ("no answer", lambda d: f"asked {d['asked']} times: unverified"),
    "amends.followup.fact_checked.v1": (
        "fact checked",
        lambda d: f"{d['fact'].replace('_', ' ')}: {'proved' if d['proved'] else 'not so'}{_also(d, 'evidence')}{_by(d)}",
    ),
    "amends.followup.message_failed.v1": (
        "message failed", lambda d: f"by {d['channel']}: {d['reason']}{_also(d, 'next_channel', '; next by ')}",
    ),
    "amends.followup.task_created.v1": ("task", lambda d: f"{d['task']}: {d['what']}, due {when(d['due_at'], 'UTC')}"),
    "amends.followup.task_done.v1": ("task done", lambda d: f"{d['task']}: {d['result']}{_by(d)}"),
    "amends.followup.contact_stopped.v1": ("contact stopped", lambda d: f"{d['reason']}{_by(d)}"),
    "amends.followup.contact_allowed.v1": ("contact allowed", lambda d: f"{d['reason']}{_by(d)}"),
    "amends.followup.outcome_recorded.v1": ("outcome", _outcome),
}  # fmt: skip
