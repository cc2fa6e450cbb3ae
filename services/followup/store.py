"""Follow-up's own reads. Its writes are those of the versioned save."""

from __future__ import annotations

from uuid import UUID

from services.followup.domain import FollowUpState
from shared.postgres.pool import Connection

FIND = "select state from complaint_state where complaint_id = $1"


async def find(conn: Connection, complaint_id: UUID) -> FollowUpState | None:
    """The state of one complaint, or None if follow-up has not heard of it."""
    state: str | None = await conn.fetchval(FIND, complaint_id)
    return None if state is None else FollowUpState.model_validate_json(state)
