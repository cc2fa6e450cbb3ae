"""Escalation's way of an event or a timer: decode -> load -> decide -> save. Loading and saving are one step, `saves.act`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache

from prometheus_client import Counter

from services.escalation import domain
from services.escalation.directory import Directory
from services.escalation.domain import Book, EscalationState
from shared.contracts.codec import read_data
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, Undecodable
from shared.contracts.escalations import AlarmRaised, ClockMissed, DecisionMade
from shared.contracts.topics import EVENTS
from shared.policy.distribution.line import Policies
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_record
from shared.postgres.inputs import Input
from shared.postgres.saves import Saves
from shared.telemetry import metrics

SERVICE = "escalation"


@cache
def _decisions(policy: str, version: int, rule: str) -> Counter:
    return metrics.DECISIONS.labels(SERVICE, policy, str(version), rule)


@cache
def _missed(clock: str, regime: str) -> Counter:
    return metrics.CLOCKS_MISSED.labels(SERVICE, clock, regime)


class Handlers:
    """What escalation does with events, commands and timers. `saves` is set by app.py: it needs `decide` of this object."""

    def __init__(self, policies: Policies, directory: Callable[[], Directory] | None = None) -> None:
        self._policies = policies
        self._directory = directory
        self.saves: Saves[EscalationState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await self._policies.caught_up()
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: EscalationState | None, item: Input, now: datetime) -> Decision[EscalationState] | Refused:
        if item.kind == "command":
            return domain.on_command(state, item.body, now, self.book(now, now))
        if item.kind == "timer":
            return _counted(domain.on_timer(state, item.body, now, self.book(now, now)))
        event: Event = item.body
        model = EVENTS.get(event.type)
        if model is None:  # a type that a later version of Amends writes: noted as seen, nothing else
            return Decision(state or EscalationState())
        book = self.book(event.time, now)
        return _counted(domain.on_event(state, read_data(model, event.data), event.time, book))

    def book(self, at: datetime, now: datetime) -> Book:
        """The policies for something that happened `at` and is decided `now`."""
        own, packs = self._policies.in_force(at, now), self._policies.packs(at, now)
        if self._directory is None:
            return Book(own, packs)
        directory = self._directory()
        return Book(own, packs, directory.top_tier, directory.desks)


def _counted(decision: Decision[EscalationState]) -> Decision[EscalationState]:
    for data in decision.events:
        if isinstance(data, DecisionMade):
            for rule in data.policy.rules or ("default",):
                _decisions(data.policy.id, data.policy.version, rule).inc()
        elif isinstance(data, ClockMissed):
            _missed(data.deadline.clock, data.deadline.regime or "").inc()
        elif isinstance(data, AlarmRaised):
            metrics.ALARMS.labels(SERVICE, data.cause).inc()
    return decision
