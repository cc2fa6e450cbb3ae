"""The audit of the ledger in PostgreSQL: every row against its own hashes, the tiles, and the signed checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.records import tree_store
from services.records.log_folder import BackDated, Report, Tell, report
from services.records.payload_audit import ROWS, Payloads
from services.records.payloads import CaseKeys
from services.records.tree import merkle, note, tiles
from services.records.tree.audit import Audit, Finding, between, exact
from services.records.tree.checkpoint import Head
from services.records.tree_store import Conn

LEAVES = """
select idx, leaf, leaf_hash, uuid_send(event_id) || uuid_send(complaint_id) as ids
from ledger_leaf where idx >= $1 and idx < $2 order by idx
"""
STRAYS = """
select idx from ledger_leaf where idx < 0 or idx >= $1
union all select idx from ledger_payload where idx < 0 or idx >= $1 order by idx limit 1
"""
_IDS = slice(4, 36)  # where a leaf has them

async def audit(
    conn: Conn, keys: Sequence[note.Verifier], known: Sequence[Head] = (), *, case_keys: CaseKeys | None = None,
    payloads: bool = True, tell: Tell = lambda done, size: None,
) -> Report:  # fmt: skip
    """Check the whole ledger, as of one moment. `known` are heads that the auditor has kept from before.

    Payloads are sealed: without `case_keys` they are not looked into, without `payloads` not even read. `tell` hears how
    many of how many rows are done.
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
        contents = Payloads(case_keys) if payloads else None
        findings = await _rows(conn, max(size, head.size), head.size, running, contents, tell)
        if contents is not None:
            findings += await contents.unexplained(conn)
            notes = [*notes, *contents.notes()]
        stray = await conn.fetchval(STRAYS, size)
        if stray is not None:
            findings.append(exact(stray, f"row {stray} lies outside of the ledger, which has {size} records"))
        upper = {
            (level, number): await tree_store.upper_tile(conn, level, number, width)
            for level in tiles.levels(head.size)
            if level
            for number, width in tiles.widths(level, head.size)
        }
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


async def _rows(conn: Conn, size: int, signed: int, running: Audit, contents: Payloads | None, tell: Tell) -> list[Finding]:
    """Every row by itself, and all of them into the audit of the tree. Returns the first that is wrong."""
    found: list[Finding] = []
    back_dated = BackDated()
    expected = 0
    async for number, rows, stored in tree_store.leaf_tiles(conn, size, ROWS if contents is not None else LEAVES):
        hashes: list[bytes] = []
        whole = True
        if contents is not None:
            await contents.open(conn, rows)
        for row in rows:
            index, leaf = row[0], row[1]
            if index != expected and whole:
                found = found or [exact(expected, f"row {expected} is missing")]
                whole = False
            hashed = merkle.leaf_hash(leaf)
            problem = _problem(leaf, hashed, row[2], row[3]) or (contents.problem(row) if contents is not None else "")
            if problem and not found:
                found = [exact(index, f"row {index}: {problem}")]
            if whole:
                hashes.append(hashed)
            expected = index + 1
        width = min(tiles.WIDTH, size - number * tiles.WIDTH)
        if len(hashes) < width and not found:
            found = [exact(number * tiles.WIDTH + len(hashes), f"row {number * tiles.WIDTH + len(hashes)} is missing")]
        expected = number * tiles.WIDTH + width
        if stored is not None and not found and stored != b"".join(hashes):
            place = next((i for i, each in enumerate(tiles.hashes(stored)) if hashes[i : i + 1] != [each]), 0)
            found = [exact(number * tiles.WIDTH + place, f"row {number * tiles.WIDTH + place} is not the one in the tree")]
        if not found:
            found = back_dated.look(number * tiles.WIDTH, [row["leaf"] for row in rows])
        if number * tiles.WIDTH < signed:
            inside = min(tiles.WIDTH, signed - number * tiles.WIDTH)
            kept = stored if stored is not None else b"".join(row["leaf_hash"] for row in rows[:inside])
            running.add(number, hashes[:inside], kept[: inside * merkle.HASH_SIZE])
        tell(min(expected, size), size)
    return found


def _problem(leaf: bytes, hashed: bytes, leaf_hash: bytes, ids: bytes) -> str:
    """What is wrong with a leaf's row by itself; empty when nothing is."""
    if hashed != leaf_hash:
        return "the leaf was changed: it does not give the hash beside it"
    if ids != leaf[_IDS]:
        return "its columns do not repeat the ids that its leaf has"
    return ""


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
