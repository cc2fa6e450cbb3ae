"""The bundle of one complaint for an ombudsman: its files from what is recorded, and their check. Pure.

    case.html, case.pdf, receipt.txt, README.txt   to be read; made of events.json and nothing else
    events.json                                    every event, in the order of the ledger
    proofs/INDEX.tlog-proof, proofs/INDEX.payload  for each event its proof, and the recorded bytes (none when erased)
    checkpoint, log.vkey                           the signed head of the log, and its public key

Nothing in a bundle is believed: each event is built anew from its proof and payload, and so are the pages to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from services.records import bundle_pages, ledger, log_folder, proofs
from services.records.bundle_pages import payload_name, proof_name
from services.records.tree import checkpoint, merkle, note
from services.records.tree.checkpoint import Head
from services.records.tree.proof import Proof
from shared.contracts.codes import EVENT_CODES, UNKNOWN
from shared.contracts.privacy import ComplaintErased

EVENTS, CHECKPOINT, VKEY = "events.json", "checkpoint", "log.vkey"

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as the ledger has it. Without salt and payload it is erased."""

    index: int
    leaf: bytes
    type: str
    service: str
    sequence: int
    salt: bytes = b""
    payload: bytes | None = None


class Unreadable(Exception):
    """A file of the bundle cannot be read; the message says why."""


@dataclass(slots=True)
class Report:
    """The outcome of a check. `reason` says what is wrong in `file`; `first_bad` is the ledger index where it is an event."""

    complaint_id: str = ""
    events: int = 0
    erased: int = 0
    size: int | None = None
    root: str | None = None
    first_bad: int | None = None
    file: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return not self.reason

    def wrong(self, file: str, reason: str, index: int | None = None) -> Report:
        self.file, self.reason, self.first_bad = file, reason, index
        return self

    def as_json(self) -> dict[str, Any]:
        return {"valid": self.valid, **{name: getattr(self, name) for name in self.__slots__}}


def files(
    complaint_id: UUID, events: Sequence[Recorded], hashes: Mapping[merkle.Range, bytes], signed: str, vkeys: Sequence[str]
) -> Iterator[tuple[str, bytes]]:
    """The files of a bundle, as (name, bytes). `hashes` has every range that the events' proofs name under `signed`."""
    head = Head.parse(note.parse(signed).text)
    entries = []
    for each in events:
        ranges = merkle.inclusion(each.index, head.size)
        yield proof_name(each.index), str(Proof(each.salt + each.leaf, each.index, tuple(hashes[r] for r in ranges), signed)).encode()
        if each.payload is not None:
            yield payload_name(each.index), each.payload
        entries.append(_entry(each))
    case = _case(str(complaint_id), head, entries)
    yield EVENTS, _dump(case)
    yield from bundle_pages.pages(case)
    yield VKEY, "".join(f"{vkey}\n" for vkey in vkeys).encode()
    yield CHECKPOINT, signed.encode()


def check(
    names: Set[str], read: Callable[[str], bytes], keys: Sequence[note.Verifier], tell: Tell = lambda done, size: None
) -> Report:
    """Check a bundle of the files `names`, which `read` reads (or raises Unreadable). Ends at the first wrong one."""
    report = Report()
    current = CHECKPOINT
    try:
        signed = read(CHECKPOINT).decode()
        head, parsed = checkpoint.open_trusted(signed, keys)
        report.size, report.root = head.size, checkpoint.encode(head.root)
        current = VKEY
        if not note.trusted(parsed, log_folder.read_keys(read(VKEY).decode())):
            return report.wrong(VKEY, "is not the key that signed the checkpoint")
        current = EVENTS
        stated = _read_events(read(EVENTS))
    except (Unreadable, note.BadNote, ValueError) as error:
        return report.wrong(current, "is no text" if isinstance(error, UnicodeDecodeError) else str(error))
    report.complaint_id = stated["complaint_id"]
    entries: list[dict[str, Any]] = []
    for said in stated["events"]:
        index = said["index"]
        if entries and index <= entries[-1]["index"]:
            return report.wrong(EVENTS, f"event {index} stands behind event {entries[-1]['index']}: not in the order of the ledger", index)
        try:
            entry = _entry(_proved(said, report.complaint_id, read, signed, keys))
            differs = [name for name in {**entry, **said} if _dump(said.get(name)) != _dump(entry.get(name))]
        except (Unreadable, note.BadNote) as error:
            return report.wrong(proof_name(index), str(error), index)
        except (ValueError, KeyError, TypeError, OverflowError):  # bytes that Amends never writes
            return report.wrong(proof_name(index), "or its payload is nothing that Amends writes", index)
        if differs:
            return report.wrong(EVENTS, f"event {index} is not what was recorded: {differs[0]!r} differs", index)
        entries.append(entry)
        report.events, report.erased = len(entries), report.erased + entry["erased"]
        tell(len(entries), len(stated["events"]))
    if not entries:
        return report.wrong(EVENTS, "has no events: it proves nothing")
    lost = [each["index"] for each in entries if each["erased"]]
    if lost and not any(each["type"] == ComplaintErased.TYPE for each in entries):
        return report.wrong(EVENTS, f"event {lost[0]} is said to be erased, but no erasure is among the events", lost[0])
    report.notes += _gaps(entries)
    return _check_pages(report, names, read, _case(report.complaint_id, head, entries), stated)


