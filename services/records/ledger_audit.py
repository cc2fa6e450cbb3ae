"""The audit of the ledger in PostgreSQL: every row against its own hashes, the tiles, and the signed checkpoints."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import orjson

from services.records import tree_store
from services.records.log_folder import BackDated, Report, report
from services.records.payloads import CannotOpen, CaseKeys, Ciphers, Opened, opened
from services.records.tree import merkle, note, tiles
from services.records.tree.audit import Audit, Finding, between, exact
from services.records.tree.checkpoint import Head
from services.records.tree_store import Conn
from shared.contracts.codes import EVENT_CODES, UNKNOWN
from shared.contracts.privacy import ComplaintErased

# `same`: the columns repeat what the leaf says (ids; occurred and recorded in microseconds since 1970).
ROWS = """
select leaf.idx, leaf.leaf, leaf.leaf_hash,
    uuid_send(leaf.event_id) || uuid_send(leaf.complaint_id) = substring(leaf.leaf from 5 for 32)
    and coalesce(int8send((extract(epoch from payload.occurred_at) * 1000000)::bigint)
        || int8send((extract(epoch from payload.recorded_at) * 1000000)::bigint) = substring(leaf.leaf from 39 for 16), true)
    as same,
    leaf.event_id, leaf.complaint_id, payload.salt, payload.payload, payload.event_type, payload.service, payload.sequence
