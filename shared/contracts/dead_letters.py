"""The notices of the topic `dead-letters`: why a record was parked, and where its bytes are. No content."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.envelope import EventData


class DeadLetterParked(EventData):
    """`service` parked an input. The bytes stay in its PostgreSQL under `reference` (an event, a position, a timer...).

    A notice is not part of any complaint's sequence: its number is always 1, its id derived from the reference.
    """

    TYPE: ClassVar[str] = "amends.dead_letter.parked.v1"
    service: str
    reference: str
    complaint_id: UUID | None = None
    reason: str
    parked_at: AwareDatetime
