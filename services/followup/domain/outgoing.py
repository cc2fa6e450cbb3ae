"""Messages to the customer: by the best channel, by the next when it fails, and at last by a person. Pure.

A message leaves here as a template's name and values; handlers.py turns that into words and sends it with the save.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.followup.domain.state import MOST, FollowUpState, Outbound, Task
from shared.contracts.decision import Decision, Message, Settled
from shared.contracts.envelope import EventData
from shared.contracts.followups import CheckInSent, HandOffTold, MessageFailed, TaskCreated, UpdateSent
from shared.frozen import replace

S = FollowUpState
# The webhook by which the contact centre sends SMS and chat for us, and gives tasks to its agents.
CONTACT_CENTRE = "contact-centre"
MESSAGE_TYPE, TASK_TYPE, NOTICE_TYPE = "amends.message.send.v1", "amends.task.created.v1", "amends.notice.v1"
# Later than this after it was due is said to be late.
LATE_S = 3600
CHECK_IN, UPDATE, HAND_OFF, THANKS = "check_in", "update", "hand_off", "thanks"
# What may stand in a header as it is.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_TASKS = {
    CHECK_IN: "Ask the customer whether it is solved: yes, partly or no",
    UPDATE: "Tell the customer where their complaint stands",
    HAND_OFF: "Tell the customer who deals with their complaint now",
    THANKS: "Thank the customer for the answer",
}


def send(
    state: S, purpose: str, number: int, template: str, channels: Sequence[str], values: dict[str, Any],
    now: datetime, due_at: datetime,
) -> Decision[S]:  # fmt: skip
    """Send the message `purpose` number `number` by the first of `channels`; the others are tried when it fails."""
    kept = [out for out in state.outbound if (out.purpose, out.number) != (purpose, number)]
    out = Outbound(
        name="", purpose=purpose, number=number, channel="", left=tuple(channels), due_at=due_at,
        values={"template": template, **values},
    )  # fmt: skip
    return _next_way(state.after_contacting(now, outbound=(*kept, out)[-MOST:]), out, now)


def settled(state: S, done: Settled, now: datetime) -> Decision[S]:
    """A message was sent, or could not be: then it goes by the next channel."""
    out = next((each for each in state.outbound if each.name == done.name), None)
    if out is None or done.outcome == "digested":
        return Decision(state)
    if done.outcome == "sent":
        return Decision(_changed(state, out, replace(out, sent=True)), _sent(out, now))
    return failed(state, out, done.reason, now)


def came_back(state: S, out: Outbound, reason: str, now: datetime) -> Decision[S]:
    """`out` had left and bounced later: the next channel, if what it says still matters."""
    question = state.question
    match out.purpose:
        case "check_in":
            matters = question is not None and question.answer is None and question.number == out.number
        case "update":
            matters = state.facts.status in ("open", "waiting")
        case _:
            matters = False
    if matters and not state.silent:
        return failed(state, out, reason, now)
    gone = tuple(each for each in state.outbound if each.name != out.name)
    return Decision(replace(state, outbound=gone), (MessageFailed(message=out.name, channel=out.channel, reason=reason[:2000]),))


def failed(state: S, out: Outbound, reason: str, now: datetime) -> Decision[S]:
    """`out` did not arrive: the next channel, or a task for a person."""
    name = out.name
    tried = _next_way(state, replace(out, sent=False), now)
    following = next((each for each in tried.state.outbound if (each.purpose, each.number) == (out.purpose, out.number)), None)
    event = MessageFailed(
        message=name, channel=out.channel, reason=reason[:2000] or "not said",
        next_channel=following.channel if following else "a person",
    )  # fmt: skip
    return Decision(tried.state, (event, *tried.events), messages=tried.messages)


def task(state: S, kind: str, what: str, due_at: datetime) -> Decision[S]:
    """A task for the people of the contact centre, told to them through its webhook."""
    number = state.tasked + 1
    new = Task(f"t{number}", kind, what, due_at)
    event = TaskCreated(task=new.id, kind=kind, what=what, due_at=due_at)
    data = {"task": new.id, "kind": kind, "what": what, "due_at": due_at.isoformat(), "record": state.person.record}
    message = Message(f"task:{new.id}", "webhook", CONTACT_CENTRE, {"type": TASK_TYPE, "data": data})
    return Decision(
        replace(state, tasked=number, tasks=(*state.tasks, new)[-MOST:]), (event,), messages=(message,)
    )


def notice(name: str, data: dict[str, Any]) -> Message:
    """Something that the contact centre should know, such as a promise that is due."""
    return Message(name, "webhook", CONTACT_CENTRE, {"type": NOTICE_TYPE, "data": data})


def _next_way(state: S, out: Outbound, now: datetime) -> Decision[S]:
    """Send by the first of the channels that are left. No more: a person does it."""
    if not out.left:
        gone = tuple(each for each in state.outbound if (each.purpose, each.number) != (out.purpose, out.number))
        return task(replace(state, outbound=gone), out.purpose, _TASKS[out.purpose], out.due_at or now)
    channel, *left = out.left
    out = replace(out, name=f"{out.purpose}:{out.number}:{channel}", channel=channel, left=tuple(left))
    after = replace(
        state,
        outbound=tuple(out if (e.purpose, e.number) == (out.purpose, out.number) else e for e in state.outbound),
    )
    if channel in ("phone", "post"):
        return _by_a_person(after, out, now)
    values = {name: value for name, value in out.values.items() if name != "template"}
    body = {"template": out.values["template"], "language": state.language, "values": values}
    if channel == "email":
        if not state.person.emails:
            return _next_way(after, out, now)
        thread = state.person.thread
        headers = {"In-Reply-To": thread, "References": thread} if _MESSAGE_ID.fullmatch(thread) else {}
        message = Message(out.name, "email", state.person.emails[0], body | {"headers": headers})
        return Decision(after, messages=(message,))
    to = state.person.phones[0] if channel == "sms" and state.person.phones else ""
    body |= {"type": MESSAGE_TYPE, "data": {"channel": channel, "to": to, "record": state.person.record}}
    return Decision(after, messages=(Message(out.name, "webhook", CONTACT_CENTRE, body),))


def _by_a_person(state: S, out: Outbound, now: datetime) -> Decision[S]:
    """A call or a letter is a task; that it was given to somebody counts as sent."""
    created = task(state, "call" if out.channel == "phone" else "letter", _TASKS[out.purpose], out.due_at or now)
    return Decision(
        _changed(created.state, out, replace(out, sent=True)), (*created.events, *_sent(out, now)), messages=created.messages
    )


def _changed(state: S, old: Outbound, new: Outbound) -> S:
    return replace(state, outbound=tuple(new if each.name == old.name else each for each in state.outbound))


def _sent(out: Outbound, now: datetime) -> tuple[EventData, ...]:
    late = out.due_at is not None and (now - out.due_at).total_seconds() > LATE_S
    match out.purpose:
        case "check_in":
            return (CheckInSent(number=out.number, channel=out.channel, message=out.name, late=late),)
        case "update":
            owns = tuple(out.values.get("owns", ()))
            return (UpdateSent(number=out.number, channel=out.channel, message=out.name, owns=owns),)
        case "hand_off":
            owns = tuple(out.values.get("owns", ()))
            return (HandOffTold(number=out.number, channel=out.channel, message=out.name, owns=owns),)
        case _:
            return ()
