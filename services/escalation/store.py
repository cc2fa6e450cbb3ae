"""Escalation's own reads. Its writes are those of the versioned save."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter

from services.escalation.domain import EscalationState
from shared.postgres.pool import Connection

_STATE = TypeAdapter(EscalationState)
REVISION = "select revision from complaint_state where complaint_id = $1"
NOW = "select app_now()"
FIND = "select state, app_now() as now from complaint_state where complaint_id = $1"


async def find(conn: Connection, complaint_id: UUID) -> tuple[EscalationState | None, datetime | None]:
    """The state of one complaint, or None if escalation has not heard of it; and the time now."""
    row = await conn.fetchrow(FIND, complaint_id)
    if row is None or row["state"] is None:
        return None, None
    return _STATE.validate_json(row["state"]), row["now"]
