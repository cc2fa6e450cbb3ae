"""A team has accepted the complaint: the customer is told who has it now, why, and by when they hear again. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.followup.domain import outgoing, plan, promises, updates
from services.followup.domain.state import FollowUpState, News
from shared.contracts.decision import Decision, Timer
from shared.contracts.escalations import HandOffAccepted
from shared.frozen import replace
from shared.policy.evaluate import Policy

S = FollowUpState
TIMER = "hand_off"


def accepted(state: S, data: HandOffAccepted, at: datetime, policy: Policy) -> Decision[S]:
    """Plan the message: if the hand-off asks for it, or says nothing of it and the policy does. The newest one counts."""
    outcome = policy.decide(state.facts.as_of(at)).outcome
    tell = outcome.get("on_hand_off") == "tell" if data.tell_customer is None else data.tell_customer
    reach = state.reach(policy.calendar)
    if not tell or not _may_hear(state):
        return cancel(state)
    due_at = plan.next_place(outcome, at, at, reach)
    if due_at is None:
        return cancel(state)
    news = News(data.number, data.title or "", data.cause or "other", data.customer_reason or "", due_at)
    return Decision(replace(state, news=news), timers=(Timer(TIMER, due_at),))


def due(state: S, news: News, now: datetime, policy: Policy) -> Decision[S]:
    """Tell it. The next update counts from here, as from any message, and is when they hear again."""
    before = replace(state, news=None)
    if not _may_hear(state):
        return Decision(before)
    outcome = policy.decide(state.facts.as_of(now)).outcome
    heard = replace(before, facts=before.facts.after_reply(now))
    following = updates.move(heard, now, policy) if heard.update else Decision(heard)
    by = following.state.update.due_at if following.state.update else None
    values: dict[str, Any] = {
        "team": news.team, "why": news.why, "said": news.said, "by": by.isoformat() if by else None,
        "owns_what": [promise.what for promise in state.to_own], "owns": [promise.id for promise in state.to_own],
        "late": (now - news.due_at).total_seconds() > outgoing.LATE_S, "zone": state.person.zone or policy.calendar_zone,
    }  # fmt: skip
    ways = updates.ways(state, outcome, policy)
    sent = outgoing.send(
        promises.owned(following.state), outgoing.HAND_OFF, news.number, "hand_off", ways, values, now, news.due_at
    )
    return Decision(sent.state, (*following.events, *sent.events), following.timers, messages=sent.messages)


def cancel(state: S) -> Decision[S]:
    """What was planned to be said is not said any more."""
    return Decision(state) if state.news is None else Decision(replace(state, news=None), cancel=(TIMER,))


def _may_hear(state: S) -> bool:
    return state.facts.status in ("open", "waiting") and not state.silent and state.facts.contact_preference != "none"
