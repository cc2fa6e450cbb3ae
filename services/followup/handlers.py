"""Follow-up's way of an event or a timer: decode -> load -> decide -> save. Loading and saving are one step, `saves.act`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.followup import domain
from services.followup.domain import FollowUpState
from shared.contracts.codec import read_data
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, Undecodable
from shared.contracts.topics import EVENTS
from shared.policy.distribution.line import Policies
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_record
from shared.postgres.inputs import Input
from shared.postgres.saves import Saves

SERVICE = "followup"


class Handlers:
    """What follow-up does with events and timers. `saves` is set by app.py: it needs `decide` of this object."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self.saves: Saves[FollowUpState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await self._policies.caught_up()
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: FollowUpState | None, item: Input, now: datetime) -> Decision[FollowUpState] | Refused:
        if item.kind == "timer":
            return domain.on_timer(state, item.body, now, self._policies.in_force(now, now))
        event: Event = item.body
        model = EVENTS.get(event.type)
        if model is None:  # a type that a later version of Amends writes: noted as seen, nothing else
            return Decision(state or FollowUpState())
        return domain.on_event(state, read_data(model, event.data), event.time, self._policies.in_force(event.time, now))
