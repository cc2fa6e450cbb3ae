"""Dead letters: inputs that cannot be handled, parked with their bytes, limited in number, listed and replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog

from shared.contracts.codec import decode
from shared.contracts.decision import Decision, Refused, Settled
from shared.contracts.envelope import Undecodable
from shared.errors import TooManyDeadLetters, classify
from shared.postgres.fold import Decide, Parked, from_event, from_undecodable
from shared.postgres.inputs import Input, Inputs
from shared.postgres.pool import Connection
from shared.postgres.saves import Saves, revive

log = structlog.get_logger(__name__)

# A delivery that its sender garbled (item -1 of it) says nothing about a deployment: one source must not stop the others.
RECENT = """
select count(*) from dead_letter
where parked_at > app_now() - interval '10 minutes' and not (kind = 'submission' and reference like '%/-1')
"""
LIST = """
select id, kind, reference, complaint_id, reason, parked_at from dead_letter order by id limit $1
"""
SHOW = """
select id, kind, reference, complaint_id, service, sequence, reason, parked_at, input, length(data) as bytes from dead_letter where id = $1
"""
TAKE = "select id, kind, reference, complaint_id, input, key, data from dead_letter where id = $1 for update"
GONE = "delete from dead_letter where id = $1"
SET_TIMER = """
insert into timer (complaint_id, name, due_at, traceparent) values ($1, $2, $3::text::timestamptz, '')
on conflict do nothing
"""


class NotReplayable(Exception):
    """No such dead letter, or one that was replayed already."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bad deployment must not drain a topic into quarantine: this many open dead letters in ten minutes stop it."""

    most: int

    async def check(self, conn: Connection, new: int) -> None:
        """Call it when `new` more were parked in this transaction. Raises TooManyDeadLetters beyond the limit."""
        open_now: int = await conn.fetchval(RECENT)
        if open_now > self.most:
            raise TooManyDeadLetters(
                f"{open_now} dead letters within ten minutes, {new} of them in this save, the limit is {self.most} "
                "(AMENDS_DEAD_LETTER_LIMIT): look at `amends dead-letters list`, then fix and replay or raise the limit"
            )


async def save_batch(saves: Saves[Any], inputs: Inputs) -> None:
    """Save a batch; when it cannot be saved as one for a reason that trying again does not help, halve it until the
    input to blame stands alone, and park that one."""

    async def take(_: Connection) -> Inputs:
        return inputs

    try:
        await saves.act(take)
    except TooManyDeadLetters:
        raise
    except Exception as defect:
        if classify(defect) != "defect" or not inputs:
            raise
        error = type(defect).__name__
        log.error("a batch cannot be saved; looking for the input to blame", inputs=len(inputs), error=error)
        if len(inputs) == 1:
            await _park(saves, inputs[0], f"saving failed: {error}")
            return
        middle = len(inputs) // 2
        await save_batch(saves, inputs[:middle])
        await save_batch(saves, inputs[middle:])


async def _park(saves: Saves[Any], item: Input, reason: str) -> None:
    async def take(_: Connection) -> Inputs:
        return [item]

    await saves.act(take, decide=refuse(reason))


def refuse(reason: str) -> Decide[Any]:
    """In place of a service's `decide`: sends whatever is taken to the dead letters, with this reason."""

    def decide(state: Any, item: Input, now: datetime) -> Decision[Any] | Refused:
        raise Parked(reason)

    return decide


async def replay(saves: Saves[Any], letter_id: int, requeue: str | None = None) -> str:
    """Handle a parked input again, with the code of today. Returns `handled`, `queued`, `duplicate` or `parked`.

    `requeue` is the SQL that puts a stored submission (delivery id, item) back in line. Raises NotReplayable.
    """
    queued = False

    async def take(conn: Connection) -> Inputs:
        nonlocal queued
        row = await conn.fetchrow(TAKE, letter_id)
        if row is None:
            raise NotReplayable(f"no dead letter {letter_id}")
        # Deleted, not marked: if it fails again it is parked again under the same reference, as a new row.
        await conn.execute(GONE, letter_id)
        if row["kind"] == "timer":
            timer = orjson.loads(row["input"])
            await conn.execute(SET_TIMER, row["complaint_id"], timer["name"], timer["due_at"])
            queued = True
            return []
        if row["kind"] == "submission" and requeue is not None:
            delivery_id, _, item = row["reference"].partition("/")
            await conn.execute(requeue, UUID(delivery_id), int(item))
            queued = True
            return []
        if row["kind"] == "message":
            settled = Settled(**orjson.loads(row["input"]))
            subject = row["complaint_id"]
            return [Input("message", subject, settled, row["reference"], None, "message", str(subject))]
        return [_input_of(row)]

    work = await saves.act(take, within_s=10)
    if queued or (work.hold and not work.handled):
        return "queued"
    if work.dead and not work.handled:  # otherwise it was handled, and one that waited behind it was parked
        return "parked"
    return "handled" if work.handled else "duplicate"


def _input_of(row: Any) -> Input:
    body = orjson.loads(row["input"])
    if "position" in body and "headers" in body:
        record = _Stored(body, row["key"], row["data"])
        event = decode(record, record.topic)
        return from_undecodable(event) if isinstance(event, Undecodable) else from_event(event)
    return from_event(revive(body, row["data"]))


class _Stored:
    """A parked record in the shape that the codec reads."""

    def __init__(self, body: dict[str, Any], key: bytes | None, value: bytes | None) -> None:
        self.topic, self.partition, self.offset = body["position"]
        self.headers: Sequence[tuple[str, bytes]] = [
            (name, None if value is None else bytes.fromhex(value)) for name, value in body["headers"]  # type: ignore[misc]
        ]
        self.key = key
        self.value = value