from ledger_leaf as leaf left join ledger_payload as payload using (idx)
where leaf.idx >= $1 and leaf.idx < $2 order by leaf.idx
"""
STRAYS = """
select idx from ledger_leaf where idx < 0 or idx >= $1
union all select idx from ledger_payload where idx < 0 or idx >= $1 order by idx limit 1
"""
# A complaint whose key is gone, though nothing says that it was erased.
ERASED = """
select leaf.complaint_id from ledger_leaf as leaf join ledger_payload as payload using (idx)
where leaf.complaint_id = any($1::uuid[]) and payload.event_type = $2
"""
_COMMITMENT = 70  # where it begins in a leaf

Tell = Callable[[int, int], None]


async def audit(
    conn: Conn, keys: Sequence[note.Verifier], known: Sequence[Head] = (), tell: Tell = lambda done, size: None,
    case_keys: CaseKeys | None = None,
) -> Report:  # fmt: skip
    """Check the whole ledger, as of one moment. `known` are heads that the auditor has kept from before.

    `tell` hears how many of how many rows are done. Payloads are sealed: without `case_keys` they are not looked into.
    """
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        size = await tree_store.size(conn)
        published, notes, forged = _published(await tree_store.signed_at(conn), keys)
        if forged is not None:
            return report(published[-1] if published else None, forged, notes)
        heads = sorted([*published, *known], key=lambda head: head.size)
        if not heads:
            notes = [*notes, "no checkpoint is signed yet: the rows agree with their hashes, but nothing is proved"]
        head = heads[-1] if heads else Head("", 0, merkle.EMPTY_ROOT)
        if known and (not published or head.size > published[-1].size):
            notes = [*notes, f"the checkpoint of {head.size} records that you gave is not in the database"]
        running = Audit(head, heads)
        payloads = Payloads(case_keys)
        findings = await _rows(conn, max(size, head.size), head.size, running, tell, payloads)
        findings += await payloads.unexplained(conn)
        stray = await conn.fetchval(STRAYS, size)
        if stray is not None:
            findings.append(exact(stray, f"row {stray} lies outside of the ledger, which has {size} records"))
        upper = {
            (level, number): await tree_store.upper_tile(conn, level, number, width)
            for level in tiles.levels(head.size)
            if level
            for number, width in tiles.widths(level, head.size)
        }
    notes += payloads.notes()
    found = running.finish(lambda level, number, width: upper[level, number])
    if size > head.size and heads:
        notes = [*notes, f"{size - head.size} records are newer than the last checkpoint"]
    return report(head, _first(found, findings), notes)


def _first(tree: Finding | None, rows: Sequence[Finding]) -> Finding | None:
    """The first of all. A row that contradicts what stands beside it is named rather than the range it lies in."""
    named = min((each for each in rows if each.index is not None), key=lambda each: each.start, default=None)
    if tree is None or named is None:
        return tree or named
    inside = tree.index is None and tree.start <= named.start < tree.end
    return named if inside or named.start <= tree.start else tree


async def _rows(
    conn: Conn, size: int, signed: int, running: Audit, tell: Tell, payloads: Payloads
) -> list[Finding]:
    """Every row by itself, and all of them into the audit of the tree. Returns the first that is wrong."""
    found: list[Finding] = []
    back_dated = BackDated()
    expected = 0
    async for number, rows, stored in tree_store.leaf_tiles(conn, size, ROWS):
        hashes: list[bytes] = []
        whole = True
        await payloads.open(conn, rows)
        for row in rows:
            if row["idx"] != expected and whole:
                found = found or [exact(expected, f"row {expected} is missing")]
                whole = False
            problem = _problem(row, merkle.leaf_hash(row["leaf"]), payloads)
            if problem and not found:
                found = [exact(row["idx"], f"row {row['idx']}: {problem}")]
            if whole:
                hashes.append(merkle.leaf_hash(row["leaf"]))
            expected = row["idx"] + 1
        width = min(tiles.WIDTH, size - number * tiles.WIDTH)
        if len(hashes) < width and not found:
            found = [exact(number * tiles.WIDTH + len(hashes), f"row {number * tiles.WIDTH + len(hashes)} is missing")]
        expected = number * tiles.WIDTH + width
        if not found:
            found = back_dated.look(number * tiles.WIDTH, [row["leaf"] for row in rows])
        if number * tiles.WIDTH < signed:
            inside = min(tiles.WIDTH, signed - number * tiles.WIDTH)
            kept = stored if stored is not None else b"".join(row["leaf_hash"] for row in rows[:inside])
            running.add(number, hashes[:inside], kept[: inside * merkle.HASH_SIZE])
        if stored is not None and not found and stored != b"".join(hashes):
            place = next((i for i, each in enumerate(tiles.hashes(stored)) if hashes[i : i + 1] != [each]), 0)
            found = [exact(number * tiles.WIDTH + place, f"row {number * tiles.WIDTH + place} is not the one in the tree")]
        tell(min(expected, size), size)
    return found


def _problem(row: Any, hashed: bytes, payloads: Payloads) -> str:
    """What is wrong with a row by itself; empty when nothing is."""
    if hashed != row["leaf_hash"]:
        return "the leaf was changed: it does not give the hash beside it"
    if not row["same"]:
        return "its columns do not repeat what its leaf says (ids, times)"
    if row["payload"] is None:
        return "its payload is missing"
    if int.from_bytes(row["leaf"][36:38], "big") not in (UNKNOWN, EVENT_CODES.get(row["event_type"])):
        return "the leaf names another type of event than the row"
    try:
        plain = payloads.plain(row)
    except CannotOpen:
        return "its payload was changed: it does not open with the key of its complaint"
    if plain is None:
        return ""
    if not hmac.compare_digest(hmac.digest(plain.salt, plain.payload, "sha256"), row["leaf"][_COMMITMENT:]):
        return "the payload or its salt was changed: they do not give the leaf's commitment"
    if not _repeats(row, plain.payload):
        return "its columns do not repeat what its payload says (type, service, sequence)"
    return ""


class Payloads:
    """The payloads of the rows that are looked at, as far as there are keys to open them."""

    def __init__(self, case_keys: CaseKeys | None) -> None:
        self._case_keys = case_keys
        self._ciphers: Ciphers = {}
        self._sealed = 0
        self._without: dict[UUID, int] = {}

    async def open(self, conn: Conn, rows: Sequence[Any]) -> None:
        """Get the keys of `rows`."""
        wanted = {row["complaint_id"] for row in rows if row["payload"] and not row["salt"]}
        if self._case_keys is not None and wanted:
            self._ciphers = await self._case_keys.for_reading(conn, wanted)

    def plain(self, row: Any) -> Opened | None:
        """Salt and payload; None when nobody here can read them. Raises CannotOpen."""
        cipher = self._ciphers.get(row["complaint_id"])
        if not row["salt"] and (not row["payload"] or cipher is None):
            self._sealed += 1
            if not row["payload"] or self._case_keys is not None:
                self._without.setdefault(row["complaint_id"], row["idx"])
        return opened(cipher, row["event_id"], row["salt"], row["payload"])

    async def unexplained(self, conn: Conn) -> list[Finding]:
        """The first record whose key is gone, though no erasure of its complaint is recorded."""
        rows = await conn.fetch(ERASED, list(self._without), ComplaintErased.TYPE) if self._without else []
        told = {row["complaint_id"] for row in rows}
        lost = sorted(idx for complaint, idx in self._without.items() if complaint not in told)
        return [exact(idx, f"row {idx}: what it said is gone, but no erasure of its complaint is recorded") for idx in lost[:1]]

    def notes(self) -> list[str]:
        if not self._sealed:
            return []
        if self._case_keys is None:
            return [f"{self._sealed} payloads are sealed and were not looked into: AMENDS_MASTER_KEY_FILE is not set"]
        return [f"{self._sealed} payloads are erased; their leaves are whole"]


def _repeats(row: Any, payload: bytes) -> bool:
    """Whether the columns are the payload's: at its own place first, for that is quick, else read as JSON."""
    expected = f'","type":"{row["event_type"]}","service":"{row["service"]}","subject":"'.encode()
    sequence = f'","sequence":{row["sequence"]},'.encode()
    after = 43 + len(expected) + 36
    if payload[43 : 43 + len(expected)] == expected and payload[after : after + len(sequence)] == sequence:
        return True
    envelope = orjson.loads(payload.partition(b"\n")[0])
    return all(envelope[name] == row[column] for name, column in (("type", "event_type"), ("service", "service"), ("sequence", "sequence")))


def _published(
    stored: Sequence[tuple[tree_store.Stored, Any]], keys: Sequence[note.Verifier]
) -> tuple[list[Head], list[str], Finding | None]:
    """The heads of the published checkpoints that `keys` have signed, what to note, and the first that is forged."""
    heads: list[Head] = []
    unknown = 0
    for each, _ in stored:
        good = heads[-1].size if heads else 0
        try:
            signed = note.parse(each.note)
            head = Head.parse(signed.text)
            own = [key for key in keys if key.name == head.origin]
            if (head.size, head.root) != (each.size, each.root):
                raise note.BadNote("its columns are not what was signed")
            if not note.trusted(signed, own):
                unknown += 1
                continue
        except note.BadNote as error:
            return heads, [], between(good, max(each.size, good + 1), f"the checkpoint of {each.size} records is forged: {error}")
        if heads and head.origin != heads[-1].origin:
            unknown += 1
            continue
        heads.append(head)
    notes = [f"{unknown} checkpoints are signed by keys that were not given"] if unknown else []
    return heads, notes, None
