"""Progress updates: the customer hears from us in time, news or no news. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict

from services.followup.domain import channels, outgoing, promises
from services.followup.domain.plan import waking_hours
from services.followup.domain.promises import Command
from services.followup.domain.state import MOST, FollowUpState, Planned
from services.followup.domain.waking import next_waking
from shared.contracts.decision import Decision, Timer
from shared.contracts.escalations import Stated
from shared.contracts.followups import UpdateCancelled, UpdateDue, UpdateKind, UpdateScheduled
from shared.frozen import dataclass, replace
from shared.policy import calendars, targets
from shared.policy.complaint import citation
from shared.policy.evaluate import Policy, PolicyResult

S = FollowUpState
UPDATE = "update"
KINDS: dict[str, UpdateKind] = {"progress_update": "progress_update", "holding_response": "holding_response"}


class NoteProgress(Command):
    """What was done for the complaint, or what comes next: the next update to the customer says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: Stated | None = None
    next_step: Stated | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What the next update says. `by`: when the customer hears again. `owns`: broken promises, in words."""

    kind: str
    done: tuple[str, ...]
    next_step: str
    by: datetime | None
    owns: tuple[str, ...]


def draft(state: S, kind: str, by: datetime | None) -> Draft:
    """What was done since the customer last heard, what comes next and when; and what has to be owned."""
    return Draft(kind, state.done, state.next_step, by, tuple(promise.what for promise in state.to_own))


def note(state: S, command: NoteProgress) -> Decision[S]:
    """Keep what a person says for the next update."""
    done = (*state.done, command.done) if command.done else state.done
    return Decision(replace(state, done=done[-MOST:], next_step=command.next_step or state.next_step))


def due(state: S, planned: Planned, now: datetime, policy: Policy) -> Decision[S]:
    """The update goes out as the policy says at its due time; then the next one is planned."""
    result = policy.decide(state.facts.as_of(planned.due_at))
    kind = KINDS.get(result.outcome["action"])
    if kind is None or state.silent:
        why = state.silent or f"the policy now says {result.outcome['action']}"
        return Decision(replace(state, update=None), (UpdateCancelled(number=planned.number, reason=why),))
    event = UpdateDue(
        number=planned.number, kind=kind, due_at=planned.due_at, fired_at=now, channel=planned.channel,
        policy=citation(policy, result),
    )  # fmt: skip
    heard = replace(state, update=None, facts=state.facts.after_reply(now))
    following = plan(heard, now, policy, result)
    by = following.state.update.due_at if following.state.update else None
    words = draft(state, kind, by)
    values: dict[str, Any] = {
        "kind": kind, "done": list(words.done), "next_step": words.next_step, "owns_what": list(words.owns),
        "owns": [promise.id for promise in state.to_own], "by": by.isoformat() if by else None,
        "late": (now - planned.due_at).total_seconds() > outgoing.LATE_S, "enclose": result.outcome.get("enclose", []),
        "zone": state.person.zone or policy.calendar_zone,
    }  # fmt: skip
    by_ways = ways(state, result.outcome, policy)
    sent = outgoing.send(promises.owned(following.state), UPDATE, planned.number, kind, by_ways, values, now, planned.due_at)
    return Decision(sent.state, (event, *following.events, *sent.events), following.timers, messages=sent.messages)


def plan(state: S, at: datetime, policy: Policy, result: PolicyResult) -> Decision[S]:
    """Plan the next update (or move the planned one to the new cadence), as often as the policy allows."""
    outcome = result.outcome
    kind = KINDS.get(outcome["action"])
    number = state.update.number if state.update else state.updates + 1
    span = outcome.get("every") if state.updates or "after" not in outcome else outcome["after"]
    if kind is None or span is None or number > outcome.get("max_contacts", number):
        return Decision(state)
    zone = state.person.zone or policy.calendar_zone
    wanted = calendars.due_at(policy.calendar, at, targets.parse(span))
    due_at = next_waking(wanted, zone, waking_hours(outcome)) or wanted
    by = ways(state, outcome, policy)
    planned = Planned(number=number, kind=kind, due_at=due_at, channel=by[0] if by else "any", every=outcome.get("every"))
    event = UpdateScheduled(
        number=number, kind=kind, due_at=due_at, channel=planned.channel, policy=citation(policy, result)
    )
    return Decision(replace(state, updates=number, update=planned), (event,), (Timer(UPDATE, due_at),))


def move(state: S, at: datetime, policy: Policy) -> Decision[S]:
    """The customer has just heard from us: the planned update counts from there."""
    result = policy.decide(state.facts.as_of(at))
    return plan(state, at, policy, result) if result.outcome["action"] in KINDS else Decision(state)


def cancel(state: S, why: str) -> Decision[S]:
    """No update any more."""
    if state.update is None:
        return Decision(state)
    event = UpdateCancelled(number=state.update.number, reason=why[:255])
    return Decision(replace(state, update=None), (event,), cancel=(UPDATE,))


def ways(state: S, outcome: dict[str, Any], policy: Policy) -> tuple[str, ...]:
    """By which channels the customer hears, best first."""
    reach = state.reach(policy.calendar)
    return channels.in_order(outcome.get("channel", "preferred"), reach.preference, reach.came_by, reach.reachable)
