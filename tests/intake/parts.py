"""What every test bed of intake has: a key, a Kafka that is away, and its way of saving."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from services.intake.domain import IntakeState
from services.intake.handlers import Handlers
from shared.postgres.dead_letters import Limit
from shared.postgres.pool import Pool
from shared.postgres.relay import Relay
from shared.postgres.saves import Saves
from shared.telemetry.health import Progress

KEY = bytes(range(32))
STATE = TypeAdapter(IntakeState)


class Nowhere:
    """A Kafka that is away: what is emitted stays in the outbox."""

    async def send(self, events: Any) -> None:
        raise ConnectionError

    async def discard(self) -> None:
        pass


def saves(handlers: Handlers, pool: Pool, progress: Progress, *, limit: int = 100, also: Any = None) -> Saves[IntakeState]:
    """How intake saves. `limit` of dead letters; `also` in place of what the handlers settle."""
    return Saves(
        service="intake", pool=pool, relay=Relay(service="intake", pool=pool, sender=Nowhere(), progress=progress), id_key=KEY,
        read=STATE.validate_json, write=lambda value: STATE.dump_json(value).decode(), decide=handlers.decide,
        also=also or handlers.settle, dead_letter_check=Limit(limit).check,
    )  # fmt: skip
