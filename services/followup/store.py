"""Follow-up's own reads. Its writes are those of the versioned save."""

from __future__ import annotations

from uuid import UUID

from pydantic import TypeAdapter

from services.followup.domain import FollowUpState
from shared.postgres.pool import Connection

_STATE = TypeAdapter(FollowUpState)
FIND = "select state from complaint_state where complaint_id = $1"


async def find(conn: Connection, complaint_id: UUID) -> FollowUpState | None:
    """The state of one complaint, or None if follow-up has not heard of it."""
    state: str | None = await conn.fetchval(FIND, complaint_id)
    return None if state is None else _STATE.validate_json(state)
