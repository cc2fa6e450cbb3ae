"""A complaint told step by step, with its clocks: by a policy of the service's own and one of a legal regime."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from services.escalation.domain import (
    Book,
    Command,
    EscalationState,
    on_command,
    on_event,
    on_timer,
)
from services.escalation.domain.clocks import Running
from shared.calendar.zones import to_instant
from shared.contracts.complaints import ComplaintReceived, ContactAdded, ReplySent
from shared.contracts.decision import Decision, Due, Refused
from shared.contracts.envelope import EventData
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from tests.domain.examples import START, contact

HOUR, DAY = timedelta(hours=1), timedelta(days=1)  # START is a Monday, 09:30, in London
OWN = """
apiVersion: complaints.policy/v1
kind: EscalationPolicy
metadata: {id: escalation.test, version: 4, owner: ops, reason: a test}
spec:
  language: cel-subset/1
  facts: complaint-facts/4
  calendar:
    zone: Europe/London
    weekly:
      {mon: [["09:00", "17:30"]], tue: [["09:00", "17:30"]], wed: [["09:00", "17:30"]], thu: [["09:00", "17:30"]],
       fri: [["09:00", "17:30"]]}
  hit_policy: COLLECT
  aggregate: {tier: MAX, final_response_within: MIN}
  rules:
    - {id: BAD, when: complaint.severity >= 4, then: {tier: 2, final_response_within: 5d}}
    - {id: LAW, when: '"legal" in complaint.tags', then: {desks: [legal]}}
  default: {tier: 1, acknowledge_within: 4bh, next_update_within: 3bd, final_response_within: 10d, raise_every: 8bh}
"""
REGIME = """
apiVersion: complaints.policy/v1
kind: RegimePolicy
metadata: {id: regime.test, version: 1, owner: legal, reason: a test}
spec:
  language: cel-subset/1
  facts: complaint-facts/4
  calendar: Europe/London
  hit_policy: COLLECT
  clocks:
    eight_weeks: {title: Final response, legal: true, law: DISP 1.6.2R, warn_before: [14d, 7d]}
    summary: {title: Summary in writing, legal: true, counts_from: resolved, met_by: reply}
  rules: [{id: ALL, when: complaint.severity >= 1, then: {clocks: {eight_weeks: 8w, summary: 5d}}}]
  default: {clocks: {eight_weeks: 8w}}
"""


@cache
def book(own: str = OWN) -> Book:
    return Book(policy(own), (policy(REGIME),), top_tier=3)


@cache
def policy(text: str) -> Policy:
    return load_policy(text, origin="test")


class Story:
    """A complaint, told step by step; `at` is the time since the start."""

    def __init__(self, given: Book | None = None, **fields: Any) -> None:
        self.book = given or book()
        self.state: EscalationState | None = None
        self.timer: datetime | None = None
        self.event(ComplaintReceived(contact=contact(**fields)), timedelta())

    def event(self, data: EventData, at: timedelta) -> list[EventData]:
        return self._take(on_event(self.state, data, START + at, self.book))

    def reply(self, at: timedelta, known: timedelta | None = None) -> list[EventData]:
        return self.event(ReplySent(contact=contact(at)), known or at)

    def wrote(self, at: timedelta, known: timedelta | None = None) -> list[EventData]:
        return self.event(ContactAdded(contact=contact(at)), known or at)

    def do(self, command: Command, at: timedelta) -> list[EventData]:
        decision = on_command(self.state, command, START + at, self.book)
        assert isinstance(decision, Decision), decision
        return self._take(decision)

    def refused(self, command: Command, at: timedelta) -> Refused:
        decision = on_command(self.state, command, START + at, self.book)
        assert isinstance(decision, Refused)
        return decision

    def until(self, at: timedelta) -> list[EventData]:
        """Let the timers fire that are due by then, each at its time."""
        told: list[EventData] = []
        while self.timer is not None and self.timer <= START + at:
            due, self.timer = self.timer, None
            told += self._take(on_timer(self.state, Due("clocks", due), due, self.book))
        return told

    def _take(self, decision: Decision[EscalationState]) -> list[EventData]:
        self.state = decision.state
        for timer in decision.timers:
            self.timer = timer.due_at
        if decision.cancel:
            self.timer = None
        live = [each for each in decision.state.clocks.running if each.live]
        wakes = [each for clock in live for each in (clock.due, clock.warn) if each is not None]
        wakes += [decision.state.tiers.raise_at] if decision.state.tiers.raise_at is not None else []
        assert self.timer == (to_instant(min(wakes)) if wakes else None), "the timer stands for what comes next"
        return list(decision.events)

    def clock(self, name: str) -> Running:
        assert self.state is not None
        return next(each for each in self.state.clocks.running if each.key == name)

    def due(self, name: str) -> timedelta | None:
        due = self.clock(name).due
        return None if due is None else to_instant(due) - START


def types(events: list[EventData]) -> list[str]:
    return [type(each).__name__ for each in events]
