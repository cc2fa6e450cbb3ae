"""The ledger in PostgreSQL: published step by step, verified against an owner who may change everything."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from services.records import ledger as leaves
from services.records import ledger_audit, log_export, log_folder, proofs, tree_store
from services.records.tree import checkpoint, merkle, note
from services.records.tree.checkpoint import Head
from tests.ledger.database import ORIGIN, Ledger


async def export(ledger: Ledger, folder: Path) -> log_folder.Report:
    await log_export.export(ledger.conn, log_folder.Writer(folder), lambda done, size: None)
    return log_folder.audit(folder, ledger.keys)


async def test_what_is_appended_is_signed_announced_proved_and_exported(ledger: Ledger) -> None:
    first = await ledger.publish()
    assert first == Head(ORIGIN, 0, merkle.EMPTY_ROOT)
    assert (await ledger.verify()).valid, "an empty ledger is one too"
    events = await ledger.append(700)
    head = await ledger.publish()
    rows = await ledger.conn.fetch("select leaf from ledger_leaf order by idx")
    assert head == Head(ORIGIN, 700, merkle.root([leaves.leaf_hash(row["leaf"]) for row in rows]))
    assert await ledger.publisher().step() is None, "nothing new, nothing signed"
    assert (await ledger.verify()).as_json() == {
        "valid": True, "size": 700, "root": checkpoint.encode(head.root), "first_bad": None, "reason": "",
    }  # fmt: skip
    assert (await export(ledger, ledger.folder / "log")).valid
    for number in (0, 255, 256, 511, 512, 699):
        proven = await log_export.prove(ledger.conn, events[number].id, ledger.case_keys)
        assert proven is not None
        found = proofs.check(str(proven.proof), proven.payload, ledger.keys)
        assert (found.index, found.event_id, found.head) == (number, events[number].id, head)
    outbox = await ledger.conn.fetchval("select count(*) from outbox")
    sequence = await ledger.conn.fetchval("select sequence from complaint_state")
    assert (outbox, sequence) == (2, 2), "each checkpoint is announced, in order"


async def test_records_behind_the_last_checkpoint_are_checked_by_themselves(ledger: Ledger) -> None:
    await ledger.append(300)
    await ledger.publish()
    await ledger.append(10)
    told = await ledger.verify()
    assert (told.valid, told.size, told.notes) == (True, 300, ("10 records are newer than the last checkpoint",))
    async with ledger.as_owner() as conn:
        await conn.execute("update ledger_payload set payload = payload || 'x' where idx = 305")
    assert (await ledger.verify()).first_bad == 305
    assert (await ledger_audit.audit(ledger.conn, ledger.keys, payloads=False)).valid, "which does not look at payloads"


async def test_a_ledger_without_a_checkpoint_proves_nothing_but_is_looked_at(ledger: Ledger) -> None:
    await ledger.append(5)
    told = await ledger.verify()
    assert told.valid
    assert "nothing is proved" in told.notes[0]
    async with ledger.as_owner() as conn:
        await conn.execute("delete from ledger_leaf where idx = 2")
    assert (await ledger.verify()).first_bad == 2


LEAF = "update ledger_leaf set leaf = overlay(leaf placing '\\x00000001'::bytea from 60), leaf_hash = {hash} where idx = $1"
REHASH = "sha256('\\x00'::bytea || overlay(leaf placing '\\x00000001'::bytea from 60))"
Tamper = Callable[[Any, int], Awaitable[object]]


def sql(statement: str) -> Tamper:
    return lambda conn, index: conn.execute(statement, index)


async def remove_and_close_the_gap(conn: Any, index: int) -> None:
    for table in ("ledger_leaf", "ledger_payload"):
        await conn.execute(f"delete from {table} where idx = $1", index)
        await conn.execute(f"update {table} set idx = -idx where idx > $1", index)
        await conn.execute(f"update {table} set idx = -idx - 1 where idx < 0")
    await conn.execute("update ledger_head set size = size - 1")


async def insert_in_between(conn: Any, index: int) -> None:
    for table in ("ledger_leaf", "ledger_payload"):
        await conn.execute(f"update {table} set idx = -idx - 1 where idx >= $1", index)
        await conn.execute(f"update {table} set idx = -idx where idx < 0")
    await conn.execute(
        "insert into ledger_leaf select $1, changed, sha256('\\x00'::bytea || changed), gen_random_uuid(), complaint_id from "
        "(select overlay(leaf placing '\\x0001'::bytea from 6) as changed, complaint_id from ledger_leaf where idx = 0) as other", index
    )  # fmt: skip
    await conn.execute("insert into ledger_payload select $1, service, event_type, sequence, occurred_at, recorded_at, salt, payload "
                       "from ledger_payload where idx = 0", index)  # fmt: skip
    await conn.execute("update ledger_head set size = size + 1")


async def swap(conn: Any, index: int) -> None:
    for table in ("ledger_leaf", "ledger_payload"):
        await conn.execute(f"update {table} set idx = -1 where idx = $1", index)
        await conn.execute(f"update {table} set idx = $1 where idx = $1 + 300", index)
        await conn.execute(f"update {table} set idx = $1 + 300 where idx = -1", index)


async def rewrite_tail(conn: Any, index: int) -> None:
    await conn.execute(LEAF.format(hash=REHASH).replace("idx = $1", "idx >= $1"), index)


@pytest.mark.parametrize(
    "tamper",
    [
        sql(LEAF.format(hash="leaf_hash")),
        sql(LEAF.format(hash=REHASH)),
        sql("update ledger_payload set payload = overlay(payload placing 'x'::bytea from 5) where idx = $1"),
        sql("update ledger_leaf set leaf = overlay(leaf placing '\\x0003'::bytea from 37), "
            "leaf_hash = sha256('\\x00'::bytea || overlay(leaf placing '\\x0003'::bytea from 37)) where idx = $1"),
        sql("update ledger_payload set salt = sha256(salt) where idx = $1"),
        sql("update ledger_payload set payload = '' where idx = $1"),
        sql("update ledger_payload set event_type = 'amends.future.v1' where idx = $1"),
        sql("update ledger_payload set sequence = sequence + 1 where idx = $1"),
        sql("update ledger_payload set occurred_at = occurred_at - interval '1 day' where idx = $1"),
        sql("update ledger_payload set recorded_at = recorded_at - interval '1 microsecond' where idx = $1"),
        sql("update ledger_leaf set complaint_id = gen_random_uuid() where idx = $1"),
        sql("update ledger_leaf set event_id = gen_random_uuid() where idx = $1"),
        sql("delete from ledger_payload where idx = $1"),
        sql("delete from ledger_leaf where idx = $1"),
        sql("delete from ledger_leaf where idx >= $1"),
        remove_and_close_the_gap,
        insert_in_between,
        swap,
        rewrite_tail,
    ],
    ids=["leaf", "leaf-and-hash", "payload", "leaf-type", "salt", "emptied", "type", "sequence", "occurred", "back-dated",
         "complaint", "event", "no-payload", "no-leaf", "cut", "removed", "inserted", "swapped", "tail"],
)  # fmt: skip
async def test_the_first_wrong_row_is_named(ledger: Ledger, tamper: Tamper) -> None:
    await ledger.append(700)
    await ledger.publish()
    assert (await ledger.verify()).valid
    index = random.randrange(1, 300)
    async with ledger.as_owner() as conn:
        await tamper(conn, index)
    told = await ledger.verify()
    assert (told.valid, told.first_bad) == (False, index), told


async def test_with_all_hashes_made_to_fit_the_checkpoints_still_tell(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.append(200)
        await ledger.publish()
    async with ledger.as_owner() as conn:
        await conn.execute(LEAF.format(hash=REHASH), 300)
        await conn.execute("delete from ledger_tile")
    assert await tree_store.integrate(ledger.conn) == 512
    told = await ledger.verify()
    assert (told.valid, told.first_bad) == (False, None)
    assert "from 200 to 399" in told.reason, "between the checkpoints around it"


async def test_a_history_signed_anew_by_who_has_the_key_is_found_by_what_was_kept(ledger: Ledger) -> None:
    """The operator has database and key, and rewrites everything: only a checkpoint elsewhere tells."""
    await ledger.append(200)
    await ledger.publish()
    await ledger.append(100)
    kept = await ledger.publish()
    async with ledger.as_owner() as conn:
        await conn.execute(LEAF.format(hash=REHASH), 220)
        await conn.execute("delete from ledger_tile")
        await conn.execute("delete from ledger_checkpoint where size > 200")
        ledger.key_file.with_name("signing.key.signed").write_text(
            await conn.fetchval("select note from ledger_checkpoint where size = 200")
        )
    await ledger.append(1)
    assert (await ledger.publish()).size == 301
    assert (await ledger.verify()).valid, "database and key together can say anything"
    assert (await export(ledger, ledger.folder / "log")).valid
    assert not (await ledger.verify(kept)).valid
    found = log_folder.audit(ledger.folder / "log", ledger.keys, [kept])
    assert (found.valid, found.first_bad) == (False, None)
    assert "from 200 to 299" in found.reason


async def test_a_forged_checkpoint_row_is_found(ledger: Ledger) -> None:
    await ledger.append(50)
    await ledger.publish()
    forged = note.new_signer(ORIGIN)
    head = Head(ORIGIN, 50, bytes(32))
    text = str(checkpoint.sign(head, [forged]))
    own = await ledger.conn.fetchval("select note from ledger_checkpoint")
    for row, said in (
        ((50, bytes(32), text.replace(text.split("— ")[1], own.split("— ")[1])), "false"),
        ((51, merkle.EMPTY_ROOT, own), "columns"),
        ((50, bytes(32), "garbage"), "no signatures"),
    ):
        async with ledger.as_owner() as conn:
            await conn.execute("update ledger_checkpoint set size = $1, root = $2, note = $3", *row)
        told = await ledger.verify()
        assert not told.valid
        assert said in told.reason
    async with ledger.as_owner() as conn:
        await conn.execute("update ledger_checkpoint set size = 50, root = $1, note = $2", head.root, text)
    assert "signed by keys that were not given" in (await ledger.verify()).notes[0], "somebody else's counts for nothing"


async def test_a_key_that_is_gone_without_a_recorded_erasure_is_found(ledger: Ledger) -> None:
    await ledger.append(200)
    await ledger.publish()
    async with ledger.as_owner() as conn:
        await conn.execute("delete from complaint_key where complaint_id = (select complaint_id from ledger_leaf where idx = 57)")
    told = await ledger.verify()
    assert (told.valid, told.first_bad) == (False, 7), "the first record of that complaint"  # there are fifty complaints
    assert "no erasure of its complaint is recorded" in told.reason


async def test_random_tamperings_are_found(ledger: Ledger) -> None:
    """One byte of one column of one row, chosen at random, and back again."""
    await ledger.append(520)
    await ledger.publish()
    chance = random.Random(7)
    columns = [
        ("ledger_leaf", "leaf", "idx"), ("ledger_leaf", "leaf_hash", "idx"), ("ledger_payload", "salt", "idx"),
        ("ledger_payload", "payload", "idx"), ("ledger_tile", "hashes", "number"), ("ledger_tile", "root", "number"),
        ("ledger_checkpoint", "root", "number"),
    ]  # fmt: skip
    async with ledger.as_owner() as conn:
        for _ in range(150):
            table, column, key = chance.choice(columns)
            rows = await conn.fetch(f"select {key} as key, {column} as value from {table} order by 1")
            row = chance.choice(rows)
            value = row["value"] or bytes(1)  # the salt of a sealed payload is sealed with it
            at, bit = chance.randrange(len(value)), 1 << chance.randrange(8)
            changed = value[:at] + bytes([value[at] ^ bit]) + value[at + 1 :]
            await conn.execute(f"update {table} set {column} = $1 where {key} = $2", changed, row["key"])
            told = await ledger.verify()
            assert not told.valid, (table, column, row["key"], at)
            if key == "idx":
                assert told.first_bad == row["key"], (table, column, at, told)
            await conn.execute(f"update {table} set {column} = $1 where {key} = $2", row["value"], row["key"])
    assert (await ledger.verify()).valid
