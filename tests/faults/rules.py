"""What must hold after a run, rule by rule: pure functions of the client's journal and of what was read."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.faults.journal import Journal
from tests.faults.reading import READERS, SERVICES, WRITER, Event, World
from tests.faults.stories import decisions, follow_ups, statuses


class Finding(NamedTuple):
    """One thing that is wrong: which rule, about what, how."""

    rule: str
    about: str
    detail: str


OUTCOMES = {"contact": ("complaint", "contact"), "reply": ("reply",), "status": ("status",), "bot": ("set_aside",)}
RECEIVED, ADDED = "amends.complaint.received.v1", "amends.complaint.contact_added.v1"


def all_of(journal: Journal, world: World) -> Iterator[Finding]:
    """Every rule."""
    yield from submissions(journal, world)
    yield from received(journal, world)
    yield from ledger(world)
    yield from topics(journal, world)
    yield from sequences(world)
    yield from leftovers(journal, world)
    for rule, told in (("decision", decisions), ("status", statuses), ("follow-up", follow_ups)):
        for subject, detail in told(journal, world):
            yield Finding(rule, subject, detail)


def submissions(journal: Journal, world: World) -> Iterator[Finding]:
    """Each acknowledged submission is kept, with its bytes, and has exactly one outcome."""
    rows = {row["event_id"]: row for row in world.submissions}
    for row in world.submissions:
        if row["source"] != journal.source or row["event_id"] not in journal.submissions:
            yield Finding("submission", row["event_id"], "nobody sent this")
    for sent in journal.submissions.values():
        row = rows.get(sent.event_id)
        if row is None:
            if sent.acknowledged:
                yield Finding("submission", sent.event_id, f"lost: acknowledged as {sent.told}, and not kept")
            continue
        if sent.told.count("accepted") > 1:
            yield Finding("submission", sent.event_id, f"accepted {sent.told.count('accepted')} times")
        if sent.complaint_id not in ("", str(row["complaint_id"])):
            yield Finding("submission", sent.event_id, "the client was told another complaint id")
        if row["outcome"] not in OUTCOMES[sent.kind]:
            yield Finding("submission", sent.event_id, f"a {sent.kind} became {row['outcome']}")
        if f'"{sent.event_id}"'.encode() not in world.bodies.get(str(row["delivery_id"]), b""):
            yield Finding("submission", sent.event_id, "the bytes of its delivery are not kept")


def received(journal: Journal, world: World) -> Iterator[Finding]:
    """Each submission is exactly one event of intake; of a record's contacts exactly one is the complaint."""
    injected = journal.injected()
    events: Counter[str] = Counter()
    subjects: dict[str, set[str]] = defaultdict(set)
    for row in world.ledger:
        if row.event.service == "intake" and row.event.subject not in injected:
            data = row.event.json()
            event_id = (data.get("contact") or data)["source"]["event_id"]
            events[event_id] += 1
            subjects[event_id].add(row.event.subject)
    for sent in journal.submissions.values():
        if events[sent.event_id] != 1 and (sent.acknowledged or events[sent.event_id] > 1):
            yield Finding("received", sent.event_id, f"{events[sent.event_id]} events in the ledger, not 1")
        if sent.kind != "bot" and sent.complaint_id and subjects[sent.event_id] - {sent.complaint_id}:
            yield Finding("received", sent.event_id, "its event is about another complaint")
    contacts = Counter(s.complaint_id for s in journal.acknowledged() if s.kind == "contact")
    for complaint_id, count in contacts.items():
        types = Counter(e.type for e in world.by_subject[complaint_id]["intake"])
        if types[RECEIVED] != 1 or types[ADDED] != count - 1:
            detail = f"{count} contacts became {types[RECEIVED]} received and {types[ADDED]} added"
            yield Finding("received", complaint_id, detail)


def ledger(world: World) -> Iterator[Finding]:
    """Indexes without holes, hashes and commitments that verify, each event once, each complaint's events in order."""
    if world.ledger_size != len(world.ledger):
        yield Finding("ledger", "head", f"says {world.ledger_size}, there are {len(world.ledger)} rows")
    ids: set[str] = set()
    for expected, row in enumerate(world.ledger):
        if row.idx != expected:
            yield Finding("ledger", str(row.idx), f"the index should be {expected}")
            return
        if hashlib.sha256(b"\x00" + row.leaf).digest() != row.leaf_hash:
            yield Finding("ledger", str(row.idx), "the leaf hash is wrong")
        if hmac.digest(row.salt, row.payload, "sha256") != row.leaf[-32:]:
            yield Finding("ledger", str(row.idx), "the leaf does not commit to the payload")
        named = (row.leaf[:4], row.leaf[4:20].hex(), row.leaf[20:36].hex())
        if named != (b"CCR1", row.event.id.replace("-", ""), row.event.subject.replace("-", "")):
            yield Finding("ledger", str(row.idx), "the leaf names another event than the payload")
        if row.event_id != row.event.id or row.complaint_id != row.event.subject or row.event_id in ids:
            yield Finding("ledger", str(row.idx), "its event id is not its payload's, or is there twice")
        ids.add(row.event_id)
    for subject, services in world.by_subject.items():
        for service, events in services.items():
            numbers = [event.sequence for event in events]
            if numbers != list(range(1, len(numbers) + 1)):
                yield Finding("sequence", subject, f"the ledger has {numbers[:20]} of {service}")


