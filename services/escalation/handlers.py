"""Escalation's way of an event: decode -> load -> decide -> save. Loading and saving are one step, `saves.act`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from prometheus_client import Counter

from services.escalation import domain
from services.escalation.domain import EscalationState
from shared.contracts.codec import read_data
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, Undecodable
from shared.contracts.escalations import DecisionMade
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


class Handlers:
    """What escalation does with events and commands. `saves` is set by app.py: it needs `decide` of this object."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self.saves: Saves[EscalationState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await self._policies.caught_up()
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: EscalationState | None, item: Input, now: datetime) -> Decision[EscalationState] | Refused:
        if item.kind == "command":
            return domain.on_command(state, item.body, now)
        event: Event = item.body
        model = EVENTS.get(event.type)
        if model is None:  # a type that a later version of Amends writes: noted as seen, nothing else
            return Decision(state or EscalationState())
        decision = domain.on_event(state, read_data(model, event.data), event.time, self._policies.in_force(event.time, now))
        for data in decision.events:
            if isinstance(data, DecisionMade):
                for rule in data.policy.rules or ("default",):
                    _decisions(data.policy.id, data.policy.version, rule).inc()
        return decision
