"""Retention: how long each complaint is kept and what happens then, by records' policy; and the routes of it.

The policy is asked when somebody asks, with what the index knows of a complaint (its events, folded): it changes nothing by
itself. Erasing is a command of its own, and a hold stands against it whatever the policy says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, ConfigDict

from services.records import store
from services.records.search.fold import Case
from services.records.search.projector import read_case
from shared.http.keys import Authenticator
from shared.http.router import Router
from shared.policy import targets
from shared.policy.calendars import due_at
from shared.policy.distribution.line import Policies
from shared.policy.evaluate import Policy
from shared.postgres.pool import Pool, connection

SCOPE = "cases:erase"
PAGE = 500
# Of an erased complaint there is no row; of one that is not folded yet neither: it is young.
CASES = """
select case_index.complaint_id, case_index.folded, row.state ->> 'hold' as hold
from case_index join complaint_state as row using (complaint_id)
where complaint_id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') order by complaint_id limit $2
"""
NOW = "select app_now()"


class Asked(BaseModel):
    """Which complaints. By the policy, unless `before` is given: then those closed whose last event is older. `after`: the
    id behind which the page begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: AwareDatetime | None = None
    after: UUID | None = None


def routes(pool: Pool, keys: Authenticator, policies: Policies) -> Router:
    """The route."""
    router = Router(tags=["records"])

    @router.post("/v1/retention", summary="Complaints whose time is over, or that are on hold")
    async def retention(request: Request, asked: Asked) -> dict[str, Any]:
        """A page in order of id; `next` is the `after` of the next page, or null. `kept`: so many of the page are not due yet.

        Each has `hold` (why it must not be erased, or null), `due_at`, `afterwards` (erase or review), and by which `rules` of
        which `policy`.
        Erasing is another call.
        """
        await keys.check(request.headers, SCOPE)
        async with connection(pool) as conn:
            if asked.before is not None:
                rows = await conn.fetch(store.OLDER, asked.before, asked.after, PAGE)
                return {"complaints": [dict(row) for row in rows], "kept": 0, "policy": None, "next": _next(rows)}
            now = await conn.fetchval(NOW)
            rows = await conn.fetch(CASES, asked.after, PAGE)
        judged = []
        for row in rows:
            policy = policies.in_force(now, now, row["complaint_id"])
            found = judge(policy, read_case(row["folded"]), row["hold"], now)
            judged.append({"complaint_id": row["complaint_id"], **found})
        policy = policies.in_force(now, now)
        due = [each for each in judged if each["hold"] is not None or each["due_at"] <= now]
        about = {"id": policy.id, "version": policy.version, "digest": policy.digest}
        return {"complaints": due, "kept": len(judged) - len(due), "policy": about, "next": _next(rows)}

    return router


def judge(policy: Policy, case: Case, hold: str | None, now: datetime) -> dict[str, Any]:
    """What the policy says of a case. A decision that had to fall back on the default leads to a review, never to erasure."""
    result = policy.decide(facts(case, hold, now))
    kept = result.outcome["retain_for"]
    start = case.closed_at or case.last_event_at or now
    if hold is None and result.outcome.get("hold") == "legal":
        hold = f"by rule {', '.join(result.rules)} of {policy.id}"
    return {
        "policy": f"{policy.id}/{policy.version}",
        "status": case.status,
        "closed_at": case.closed_at,
        "last_event_at": case.last_event_at,
        "hold": hold,
        "retain_for": kept,
        "due_at": due_at(policy.calendar, start, targets.parse(kept)),
        "afterwards": "review" if result.degraded else result.outcome.get("afterwards", "review"),
        "rules": list(result.rules),
    }


def facts(case: Case, hold: str | None, now: datetime) -> Mapping[str, Any]:
    """The facts of the schema records-facts/1: no text, and nothing that names a person."""
    known = {"resolved_at": case.resolved_at, "closed_at": case.closed_at, "remedy_paid": case.paid or None}
    customer = {"vulnerable": case.vulnerable, "child": case.child or None, "country": case.country}
    return {
        "as_of": now,
        "complaint": {
            "status": case.status,
            "severity": case.severity,
            "category": case.cause,
            "tags": case.tags,
            "received_at": case.received_at or now,
            "last_event_at": case.last_event_at or case.received_at or now,
            "regimes": case.regimes,
            "matters": case.matters,
            "hold_requested": hold is not None,
            "erasure_requested": case.erasure_requested,
            "customer": {name: value for name, value in customer.items() if value is not None},
            **{name: value for name, value in known.items() if value is not None},
        },
    }


def _next(rows: list[Any]) -> UUID | None:
    return rows[-1]["complaint_id"] if len(rows) == PAGE else None
