"""Which complaints a customer has: looked up once for a batch, by keyed hashes of how people can be known again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import orjson

from services.intake.repeats import LIVE, SHARED, Earlier
from shared.contracts import ids
from shared.contracts.complaints import Contact
from shared.frozen import replace
from shared.postgres.pool import Connection

MAX_PEOPLE = 10
# What is wrong is read only of complaints that may be repeated: live ones of people who have few. One that was merged is told by
# the one that it is part of.
FIND = """
select person, known.complaint_id, category, opened_at, heard_at, complaint_state.state -> 'issues' as issues
from (
    select asked.person, complaint.*, count(*) over (partition by asked.person) as complaints
    from unnest($1::uuid[]) as asked (person)
    cross join lateral (
        select complaint_id, category, opened_at, heard_at from customer_complaint
        where customer_complaint.person = asked.person order by opened_at desc limit $3 + 1
    ) as complaint
    where not exists (select from merged where merged.complaint_id = complaint.complaint_id)
) as known
left join complaint_state on complaint_state.complaint_id = known.complaint_id and known.heard_at >= $2 and complaints <= $3
"""
KEEP = """
insert into customer_complaint (person, complaint_id, category, opened_at, heard_at)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[])
on conflict (person, opened_at, complaint_id) do update set heard_at = excluded.heard_at
where excluded.heard_at > customer_complaint.heard_at
"""

# Person -> how he is known by it.
People = Mapping[UUID, str]


def people(id_key: bytes, contact: Contact) -> dict[UUID, str]:
    """How the customer can be known again, also in another system: addresses and numbers; the source's own reference only there."""
    customer = contact.customer
    found = [("email", "email", each.lower()) for each in customer.emails]
    found += [("phone", "phone", each.e164) for each in customer.phones if each.e164]
    if customer.ref:
        found.append(("customer_ref", f"ref/{contact.source.instance}", customer.ref))
    return {ids.keyed_id(id_key, "person", kind, value): how for how, kind, value in found[:MAX_PEOPLE]}


class Customers:
    """The earlier complaints of one batch's customers; what comes earlier in the batch counts already."""

    def __init__(self) -> None:
        self._known: dict[UUID, dict[UUID, Earlier]] = {}

    async def load(self, conn: Connection, messages: Sequence[tuple[People, datetime]]) -> None:
        """Look up all customers at once; messages as (how their customer is known, when they were written)."""
        asked = {person for known_by, _ in messages for person in known_by}
        if not asked:
            return
        since = min(written for _, written in messages) - LIVE
        for row in await conn.fetch(FIND, list(asked), since, SHARED):
            issues = () if row["issues"] is None else tuple(orjson.loads(row["issues"]))
            complaint = Earlier(row["complaint_id"], row["category"], row["opened_at"], row["heard_at"], (), issues)
            self.add((row["person"],), complaint)

    def earlier(self, known_by: People, complaint: UUID) -> list[Earlier]:
        """The other complaints of whoever is known by `known_by`. What many share is no proof of being one person."""
        found: dict[UUID, tuple[Earlier, list[str]]] = {}
        for person, how in known_by.items():
            known = self._known.get(person, {})
            for other in known.values():
                if other.complaint_id != complaint:
                    matched = found.setdefault(other.complaint_id, (other, []))[1]
                    matched += [how] if len(known) <= SHARED and how not in matched else []
        return [replace(other, matched=tuple(matched)) for other, matched in found.values()]

    def add(self, known_by: Iterable[UUID], complaint: Earlier) -> None:
        """A complaint as it is now, after a message of this batch."""
        for person in known_by:
            self._known.setdefault(person, {})[complaint.complaint_id] = complaint


async def keep(conn: Connection, heard: Iterable[tuple[UUID, Earlier]]) -> None:
    """Remember whose complaints were heard of, in the transaction that normalizes the messages."""
    latest: dict[tuple[UUID, UUID], datetime] = {}
    complaints: dict[UUID, Earlier] = {}
    for person, complaint in heard:
        key = (person, complaint.complaint_id)
        latest[key] = max(complaint.heard_at, latest.get(key, complaint.heard_at))
        complaints[complaint.complaint_id] = complaint
    rows = [(person, i, complaints[i].category, complaints[i].opened_at, latest[person, i]) for person, i in sorted(latest)]
    if rows:
        await conn.execute(KEEP, *(list(column) for column in zip(*rows, strict=True)))
