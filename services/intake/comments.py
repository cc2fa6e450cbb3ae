"""What customers add to their answers on "is it solved?" comes from follow-up as an event: kept here as a delivery, once.

So their words are stored, read, counted and erased like those of any other contact. That an event comes twice does no harm:
its id is the submission's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from services.intake.accepting import Accepting
from services.intake.adapters.comments import COMMENTS, COMPLAINT, EVENT, SOURCE
from services.intake.group_commit import NotStored
from services.intake.submissions import Delivery
from shared.contracts import ids
from shared.contracts.codec import BadData, read_data
from shared.contracts.envelope import Event, Undecodable
from shared.contracts.followups import CheckInAnswered
from shared.telemetry import tracing

RETRY_S = 1.0


async def keep(accepting: Accepting, records: Sequence[Event | Undecodable]) -> list[Event | Undecodable]:
    """Keep the comments among `records`; returns when they are durable, with the records that are something else."""
    others: list[Event | Undecodable] = []
    answers: list[Event] = []
    for record in records:
        if isinstance(record, Event) and record.type == CheckInAnswered.TYPE:
            answers.append(record)
        else:
            others.append(record)
    await asyncio.gather(*(_keep(accepting, answer) for answer in answers if _has_words(answer)))
    return others


def _has_words(answer: Event) -> bool:
    try:
        return bool(read_data(CheckInAnswered, answer.data).comment)
    except BadData:  # kept all the same: as a dead letter, to be looked at
        return True


async def _keep(accepting: Accepting, answer: Event) -> None:
    headers = {COMPLAINT: str(answer.subject), EVENT: str(answer.id)}
    delivery = Delivery(
        id=ids.time_ordered_id(), source=SOURCE, received_at=answer.time, content_type="application/json", headers=headers,
        body=answer.data,
    )  # fmt: skip
    while True:  # nothing is skipped while PostgreSQL is away
        try:
            await accepting.keep(delivery, COMMENTS, tracing.parse(answer.traceparent) or tracing.Carrier(""))
            return
        except NotStored:
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
