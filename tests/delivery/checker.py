"""The checker of the simulation: what must be there is known from what the commands acknowledged, and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from shared.contracts.codec import decode, read_data
from shared.contracts.envelope import Event
from shared.contracts.topics import TOPIC_OF
from tests.delivery.parts import READS, SERVICES, MemoryKafka, Noted, states_of, subject_number


@dataclass
class Books:
    """What the outside knows: commands (service, token) that were acknowledged, records that are no events, the topics."""

    complaints: int
    kafka: MemoryKafka
    acknowledged: dict[tuple[str, str], UUID] = field(default_factory=dict)
    garbage: set[tuple[str, str]] = field(default_factory=set)


async def check(dsn: str, books: Books) -> list[str]:
    """What is wrong with the tables and topics of a run that has come to rest."""
    conn = await asyncpg.connect(dsn)
    try:
        found = {service: await states_of(conn, service) for service in SERVICES}
        wrong = []
        for service in SERVICES:
            rows = await conn.fetch(f"select reference, reason from {service}.dead_letter")
            if {(service, row["reference"]) for row in rows} != {g for g in books.garbage if g[0] == service}:
                wrong.append(f"{service}: dead letters {[tuple(row) for row in rows]}")
            if held := await conn.fetchval(f"select count(*) from {service}.held"):
                wrong.append(f"{service}: {held} events are still held")
    finally:
        await conn.close()
    for number in range(books.complaints):
        wrong += _check_complaint(books, subject_number(number), found)
    return wrong + _check_topics(books, found)


def _check_complaint(books: Books, subject: UUID, found: dict[str, dict[UUID, Any]]) -> list[str]:
    wrong = []
    states = {service: found[service][subject][1] for service in SERVICES if subject in found[service]}
    for service, state in states.items():
        done = sorted(token for source, token in state.log if source == "command")
        asked = sorted(token for (s, token), about in books.acknowledged.items() if s == service and about == subject)
        if done != asked:
            wrong.append(f"{service} {subject}: commands done {done}, acknowledged {asked}")
        if found[service][subject][0] != len(state.emitted):
            wrong.append(f"{service} {subject}: sequence {found[service][subject][0]}, emitted {len(state.emitted)}")
        for source in SERVICES:
            read = [token for s, token in state.log if s == source]
            written = list(states[source].emitted) if source in states and TOPIC_OF.get(source) in READS[service] else []
            if read != written:
                wrong.append(f"{service} {subject}: of {source} read {read}, written was {written}")
        fired = sorted(token for source, token in state.log if source == "timer")
        if fired != sorted(name for name, what in state.timers.items() if what == "fired"):
            wrong.append(f"{service} {subject}: fired {fired}, timers {state.timers}")
        if "open" in state.timers.values():
            wrong.append(f"{service} {subject}: timers left open: {state.timers}")
    known = {(service, about) for (service, _), about in books.acknowledged.items()}
    wrong += [f"{s} {subject}: nothing is there" for s, about in known if about == subject and s not in states]
    return wrong


def _check_topics(books: Books, found: dict[str, dict[UUID, Any]]) -> list[str]:
    """Each event stands in its topic at least once, and always with the same id and content."""
    wrong = []
    seen: dict[tuple[str, UUID, int], tuple[UUID, str]] = {}
    for topic in ("complaints", "escalations"):
        for record in books.kafka.topics[topic]:
            event = decode(record, topic)
            if isinstance(event, Event):
                what = (event.id, read_data(Noted, event.data).token)
                if seen.setdefault((event.service, event.subject, event.sequence), what) != what:
                    wrong.append(f"{event.service} {event.subject} {event.sequence}: two events under one number")
    for service in ("intake", "escalation"):
        for subject, (_, state) in found[service].items():
            sent = [seen.get((service, subject, number + 1), ("", None))[1] for number in range(len(state.emitted))]
            if sent != list(state.emitted):
                wrong.append(f"{service} {subject}: sent {sent}, emitted {state.emitted}")
    return wrong
