"""Whatever comes is recorded once and in its order: doubles, gaps, late ones, unknown types, data that do not fit their type."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

from services.records import ledger as leaves
from services.records.commands import read
from services.records.privacy_commands import _lines
from shared.cli.client import Client
from shared.contracts import ids
from shared.contracts.codec import write_data
from shared.contracts.complaints import ComplaintReceived
from shared.contracts.envelope import Event, Position
from tests.domain.examples import START, contact
from tests.ledger.database import ID_KEY
from tests.records.bed import Bed, bed

__all__ = ["bed"]
SUBJECT = UUID(int=random.Random(1).getrandbits(128))


def event(sequence: int, data: bytes, event_type: str = "amends.complaint.contact_added.v1", service: str = "intake") -> Event:
    return Event(
        ids.event_id(ID_KEY, service, SUBJECT, sequence), event_type, service, SUBJECT, sequence, START, "", "", "", "", data,
        Position("complaints", 0, sequence),
    )  # fmt: skip


RECEIVED = event(1, write_data(ComplaintReceived(contact=contact(text="\x1b[31mIt leaks\u202e"))), ComplaintReceived.TYPE)
UNKNOWN = event(2, b'{"later": true}', "amends.complaint.heard_of_later.v9")
UNFIT = event(3, b'{"contact": 5}')
NO_JSON = event(4, b"\xff\x00 no json at all")


async def recorded(bed: Bed) -> list[tuple[int, str]]:
    rows = await bed.ledger.conn.fetch("select sequence, event_type from ledger_payload where service = 'intake' order by idx")
    return [(row[0], row[1]) for row in rows]


async def test_doubles_gaps_late_unknown_and_unfit_events_are_kept_once_in_order_and_marked(bed: Bed) -> None:
    await bed.record(RECEIVED, RECEIVED, NO_JSON, UNFIT, NO_JSON)
    assert await recorded(bed) == [(1, RECEIVED.type)], "the others wait for number 2"
    await bed.record(RECEIVED)
    await bed.record(UNKNOWN, UNKNOWN)
    assert await recorded(bed) == [(each.sequence, each.type) for each in (RECEIVED, UNKNOWN, UNFIT, NO_JSON)]
    assert await bed.ledger.conn.fetchval("select count(*) from held") == 0
    codes = [leaves.read(row["leaf"]).type_code for row in await bed.ledger.conn.fetch("select leaf from ledger_leaf order by idx")]
    assert codes == [1, 0, 2, 2], "0: a type that was not known when it was recorded"

    await bed.ledger.publish()
    assert (await bed.ledger.verify()).valid
    found: Any = await asyncio.to_thread(read, Client("records", bed.url, bed.key), SUBJECT)
    told = {each["sequence"]: each for each in found["timeline"] if each["service"] == "intake"}
    assert told[2]["type"] == UNKNOWN.type
    assert told[2]["data"] == {"later": True}
    assert told[4]["data"] is None, "no JSON; its bytes are in the payload"
    shown = "\n".join(_lines(found))
    assert "heard_of_later" in shown
    assert not set("\x1b\u202e\x00") & set(shown), "what the customer wrote steers no terminal"
    async with bed.ledger.pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from case_index") == 1
