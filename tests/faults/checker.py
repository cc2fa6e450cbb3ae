"""The checker: from what the client was told, what must be true of the whole system. Shares no code with the services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx2
from aiokafka.errors import KafkaError

from tests.faults import rules
from tests.faults.journal import Journal
from tests.faults.reading import SERVICES, WRITER, World, lag, read
from tests.faults.rules import Finding

SETTLE_S = 240.0
BEHIND = """
select count(*) from {writer}.complaint_state as wrote
left join {reader}.complaint_state as has using (complaint_id)
where wrote.sequence > coalesce((has.seen ->> '{writer}')::bigint, 0)
"""
READS = {"escalation": ("intake", "followup"), "followup": ("intake", "escalation"), "records": tuple(WRITER.values())}


async def settle(dsn: str, bootstrap: str, prefix: str) -> str:
    """Wait until nothing moves any more. Returns what still did when the time was over, or ''."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            unsettled = await _unsettled(dsn)
            if not unsettled:
                missing = await lag(bootstrap, prefix)
                unsettled = f"{missing} records not consumed" if missing else await _unsettled(dsn)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, TimeoutError) as error:
            unsettled = f"cannot look: {type(error).__name__}"
        if not unsettled or time.monotonic() > deadline:
            return unsettled
        await asyncio.sleep(0.2)


async def _unsettled(dsn: str) -> str:
    asked = {f"rows in {service}.outbox": f"select count(*) from {service}.outbox" for service in SERVICES}
    asked["deliveries in intake.inbox"] = "select count(*) from intake.inbox"
    asked["pending submissions"] = "select count(*) from intake.submission where outcome is null"
    asked["due timers"] = "select count(*) from followup.timer where due_at < now()"
    for reader, writers in READS.items():
        for writer in writers:
            asked[f"complaints of {writer} not seen by {reader}"] = BEHIND.format(reader=reader, writer=writer)
    conn = await asyncpg.connect(dsn, timeout=5)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            counts = {what: await conn.fetchval(sql) for what, sql in asked.items()}
    finally:
        await conn.close()
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


async def check(
    journal: Journal, dsn: str, bootstrap: str, prefix: str, *, records_url: str = "", key: str = ""
) -> list[Finding]:
    """Everything that is wrong. The system must have settled; a timeline of every 50th complaint is read by HTTP too."""
    world = await read(dsn, bootstrap, prefix)
    findings = [Finding("client", "", text) for text in journal.complaints]
    findings += list(rules.all_of(journal, world))
    if records_url:
        findings += await _timelines(journal, world, records_url, key)
    return findings


async def _timelines(journal: Journal, world: World, url: str, key: str) -> list[Finding]:
    ids = sorted({s.complaint_id for s in journal.acknowledged() if s.kind != "bot"})[::50]
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=10) as http:
        return [f for i in ids for f in _timeline(i, await http.get(f"{url}/v1/complaints/{i}"), world)]


def _timeline(complaint_id: str, response: Any, world: World) -> Iterator[Finding]:
    if response.status_code != 200:
        yield Finding("timeline", complaint_id, f"status {response.status_code}")
        return
    shown = response.json()
    recorded = [row.event for row in world.ledger if row.complaint_id == complaint_id]
    # That the checker reads the case is recorded, too, after the ledger was read.
    listed = [e["id"] for e in shown["timeline"] if e["type"] != "amends.records.case_read.v1"]
    if listed != [e.id for e in recorded if e.type != "amends.records.case_read.v1"]:
        yield Finding("timeline", complaint_id, "it does not show the events of the ledger")
    changes = [e for e in recorded if e.type == "amends.escalation.status_changed.v1"]
    status = max(changes, key=lambda e: e.sequence).json()["status"] if changes else "open"
    if shown["status"] != status:
        yield Finding("timeline", complaint_id, f"status {shown['status']}, the last change says {status}")


def report(findings: list[Finding], most: int = 15) -> str:
    """The findings as text: how many of each rule, and the first of them."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.rule] = counts.get(finding.rule, 0) + 1
    lines = [f"{count} x {rule}" for rule, count in sorted(counts.items())]
    return "\n".join([*lines, *(f"  {f.rule} {f.about}: {f.detail}" for f in findings[:most])])