def topics(journal: Journal, world: World) -> Iterator[Finding]:
    """What is in a topic twice is the same twice; the ledger has exactly what the topics have, byte for byte."""
    injected = journal.injected()
    # What records itself writes about a case is in no topic that is looked at here.
    recorded = {row.event.id: row.event for row in world.ledger if row.event.service != "records"}
    published: dict[str, Event] = {}
    for topic in WRITER:
        for record in world.records[topic]:
            event = record.event
            if event is None or (record.poison and event.subject not in injected):
                if not record.poison:
                    yield Finding("topic", f"{topic}/{record.partition}/{record.offset}", "not an event, and not ours")
                continue
            if published.setdefault(event.id, event) != event:
                yield Finding("topic", event.id, f"two different events {event.service}/{event.sequence} with one id")
    for event_id, event in published.items():
        if recorded.get(event_id) != event:
            what = "differs from" if event_id in recorded else "is not in"
            yield Finding("topic", event_id, f"{event.type} {event.sequence} of {event.subject} {what} the ledger")
    for event_id in recorded.keys() - published.keys():
        yield Finding("topic", event_id, "in the ledger, but in no topic")


def sequences(world: World) -> Iterator[Finding]:
    """Each service's numbers agree with the topics: the last it wrote, the last it has seen of every other."""
    last: dict[str, dict[str, int]] = {service: defaultdict(int) for service in SERVICES}
    for topic, writer in WRITER.items():
        for record in world.records[topic]:
            if record.event is not None and not record.poison:
                subject = record.event.subject
                last[writer][subject] = max(last[writer][subject], record.event.sequence)
    for service, tables in world.tables.items():
        for subject, sequence in tables.sequence.items():
            if service != "records" and sequence != last[service][subject]:
                detail = f"{service} says it wrote {sequence}, its topic has {last[service][subject]}"
                yield Finding("sequence", subject, detail)
        for topic, writer in WRITER.items():
            if service in READERS[topic]:
                for subject, sequence in last[writer].items():
                    seen = tables.seen.get(subject, {}).get(writer, 0)
                    if seen != sequence:
                        yield Finding("sequence", subject, f"{service} has seen {seen} of {writer}'s {sequence}")


def leftovers(journal: Journal, world: World) -> Iterator[Finding]:
    """Nothing waits; what is parked or held is exactly the injected poison, and was announced."""
    injected = journal.injected()
    announced: Counter[tuple[str, str]] = Counter()
    for record in world.records["dead-letters"]:
        if record.event is not None:
            data = record.event.json()
            announced[(data["service"], data["reference"])] += 1
    garbage = {
        f"{topic}/{record.partition}/{record.offset}"
        for topic in WRITER
        for record in world.records[topic]
        if record.poison and (record.event is None or record.event.subject not in injected)
    }
    for topic, partition, offset in journal.garbage:
        if f"{topic}/{partition}/{offset}" not in garbage:
            yield Finding("poison", f"{topic}/{partition}/{offset}", "the injected record is not in the topic")
    for service, tables in world.tables.items():
        if tables.outbox:
            yield Finding("leftover", service, f"{tables.outbox} rows in the outbox")
        read = {topic for topic, readers in READERS.items() if service in readers}
        expected = {reference for reference in garbage if reference.partition("/")[0] in read}
        held: set[tuple[str, str, int]] = set()
        if service in ("escalation", "followup"):  # records keeps broken data as they came
            sources = {WRITER[topic] for topic in read}
            expected |= {f"{s}/{subject}/{n}" for s, subject, n in journal.broken if s in sources}
            held = {item for item in journal.behind if item[0] in sources}
        for reference in set(tables.dead) - expected:
            yield Finding("dead letter", f"{service} {reference}", "parked, and not poison")
        for reference in expected - set(tables.dead):
            yield Finding("dead letter", f"{service} {reference}", "poison, and not parked")
        for item in tables.held ^ held:
            yield Finding("leftover", service, f"{item} is held, or should be")
        for reference in tables.dead:
            if not announced[(service, reference)]:
                yield Finding("dead letter", f"{service} {reference}", "no notice in the topic dead-letters")
