"""Check-ins that come due all at once: how fast they are handed out, in order, and by two replicas without one double."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from services.followup.domain import CHECK_IN, FollowUpState
from services.followup.domain.state import Later, Person, Planned
from shared.policy.complaint import ComplaintFacts
from tests.bench.bed import Bed, bed, tell
from tests.harness.cluster import Cluster

DUE, PENDING = 50_000, 200_000
# One that comes due must cost the same whatever else is pending.
AMONG, AMONG_DUE = (10_000, 100_000, 1_000_000), 5_000
STALLED_S = 120.0
CHUNK = 50_000
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
# The first of them are due in one minute, in this order; the others in weeks.
SEED = """
with fresh as materialized (
    select g, gen_random_uuid() as complaint_id from generate_series($1::bigint, $2::bigint) as g
), state as (
    insert into complaint_state (complaint_id, revision, sequence, seen, state)
    select complaint_id, 1, 4, '{"intake": 1, "escalation": 2}', $3::text::json from fresh returning 1
), first as (
    insert into due_order select g, complaint_id from fresh where g <= $4
)
insert into timer (complaint_id, name, due_at, traceparent)
select complaint_id, $5, now() + case when g <= $4 then interval '900 days' + g * interval '60 seconds' / $4
    else interval '20 days' + random() * interval '20 days' end, $6 from fresh
"""
COME_DUE = "update timer set due_at = due_at - interval '1000 days' from due_order where timer.complaint_id = due_order.complaint_id"
LEFT = "select count(*) from timer where due_at <= now()"
# Each check-in that came due has emitted `due` and the next `scheduled`: 4 + 2.
HANDED_OUT = "select count(*), sum(sequence) - 4 * count(*), max(sequence) from complaint_state join due_order using (complaint_id)"
DISORDER = """
select count(*) from (
    select created_at < max(created_at) over (order by g rows between unbounded preceding and 1 preceding) as early
    from message join due_order using (complaint_id)
) as found where early
"""


async def checkins(
    cluster: Cluster, folder: Path, *, due: int = DUE, pending: int = PENDING, wrapper: Sequence[str] = ()
) -> dict[str, Any]:
    """Hand out `due` check-ins with `pending` others in the table: by one process, then by two. Then fewer, by one process,
    among ever more that are pending, up to `pending`. With a `wrapper` (see Bed.start) by one process alone."""
    if wrapper:
        return {"one": await _hand_out(cluster, folder, 1, due, pending, wrapper)}
    runs = [("one", 1, due, pending), ("two", 2, due, pending)]
    runs += [(f"among {most:,}", 1, min(due, AMONG_DUE), most) for most in AMONG if most <= pending]
    return {name: await _hand_out(cluster, folder, replicas, these, others) for name, replicas, these, others in runs}


async def _hand_out(
    cluster: Cluster, folder: Path, replicas: int, due: int, pending: int, wrapper: Sequence[str] = ()
) -> dict[str, Any]:
    async with bed(cluster, folder) as made:
        conn = await made.connect("followup")
        try:
            await _seed(conn, due, pending)
            # Nobody listens at that port: mails wait, and only handing out is measured.
            settings = {"AMENDS_DELIVERY_SMTP_HOST": "127.0.0.1", "AMENDS_DELIVERY_SMTP_PORT": "9", "AMENDS_DELIVERY_SMTP_TLS": "none"}
            for _ in range(replicas):
                if "followup" in made.children:
                    made.helpers.append(made.children.pop("followup"))
                made.start("followup", wrapper=wrapper, AMENDS_DELIVERY_MAIL_FROM="care@example.com", **settings)
                await made.ready("followup")
            tell(f"checkins: {due:,} come due, {pending:,} others wait, {replicas} process(es)")
            meter = made.meter(**{child.name: child.pid for child in made.helpers})
            await conn.execute(COME_DUE)
            seconds = await _until_done(made, conn)
            used = meter.read()
            used["followup"] += sum(used.pop(child.name) for child in made.helpers)
            count, emitted, most = await conn.fetchrow(HANDED_OUT)
            disorder = await conn.fetchval(DISORDER)
            if wrapper:
                await made.stop("followup")  # then it writes its profile
        finally:
            await conn.close()
        return {
            "due": due, "pending": pending, "seconds": round(seconds, 2), "per_s": round(due / seconds),
            "doubles": int(emitted) - 2 * count if most > 6 else 0, "missing": 2 * count - int(emitted) if emitted < 2 * count else 0,
            "out_of_order": disorder, "cpu_us": {name: round(cpu_s * 1e6 / due, 1) for name, cpu_s in used.items()},
        }  # fmt: skip


async def _seed(conn: Any, due: int, pending: int) -> None:
    await conn.execute("set synchronous_commit = off; create table due_order (g bigint primary key, complaint_id uuid not null)")
    state = TypeAdapter(FollowUpState).dump_json(_waiting()).decode()
    for first in range(1, due + pending + 1, CHUNK):
        last = min(first + CHUNK - 1, due + pending)
        await conn.execute(SEED, first, last, state, due, CHECK_IN, TRACEPARENT)
        tell(f"checkins: {last:,} of {due + pending:,} pending")
    for table in ("complaint_state", "timer", "due_order"):
        await conn.execute(f"vacuum (analyze) {table}")


def _waiting() -> FollowUpState:
    """A complaint that was resolved five days ago: its customer is to be asked now."""
    now = datetime.now(UTC)
    facts = ComplaintFacts(
        received_at=now - timedelta(days=7), resolved_at=now - timedelta(days=5), status="resolved", channel="email"
    )
    again = Later("ask_again", now + timedelta(days=7), ("email",), ("FUP-030",))
    silence = Later("silence", now + timedelta(days=14), ())
    return FollowUpState(
        facts=facts, check_ins=1, person=Person(emails=("anna@example.com",), locale="en", zone="UTC"), agreed="A new lid",
        check_in=Planned(number=1, kind="ask", due_at=now, channel="email"), later=(again, silence),
    )  # fmt: skip


async def _until_done(made: Bed, conn: Any) -> float:
    """Seconds from the first that is gone to the last."""
    began, last = time.monotonic(), None
    while True:
        left = await conn.fetchval(LEFT)
        now = time.monotonic()
        if left == 0:
            return now - began
        if left != last:
            last, moved = left, now
        if now - moved > STALLED_S:
            raise RuntimeError(f"{left} check-ins are still due after {STALLED_S:.0f} s without one handed out")
        made.check("followup")
        await asyncio.sleep(0.2)  # counting is not free