def _check_pages(report: Report, names: Set[str], read: Callable[[str], bytes], case: dict[str, Any], stated: Any) -> Report:
    """events.json as a whole, the pages to be read, and that there is nothing else."""
    own = {EVENTS: _dump({**case, "made_by": stated["made_by"]})}
    expected = {EVENTS, CHECKPOINT, VKEY, *bundle_pages.NAMES}
    for each in case["events"]:
        expected |= {proof_name(each["index"])} | (set() if each["erased"] else {payload_name(each["index"])})
    if stated["made_by"] == case["made_by"]:
        own |= dict(bundle_pages.pages(case))
    else:
        report.notes.append("another version of Amends made case.html, case.pdf and the texts: they were not checked, read events.json")
    for name, made in own.items():
        try:
            if read(name) != made:
                return report.wrong(name, "was changed: it is not what the events give")
        except Unreadable as error:
            return report.wrong(name, str(error))
    odd = sorted(names ^ expected)
    if odd:
        return report.wrong(odd[0], "does not belong to the bundle" if odd[0] in names else "is missing")
    return report


def _case(complaint_id: str, head: Head, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "made_by": bundle_pages.MADE_BY,
        "complaint_id": complaint_id,
        "log": head.origin,
        "size": head.size,
        "root": checkpoint.encode(head.root),
        "events": entries,
    }


def _entry(event: Recorded) -> dict[str, Any]:
    """An event of events.json. Of an erased one only the leaf is left: times and ids."""
    fields = ledger.read(event.leaf)
    envelope: dict[str, Any] = {"type": event.type, "service": event.service, "sequence": event.sequence, "causation_id": ""}
    data: Any = None
    if event.payload is not None:
        head, _, body = event.payload.partition(b"\n")
        envelope = orjson.loads(head)
        try:
            data = orjson.loads(body)
            orjson.dumps(data)
        except (ValueError, TypeError):  # recorded as it came: it need be no JSON, and may nest too deep. The payload has it
            data = None
    return {
        "index": event.index,
        "id": str(fields.event_id),
        "type": envelope["type"],
        "service": envelope["service"],
        "sequence": envelope["sequence"],
        "occurred_at": _time(fields.occurred_at),
        "recorded_at": _time(fields.recorded_at),
        "causation_id": envelope["causation_id"],
        "erased": event.payload is None,
        "data": data,
    }


def _proved(
    said: dict[str, Any], complaint_id: str, read: Callable[[str], bytes], signed: str, keys: Sequence[note.Verifier]
) -> Recorded:
    """What proof and payload show. Of an erased event: that there was one of this type and time. Raises BadNote, Unreadable,
    and what JSON of another shape raises."""
    index, event_type = said["index"], said["type"]
    text = read(proof_name(index)).decode()
    proof, payload = Proof.parse(text), None
    if proof.signed != signed:
        raise note.BadNote("holds another checkpoint than the bundle")
    if said["erased"] is True:
        leaf = proof.extra
        proof.check(leaf, keys)
        if ledger.read(leaf).type_code not in (UNKNOWN, EVENT_CODES.get(event_type, UNKNOWN)):
            raise note.BadNote("the event is of another type than the record")
    else:
        try:
            payload = read(payload_name(index))
        except Unreadable as error:
            raise Unreadable(f"its payload {payload_name(index)} {error}") from None
        leaf = proof.extra[ledger.SALT_SIZE :]
        proofs.check(text, payload, keys)
    if (proof.index, str(ledger.read(leaf).complaint_id)) != (index, complaint_id):
        raise note.BadNote(f"proves record {proof.index}, or one of another complaint, not this event")
    return Recorded(index, leaf, event_type, said["service"], said["sequence"], payload=payload)


def _read_events(data: bytes) -> dict[str, Any]:
    """events.json, so far that it can be checked. Raises ValueError."""
    try:
        found = orjson.loads(data)
        found["complaint_id"] = str(UUID(found["complaint_id"]))
        if not (isinstance(found["made_by"], str) and isinstance(found["events"], list)):
            raise ValueError
        for each in found["events"]:
            shape = [type(each[name]) for name in ("index", "sequence", "service", "type")]
            if shape != [int, int, str, str] or min(each["index"], each["sequence"]) < 0:
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("is not the list of events that Amends writes") from None
    return dict(found)


def _gaps(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Each service numbers its events about a complaint without gaps."""
    found = []
    for service in sorted({each["service"] for each in entries}):
        there = {each["sequence"] for each in entries if each["service"] == service}
        if len(there) != max(there):
            missing = next(number for number in range(1, max(there)) if number not in there)
            found.append(f"event {missing} of {service} is not in the bundle: ask why ({max(there) - len(there)} missing in all)")
    return found


def _time(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)
