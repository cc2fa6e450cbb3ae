"""The recorded decisions by policy, read from the ledger in its order: for replays and backtests. No text, no identifiers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Request, Response

from services.records.payloads import CaseKeys, Ciphers, opened
from shared.contracts.policies import EVER
from shared.http.keys import Authenticator
from shared.http.router import Instant, Router
from shared.policy.replay import citations
from shared.postgres.pool import Pool, connection

SCOPE = "policies:read"
PAGE = 1_000
# Between so many rows other work of the process gets its turn.
BREATH = 100
READ = """
select leaf.idx, leaf.complaint_id, leaf.event_id, payload.service, payload.event_type, payload.occurred_at, payload.salt,
    payload.payload, coalesce(row.state ->> 'status', 'closed') <> 'closed' as open
from ledger_payload as payload join ledger_leaf as leaf using (idx)
left join complaint_state as row using (complaint_id)
where payload.idx >= $1 and payload.occurred_at >= $2 and payload.service = any($3::text[])
order by payload.idx limit $4
"""
SIZE = "select size from ledger_head"
DECIDERS = ["intake", "escalation", "followup", "records"]


def routes(pool: Pool, keys: Authenticator, case_keys: CaseKeys) -> Router:
    """The route of the decisions."""
    router = Router(tags=["records"])

    @router.get("/v1/decisions", summary="Every recorded decision by policy")
    async def decisions(
        request: Request, start: int = 0, since: Instant = EVER, service: str | None = None, limit: int = PAGE
    ) -> Response:
        """From ledger row `start` on, what each cites: version, facts, rules, inputs, outcome. `next` is the `start` of the next
        page, or null; `size` the rows of the ledger. A page may hold none. Erased complaints are left out."""
        await keys.check(request.headers, SCOPE)
        most = max(1, min(limit, PAGE))
        async with connection(pool) as conn:
            size = await conn.fetchval(SIZE)
            rows = await conn.fetch(READ, start, since, [service] if service else DECIDERS, most)
            ciphers = await case_keys.for_reading(conn, {row["complaint_id"] for row in rows})
        found = await _decisions(rows, ciphers)
        following = rows[-1]["idx"] + 1 if len(rows) == most else None
        body = {"decisions": found, "next": following, "size": size}
        return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), media_type="application/json")

    return router


async def _decisions(rows: Sequence[Any], ciphers: Ciphers) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if number % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        kept = opened(ciphers.get(row["complaint_id"]), row["event_id"], row["salt"], row["payload"])
        if kept is None or b'"digest"' not in kept.payload:  # erased, or nothing is decided there: not worth parsing
            continue
        try:
            data = orjson.loads(kept.payload.partition(b"\n")[2])
        except orjson.JSONDecodeError:
            continue
        about = {
            "row": row["idx"], "complaint": str(row["complaint_id"]), "service": row["service"], "event": row["event_type"],
            "decided_at": row["occurred_at"], "open": row["open"],
        }  # fmt: skip
        found.extend({**about, **_cited(citation)} for citation in citations(data))
    return found


def _cited(citation: Any) -> dict[str, Any]:
    rest = {name: value for name, value in citation.items() if name != "id"}
    return {"policy": citation["id"], **rest}
