"""Publishing in steps that crash, with keys that change or get lost, from databases that went back: nothing false is signed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.records import key_files, log_folder, signer, tree_store
from services.records.signer import SigningRefused
from services.records.tree import checkpoint, merkle, note, tiles
from services.records.tree.checkpoint import Head
from shared import failpoints
from shared.errors import StartRefused
from tests.ledger.database import ORIGIN, Ledger
from tests.ledger.trees import Tree, leaves


class Crash(BaseException):
    """Ends a step at once, as a kill does: nobody catches it."""


async def crash_at(ledger: Ledger, place: str) -> None:
    async def hook(name: str) -> None:
        if name == place:
            raise Crash

    failpoints.arm(hook)
    with pytest.raises(Crash):
        await ledger.publisher().step()
    failpoints.arm(None)


PLACES = ("ledger.tiles", "ledger.integrated", "ledger.signed", "save.before_commit", "save.after_commit", "ledger.published")


@pytest.mark.parametrize("more", [0, 400])
@pytest.mark.parametrize("place", PLACES)
async def test_a_crash_at_any_step_is_made_good_by_the_next(ledger: Ledger, place: str, more: int) -> None:
    await ledger.append(300)
    await ledger.publish()
    await ledger.append(300)
    await crash_at(ledger, place)
    await ledger.append(more)
    await ledger.publisher().step()
    last = await tree_store.last_checkpoint(ledger.conn)
    assert last is not None
    assert last.size == 600 + more
    assert (await ledger.verify()).as_json()["valid"]
    heads = await ledger.conn.fetch("select size, count(*) from ledger_checkpoint group by 1 having count(*) > 1")
    assert not heads, "no checkpoint twice"


async def test_replicas_that_publish_at_the_same_time_agree(ledger: Ledger) -> None:
    await ledger.append(2_000)
    replicas = [ledger.publisher() for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(replica.step() for replica in replicas))
        await ledger.append(300)
    await replicas[0].step()
    assert (await ledger.verify()).valid
    sizes = [row["size"] for row in await ledger.conn.fetch("select size from ledger_checkpoint order by number")]
    assert sizes == sorted(set(sizes)), "each once, none going back"


async def test_without_a_key_it_integrates_and_signs_nothing(ledger: Ledger) -> None:
    await ledger.append(600)
    assert await ledger.publisher(signer=None).step() is None
    assert await ledger.conn.fetchval("select count(*) from ledger_tile") == 2
    assert await tree_store.last_checkpoint(ledger.conn) is None


async def test_an_old_backup_is_refused_and_so_is_what_grows_from_it(ledger: Ledger) -> None:
    await ledger.append(300)
    await ledger.publish()
    async with ledger.as_owner() as conn:  # the state of before the last 100
        for table in ("ledger_leaf", "ledger_payload"):
            await conn.execute(f"delete from {table} where idx >= 200")
        await conn.execute("update ledger_head set size = 200")
        await conn.execute("delete from ledger_checkpoint")
    with pytest.raises(SigningRefused, match="an old copy of the database was put back"):
        await ledger.publisher().step()
    await ledger.append(150)  # other events take the place of those that were lost
    with pytest.raises(SigningRefused, match="rewritten or forked"):
        await ledger.publisher().step()
    assert await tree_store.last_checkpoint(ledger.conn) is None


async def test_after_a_loss_for_good_a_new_log_begins(ledger: Ledger) -> None:
    """docs/how-to/operate.md, 'When the ledger went back': another name, another key, all that is there."""
    from services.records import ledger_audit, log_export
    from services.records.payloads import CaseKeys
    from tests.ledger.database import MASTER_KEYS

    await ledger.append(300)
    lost = await ledger.publish()
    old = ledger.signer().verifiers[0]
    async with ledger.as_owner() as conn:
        for table in ("ledger_leaf", "ledger_payload"):
            await conn.execute(f"delete from {table} where idx >= 200")
        await conn.execute("update ledger_head set size = 200")
        await conn.execute("delete from ledger_tile")
    ledger.key_file = ledger.folder / "second.key"
    ledger.signer(ORIGIN + "-2")
    assert (await ledger.publish()).size == 200
    await ledger.append(150)
    assert (await ledger.publish()).size == 350
    assert (await ledger.verify()).valid
    await log_export.export(ledger.conn, log_folder.Writer(ledger.folder / "log"), lambda done, size: None)
    assert log_folder.audit(ledger.folder / "log", ledger.keys).valid
    assert not log_folder.audit(ledger.folder / "log", ledger.keys, [lost]).valid, "it does not hide what was lost"
    case_keys = CaseKeys(MASTER_KEYS)
    assert not (await ledger_audit.audit(ledger.conn, [old], case_keys=case_keys)).valid, "and the old log has a hole"


async def test_a_damaged_ledger_is_not_integrated_or_signed(ledger: Ledger) -> None:
    await ledger.append(300)
    async with ledger.as_owner() as conn:
        await conn.execute("delete from ledger_leaf where idx = 100")
    with pytest.raises(tree_store.LedgerDamaged, match="row 100 is missing"):
        await ledger.publisher().step()


async def test_the_loop_goes_on_after_a_refusal(ledger: Ledger) -> None:
    await ledger.append(10)
    memory = ledger.signer()._memory
    memory.write_text(Tree(leaves(20)).checkpoint().replace("complaints.example.com/ledger", ORIGIN))
    running = asyncio.ensure_future(ledger.publisher(every_s=0.01).run())
    await asyncio.sleep(0.1)
    memory.unlink()
    try:
        async with asyncio.timeout(15):
            while await tree_store.last_checkpoint(ledger.conn) is None:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()


async def test_a_key_is_rotated_and_what_it_signed_stays_verifiable(ledger: Ledger) -> None:
    await ledger.append(100)
    await ledger.publish()
    old = ledger.signer().verifiers[0]
    key_files.make(ledger.key_file, None, rotate=True)
    assert (await ledger.publish()).size == 100, "signed anew at once, though nothing was added"
    new = ledger.signer().verifiers[0]
    last = await tree_store.last_checkpoint(ledger.conn)
    assert last is not None
    for key in (old, new):
        assert checkpoint.open_trusted(last.note, [key])[0].size == 100
    await ledger.append(50)
    await ledger.publish()
    ledger.key_file.write_text(ledger.key_file.read_text().splitlines()[0] + "\n")  # the old key is retired
    await ledger.append(50)
    await ledger.publish()
    last = await tree_store.last_checkpoint(ledger.conn)
    assert last is not None
    with pytest.raises(note.BadNote, match="not signed by the given key"):
        checkpoint.open_trusted(last.note, [old])
    from services.records import log_export

    await log_export.export(ledger.conn, log_folder.Writer(ledger.folder / "log"), lambda done, size: None)
    assert (ledger.folder / "log/log.vkey").read_text() == new.vkey + "\n"
    assert (ledger.folder / "log/retired.vkeys").read_text() == old.vkey + "\n"
    told = log_folder.audit(ledger.folder / "log", [old, new])
    assert (told.valid, told.notes) == (True, ()), "all earlier checkpoints, by whichever key"


async def test_a_lost_key_is_replaced_and_the_log_goes_on(ledger: Ledger) -> None:
    """docs/how-to/operate.md, 'When the signing key is lost': the memory is still there, or comes from outside."""
    await ledger.append(100)
    await ledger.publish()
    old = ledger.signer().verifiers[0]
    kept = (await tree_store.last_checkpoint(ledger.conn)).note  # type: ignore[union-attr]
    memory = ledger.signer()._memory
    ledger.key_file.unlink()
    memory.unlink()
    await ledger.append(20)
    with pytest.raises(SigningRefused, match="its memory is lost"):
        await ledger.publisher().step()
    with pytest.raises(note.BadNote, match="not signed"):
        ledger.signer().adopt(kept, ledger.keys)
    assert ledger.signer().adopt(kept, [old]).size == 100
    assert (await ledger.publish()).size == 120
    told = await ledger.verify()
    assert (told.valid, told.size) == (True, 120)
    assert "signed by keys that were not given" in told.notes[0]


def test_the_signer_refuses_every_fork(tmp_path: Path) -> None:
    """Whatever proof comes with it. It remembers across restarts."""
    key_files.make(tmp_path / "key", "complaints.example.com/ledger")
    honest, forked = Tree(leaves(40)), Tree([*leaves(20), *leaves(30, "forked")])
    for size in (0, 1, 20, 21, 40):
        before = signer.load(tmp_path / "key").remembered()
        start = before.size if before else 0
        for other in (forked, Tree(leaves(45, "other"))):
            for fork in range(start, 46):
                head = other.head(fork)
                if head == honest.head(min(fork, 40)):
                    continue
                for proof in ([], tiles.range_hashes(merkle.consistency(start, fork), other.read)):
                    if start == 0 or (start <= 20 and other is forked):
                        continue  # that is no fork yet
                    with pytest.raises(SigningRefused):
                        signer.load(tmp_path / "key").sign(head, proof)
        signed = signer.load(tmp_path / "key").sign(
            honest.head(size), tiles.range_hashes(merkle.consistency(start, size), honest.read)
        )
        assert Head.parse(signed.text) == honest.head(size)
    with pytest.raises(SigningRefused, match="old copy"):
        signer.load(tmp_path / "key").sign(honest.head(39), [])
    (tmp_path / "key.signed").write_text("garbage")
    with pytest.raises(SigningRefused, match="damaged"):
        signer.load(tmp_path / "key").sign(honest.head(40), [])


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("", "no signing key"), ("x", "no signing key"), ("PRIVATE+KEY+a+00000000+AAAA", "no signing key")],
)
def test_a_key_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
    with pytest.raises(StartRefused, match=said):
        signer.load(tmp_path / "key")


def test_keys_are_for_their_owner_alone_and_never_overwritten(tmp_path: Path, capsys: Any) -> None:
    from deploy import cli

    file = str(tmp_path / "key")
    assert cli.run(["records", "keygen", file]) == 2
    assert cli.run(["records", "keygen", file, "--name", "two words"]) == 2
    assert cli.run(["records", "keygen", file, "--name", "a.example/log"]) == 0
    public = capsys.readouterr().out
    assert public == (tmp_path / "key.vkey").read_text()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    secret = (tmp_path / "key").read_text()
    assert secret.strip() not in public
    assert secret.split("+")[-1].strip() not in repr(signer.load(tmp_path / "key")._keys)
    assert cli.run(["records", "keygen", file, "--name", "a.example/log"]) == 2
    assert cli.run(["records", "keygen", file, "--name", "b.example/log", "--rotate"]) == 2
    assert (tmp_path / "key").read_text() == secret


async def test_signing_as_a_process_of_its_own(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from deploy import cli

    def sign(*options: str) -> int:
        return cli.run(["records", "sign", "--key", str(ledger.key_file), "--once", *options])

    monkeypatch.setenv("AMENDS_DATABASE_URL", ledger.dsn)
    monkeypatch.setenv("AMENDS_ID_KEY", bytes(range(32)).hex())
    monkeypatch.delenv("AMENDS_RECORDS_SIGNING_KEY_FILE", raising=False)
    assert await asyncio.to_thread(sign) == 2, "there is no key"
    old = ledger.signer().verifiers[0]
    await ledger.append(300)
    assert await asyncio.to_thread(sign) == 0
    assert "signed 300 records" in capsys.readouterr().out
    assert await asyncio.to_thread(sign) == 0
    assert "nothing new" in capsys.readouterr().out
    assert await ledger.conn.fetchval("select count(*) from outbox") == 1, "the service's sweep announces it"
    kept = ledger.folder / "kept"
    kept.write_text((await tree_store.last_checkpoint(ledger.conn)).note)  # type: ignore[union-attr]
    ledger.signer()._memory.unlink()
    await ledger.append(1)
    assert await asyncio.to_thread(sign) == 1
    assert "memory is lost" in capsys.readouterr().err
    assert await asyncio.to_thread(sign, "--adopt", str(kept)) == 2
    (ledger.folder / "old.vkey").write_text(old.vkey)
    assert await asyncio.to_thread(sign, "--adopt", str(kept), "--public-key", str(ledger.folder / "old.vkey")) == 0
    assert "signed 301 records" in capsys.readouterr().out
    assert (await ledger.verify()).valid
