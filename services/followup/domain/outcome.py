"""What came of a resolution, as the customer sees it. Pure."""

from __future__ import annotations

from datetime import datetime

from services.followup.domain.state import FollowUpState
from shared.contracts.decision import Decision
from shared.contracts.followups import OutcomeKind, OutcomeRecorded
from shared.frozen import replace

S = FollowUpState


def record(state: S, outcome: OutcomeKind, now: datetime) -> Decision[S]:
    """Record the outcome of the latest resolution; the same one again is nothing new."""
    facts = state.facts
    resolved_at = facts.resolved_at
    if resolved_at is None or state.outcome == outcome:
        return Decision(state)
    kept = sum(promise.status == "kept" for promise in state.promises)
    broken = sum(promise.status == "broken" for promise in state.promises)
    event = OutcomeRecorded(
        outcome=outcome, resolved_at=resolved_at, promises_kept=kept, promises_broken=broken, reopened=state.reopened,
        seconds_to_resolution=max(0, int((resolved_at - (facts.received_at or resolved_at)).total_seconds())),
        team=state.team, category=facts.category, remedy=facts.remedy, channel=facts.channel, recorded_at=now,
    )  # fmt: skip
    return Decision(replace(state, outcome=outcome), (event,))
