"""In the transaction of the save: the list of hand-offs that wait, and what customers were granted, within their caps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.escalation.domain import EscalationState
from shared.calendar import durations
from shared.contracts.escalations import RemedyAccepted, RemedyOffered, RemedyRefused
from shared.errors import AmendsError
from shared.policy import outcomes
from shared.policy.shape import Remedy
from shared.postgres.inputs import Work
from shared.postgres.pool import Connection

SET_WAITING = """
insert into hand_off (complaint_id, number, team, accept_by, reason)
select * from unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[], $5::text[])
on conflict (complaint_id) do update
set number = excluded.number, team = excluded.team, accept_by = excluded.accept_by, reason = excluded.reason
"""
END_WAITING = "delete from hand_off where complaint_id = any($1::uuid[])"
WAITING = """
select complaint_id, number, team, accept_by, reason from hand_off where $1::text is null or team = $1
order by accept_by nulls last, complaint_id limit $2
"""
# Whoever grants the same customer something at this moment waits here, and then sees what was granted.
LOCK = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
SPENT = """
select coalesce(sum(amount), 0) as amount from granted
where customer = $1 and remedy = $2 and currency = $3 and at > $4 and (complaint_id, offer) <> ($5, $6)
"""
GRANT = """
insert into granted (complaint_id, offer, remedy, customer, category, currency, amount)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (complaint_id, offer, remedy) do update set amount = greatest(granted.amount, excluded.amount)
"""
TAKE_BACK = "delete from granted where complaint_id = $1 and offer = $2"
SIMILAR = """
select count(*) as offers, percentile_cont(0.5) within group (order by amount) as median from granted
where category = $1 and remedy = $2 and currency = $3
"""
OWN_SPENT = "select remedy, currency, sum(amount) as amount from granted where complaint_id = $1 group by 1, 2"


class OverCap(AmendsError):
    """The customer would get more than all complaints together may give them. Nothing of the command was done."""


async def save(conn: Connection, work: Work[Any], catalogue: Callable[[UUID], Mapping[str, Remedy]]) -> None:
    """Keep the lists in step with the states that this save writes. `catalogue`: the remedies for a complaint. Raises OverCap."""
    changed = {item.subject for item, decision in work.handled if decision.events}
    waiting, ended = [], []
    for subject in sorted(changed):
        state = work.rows[subject].state
        if not isinstance(state, EscalationState):
            continue
        pending = state.hand_offs.pending
        if pending is None:
            ended.append(subject)
        else:
            waiting.append((subject, pending.number, pending.team, pending.accept_by, pending.reason))
    if any(state_of(work, subject).hand_offs.number for subject in ended):
        await conn.execute(END_WAITING, ended)
    if waiting:
        await conn.execute(SET_WAITING, *(list(column) for column in zip(*waiting, strict=True)))
    for item, decision in work.handled:
        for event in decision.events:
            if isinstance(event, RemedyOffered):
                await _grant(conn, item.subject, state_of(work, item.subject), event, catalogue(item.subject))
            elif isinstance(event, RemedyRefused):
                await conn.execute(TAKE_BACK, item.subject, event.offer)
            elif isinstance(event, RemedyAccepted):
                await conn.execute(TAKE_BACK, item.subject, event.offer)
                if event.option.amount is not None:
                    await _add(conn, item.subject, state_of(work, item.subject), event.offer, event.option)


def state_of(work: Work[Any], subject: UUID) -> EscalationState:
    state = work.rows[subject].state
    return state if isinstance(state, EscalationState) else EscalationState()


async def _grant(
    conn: Connection, subject: UUID, state: EscalationState, event: RemedyOffered, catalogue: Mapping[str, Remedy]
) -> None:
    customer = state.case.customer
    for option in event.options:
        if option.amount is None:
            continue
        cap = catalogue[option.remedy].per_customer if option.remedy in catalogue else None
        if cap is not None and customer is not None:
            await conn.execute(LOCK, f"{customer}\x1f{option.remedy}")
            most = outcomes.money(cap.amount)
            since = _before(event.at, cap.window)
            spent: Decimal = await conn.fetchval(SPENT, customer, option.remedy, most.currency, since, subject, event.offer)
            if most.currency == option.amount.currency and spent + option.amount.amount > most.amount:
                raise OverCap(
                    f"{option.remedy}: one customer may get {most} in {cap.window}, of which {spent:f} are offered or "
                    "granted already"
                )
        await _add(conn, subject, state, event.offer, option)


async def _add(conn: Connection, subject: UUID, state: EscalationState, offer: int, option: Any) -> None:
    await conn.execute(
        GRANT, subject, offer, option.remedy, state.case.customer, state.facts.category, option.amount.currency,
        option.amount.amount,
    )  # fmt: skip


def _before(at: datetime, span: str) -> datetime:
    return at - (durations.add(at, durations.parse(span), "UTC") - at)
