"""Follow-up's way of an event, a timer, a command or a message's end: decode -> load -> decide -> save.

Loading and saving are one step, `saves.act`. Here the domain's messages also get their words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.followup import domain
from services.followup.domain import FollowUpState
from services.followup.letters import Letters
from services.followup.working import nobody_works
from shared.contracts import ids
from shared.contracts.codec import read_data
from shared.contracts.complaints import SubmissionSetAside
from shared.contracts.decision import Decision, Refused
from shared.contracts.envelope import Event, Undecodable
from shared.frozen import replace
from shared.policy.distribution.line import Policies
from shared.postgres.dead_letters import save_batch
from shared.postgres.fold import from_record
from shared.postgres.inputs import Input
from shared.postgres.saves import Saves

SERVICE = "followup"


class Handlers:
    """What follow-up does with its inputs. `saves` is set by app.py: it needs `decide` of this object."""

    def __init__(self, policies: Policies, letters: Letters, id_key: bytes) -> None:
        self._id_key = id_key
        self._policies = policies
        self._letters = letters
        self.saves: Saves[FollowUpState]

    async def handle_batch(self, records: Sequence[Event | Undecodable]) -> None:
        await self._policies.caught_up()
        await save_batch(self.saves, [from_record(record) for record in records])

    def decide(self, state: FollowUpState | None, item: Input, now: datetime) -> Decision[FollowUpState] | Refused:
        decision = self._decide(state, item, now)
        if isinstance(decision, Refused) or not decision.messages:
            return decision
        return replace(decision, messages=tuple(self._letters.worded(item.subject, m, now) for m in decision.messages))

    def _decide(self, state: FollowUpState | None, item: Input, now: datetime) -> Decision[FollowUpState] | Refused:
        if item.kind == "timer":
            return domain.on_timer(state, item.body, now, self._policies.in_force(now, now, item.subject))
        if item.kind == "message":
            return domain.on_settled(state, item.body, now)
        if item.kind == "command":
            policy = self._policies.in_force(now, now, item.subject)
            return domain.on_command(state, item.body, now, policy, lambda at: nobody_works(policy.calendar, at))
        event: Event = item.body
        model = domain.READS.get(event.type)
        if model is None:
            return Decision(state or FollowUpState())
        data = read_data(model, event.data)
        if isinstance(data, SubmissionSetAside):
            return self._returned(state or FollowUpState(), event.subject, data, now)
        return domain.on_event(state, data, event.time, self._policies.in_force(event.time, now, item.subject))

    def _returned(self, state: FollowUpState, subject: UUID, data: SubmissionSetAside, now: datetime) -> Decision[FollowUpState]:
        """A mail that no person wrote. It matters where it brings back a letter of ours that has not been given up yet."""
        back = data.returned
        for out in state.outbound if back is not None else ():
            if back is not None and ids.message_id(self._id_key, SERVICE, subject, out.name) == back.letter:
                said = f"it came back ({back.status})" if back.status else "it came back"
                return domain.on_returned(state, out, said, now)
        return Decision(state)
