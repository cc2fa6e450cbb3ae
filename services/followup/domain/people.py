"""Whether the customer may be written to, what bounced, and what people have done for us. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.followup.domain import outgoing
from services.followup.domain.promises import Command
from services.followup.domain.state import FollowUpState
from shared.contracts.complaints import Short
from shared.contracts.decision import Decision, Refused
from shared.contracts.escalations import Stated
from shared.contracts.followups import ContactAllowed, ContactStopped, TaskDone
from shared.frozen import replace

S = FollowUpState
_WHY = {
    "died": "the customer has died",
    "asked": "the customer asked for no contact",
    "quiet_list": "the customer is on the quiet list",
}


class StopContact(Command):
    """The customer hears nothing more from us by themselves: they died, asked for it, or are on a quiet list."""

    reason: Literal["died", "asked", "quiet_list"]


class AllowContact(Command):
    """The customer may be written to again."""

    reason: Stated


class Bounced(Command):
    """A message that had left came back: `message` is its name in the events, else the last one by that channel."""

    message: Short
    reason: Stated


class FinishTask(Command):
    """A task was done, with what came of it."""

    task: Short
    result: Stated


def stop(state: S, command: StopContact) -> Decision[S]:
    """Nobody writes to the customer any more."""
    if state.silent == _WHY[command.reason]:
        return Decision(state)
    event = ContactStopped(reason=_WHY[command.reason], by=command.by)
    return Decision(replace(state, silent=event.reason), (event,))


def allow(state: S, command: AllowContact) -> Decision[S] | Refused:
    """Lifts `stop`. Plans are made again with the next event of the complaint."""
    if not state.silent:
        return Refused(409, "Contact is allowed", "Nobody has stopped contact with this customer.")
    return Decision(replace(state, silent=""), (ContactAllowed(reason=command.reason[:255], by=command.by),))


def bounced(state: S, command: Bounced, now: datetime) -> Decision[S] | Refused:
    """A bounce that came back after the mail had left: the next channel is tried."""
    out = next((each for each in state.outbound if each.name == command.message), None)
    if out is None:
        known = ", ".join(each.name for each in state.outbound) or "none"
        return Refused(404, "No such message", f"There is no message '{command.message}' of late; there is {known}.")
    return outgoing.came_back(state, out, command.reason, now)


def finish(state: S, command: FinishTask) -> Decision[S] | Refused:
    """A task that was done is no longer open."""
    if all(task.id != command.task for task in state.tasks):
        return Refused(404, "No such task", f"This complaint has no open task '{command.task}'.")
    event = TaskDone(task=command.task, result=command.result, by=command.by)
    return Decision(replace(state, tasks=tuple(task for task in state.tasks if task.id != command.task)), (event,))
