"""The witness: it cosigns what continues, and nothing else; over HTTP, from files, and against publishers that fork."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy import cli
from services.records import tree_store
from services.records.tree import merkle, note, tiles
from services.records.witness import Address, Cosigners, Witness, app, read_addresses, request
from shared.errors import StartRefused
from shared.http.server import Server
from tests.ledger.database import Ledger
from tests.ledger.trees import KEY, ORIGIN, Tree, leaves

TREE = Tree(leaves(300))
FORKED = Tree([*leaves(200), *leaves(150, "forked")])
W1 = note.new_signer("witness.example.org/w1", note.COSIGNATURE)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(W1, [KEY.verifier], tmp_path / "memory")


def body(old: int, size: int, tree: Tree = TREE, key: note.Signer = KEY) -> bytes:
    proof = tiles.range_hashes(merkle.consistency(old, size), tree.read) if old <= size else []
    return request(old, proof, tree.checkpoint(size, key))


def test_it_cosigns_what_continues(witness: Witness) -> None:
    for old, size in ((0, 0), (0, 1), (1, 200), (200, 200), (200, 300)):
        answer = witness.handle(body(old, size), 1_770_000_000)
        assert answer.status == 200, answer.body
        (signature,) = note.read_signatures(answer.body.decode())
        text = TREE.head(size).text
        assert W1.verifier.verifies(text, signature)
        assert not W1.verifier.verifies(TREE.head(299).text, signature)
        later = note.Signature(signature.name, signature.key_id, (1_770_000_001).to_bytes(8, "big") + signature.value[8:])
        assert not W1.verifier.verifies(text, later), "the time is signed too"


OTHER = note.new_signer(ORIGIN)
STRANGER = note.new_signer("elsewhere.example/log")


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (body(0, 250), 409, b"200\n"),
        (body(199, 250), 409, b"200\n"),
        (body(200, 350, FORKED, KEY), 200, None),
        (body(200, 250, Tree(leaves(350, "other"))), 422, b"does not show"),
        (request(200, [], TREE.checkpoint(250)), 422, b"does not show"),
        (request(200, [bytes(32)] * 3, TREE.checkpoint(250)), 422, b"does not show"),
        (request(200, [], Tree(leaves(200, "other")).checkpoint()), 409, b"200\n"),
        (request(300, [], TREE.checkpoint(250)), 400, b"larger"),
        (body(200, 250, TREE, OTHER), 403, b"not signed"),
        (body(200, 250).replace(b"\n250\n", b"\n251\n"), 403, b"false"),
        (body(200, 250).replace(ORIGIN.encode(), b"elsewhere.example/log"), 404, b"not known"),
        (b"", 400, b""),
        (b"old 5", 400, b""),
        (b"old 05\n\n" + TREE.checkpoint(250).encode(), 400, b""),
        (b"old -1\n\n" + TREE.checkpoint(250).encode(), 400, b""),
        (b"old 200\nno base64!\n\n" + TREE.checkpoint(250).encode(), 400, b"base64"),
        (request(200, [bytes(32)] * 64, TREE.checkpoint(250)), 400, b"63"),
        (b"old 200\n\n\xff\xfe", 400, b"no text"),
        (b"old 200\n\ngarbage\n", 400, b"no signatures"),
    ],
)
def test_what_does_not_continue_gets_the_answer_of_the_specification(
    witness: Witness, sent: bytes, status: int, said: bytes | None
) -> None:
    assert witness.handle(body(0, 200), 0).status == 200
    answer = witness.handle(sent, 0)
    assert answer.status == status, answer.body
    if said is not None:
        assert said in answer.body
        assert witness.handle(body(200, 210), 0).status == 200, "and nothing was remembered of it"
    if status == 409:
        assert answer.media_type == b"text/x.tlog.size"


def test_it_remembers_over_restarts_each_log_by_itself(tmp_path: Path) -> None:
    def again() -> Witness:
        return Witness(W1, [KEY.verifier, STRANGER.verifier], tmp_path / "memory")

    assert again().handle(body(0, 200), 0).status == 200
    assert again().handle(body(0, 250), 0).status == 409
    other = str(note.sign(TREE.head(5).text.replace(ORIGIN, STRANGER.verifier.name), [STRANGER]))
    assert again().handle(request(0, [], other), 0).status == 200
    assert again().handle(body(200, 250), 0).status == 200


def test_the_key_of_a_log_is_no_key_of_a_witness(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="--witness"):
        Witness(KEY, [KEY.verifier], tmp_path)
    (tmp_path / "witnesses").write_text(f"https://w.example {W1.verifier.vkey}\n")
    assert read_addresses(tmp_path / "witnesses") == [Address("https://w.example", W1.verifier)]
    for wrong in (f"w.example {W1.verifier.vkey}", f"https://w.example {KEY.verifier.vkey}", "https://w.example", "https://w.example x"):
        (tmp_path / "witnesses").write_text(wrong)
        with pytest.raises(StartRefused):
            read_addresses(tmp_path / "witnesses")


async def test_a_published_checkpoint_carries_the_cosignatures_of_those_who_answer(ledger: Ledger) -> None:
    keys = ledger.keys
    two = [note.new_signer(f"witness.example.org/w{number}", note.COSIGNATURE) for number in (1, 2)]
    servers = [Server(app(Witness(key, keys, ledger.folder / key.verifier.name)), "127.0.0.1", 0) for key in two]
    for server in servers:
        await server.start()
    gone = Address("http://127.0.0.1:1", W1.verifier)
    try:
        for count in (3, 300, 20):
            await ledger.append(count)
            known = [Address(server.url, key.verifier) for server, key in zip(servers, two, strict=True)]  # no memory of sizes
            head = await ledger.publisher(cosign=Cosigners([*known, gone])).step()
            last = await tree_store.last_checkpoint(ledger.conn)
            assert last is not None
            assert head is not None
            signed = note.parse(last.note)
            assert len(note.trusted(signed, [*keys, *(key.verifier for key in two)])) == 3
        fork = request(head.size, [], TREE.checkpoint(head.size))
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.post(servers[0].url + "/add-checkpoint", content=fork)).status_code in (403, 404)
            assert (await client.get(servers[0].url + "/add-checkpoint")).status_code in (404, 405)
    finally:
        for server in servers:
            await server.stop(1.0)
    assert (await ledger.verify()).valid


async def test_a_log_that_forked_gets_no_cosignature_but_goes_on(ledger: Ledger) -> None:
    """The operator has replaced the signer's memory; the witness has one of its own."""
    await ledger.append(10)
    server = Server(app(Witness(W1, ledger.keys, ledger.folder / "memory")), "127.0.0.1", 0)
    await server.start()
    try:
        cosign = Cosigners([Address(server.url, W1.verifier)])
        await ledger.publisher(cosign=cosign).step()
        async with ledger.as_owner() as conn:
            for table in ("ledger_leaf", "ledger_payload", "ledger_checkpoint"):
                await conn.execute(f"delete from {table}")
            await conn.execute("update ledger_head set size = 0")
        ledger.signer()._memory.unlink()
        await ledger.append(30)
        await ledger.publisher(cosign=cosign).step()
    finally:
        await server.stop(1.0)
    last = await tree_store.last_checkpoint(ledger.conn)
    assert last is not None
    assert last.size == 30
    assert note.trusted(note.parse(last.note), [W1.verifier]) == []


def test_from_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An auditor without a network: export in, cosignature out; the next export must continue it."""
    assert cli.run(["records", "keygen", str(tmp_path / "w.key"), "--name", "auditor.example.org", "--witness"]) == 0
    verifier = note.read_verifier(capsys.readouterr().out)
    (tmp_path / "logs").write_text(KEY.verifier.vkey)

    def sign(tree: Tree, name: str) -> tuple[int, str]:
        tree.write(tmp_path / name)
        options = ["--key", str(tmp_path / "w.key"), "--logs", str(tmp_path / "logs"), "--memory", str(tmp_path / "memory")]
        code = cli.run(["records", "witness", "sign", str(tmp_path / name), *options])
        return code, capsys.readouterr().out

    code, line = sign(TREE, "one")
    assert code == 0
    assert note.trusted(note.Note(TREE.head().text, tuple(note.read_signatures(line))), [verifier])
    file = tmp_path / "one/checkpoint"
    file.write_text(file.read_text() + line)
    assert cli.run(["records", "verify", "--from", str(tmp_path / "one"), "--public-key", str(tmp_path / "logs"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"]
    (tmp_path / "witnesses").write_text(f"{verifier.vkey}\n{W1.verifier.vkey}\n")
    wanted = ["--public-key", str(tmp_path / "logs"), "--witnesses", str(tmp_path / "witnesses")]
    assert cli.run(["records", "verify", "--from", str(tmp_path / "one"), *wanted]) == 1
    assert "cosigned by 1 of the given witnesses; 2 are wanted" in capsys.readouterr().out
    assert cli.run(["records", "verify", "--from", str(tmp_path / "one"), *wanted, "--quorum", "1"]) == 0
    file.write_text(file.read_text() + line)
    assert cli.run(["records", "verify", "--from", str(tmp_path / "one"), *wanted]) == 1, "the same one twice is one"
    assert cli.run(["records", "verify", "--from", str(tmp_path / "one"), *wanted, "--quorum", "3"]) == 2
    assert cli.run(["records", "verify", "--from", str(tmp_path / "one"), *wanted[:3], str(tmp_path / "logs")]) == 2
    capsys.readouterr()
    code, told = sign(FORKED, "two")
    assert code == 1
    assert "from 0 to 299" in told
    assert sign(Tree(leaves(200)), "three")[0] == 1, "older than what was seen"
    assert sign(Tree(leaves(301)), "four")[0] == 0


def test_serving_as_a_command(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys

    assert cli.run(["records", "keygen", str(tmp_path / "w.key"), "--name", "auditor.example.org", "--witness"]) == 0
    (tmp_path / "logs").write_text(KEY.verifier.vkey)
    arguments = ["--key", str(tmp_path / "w.key"), "--logs", str(tmp_path / "logs"), "--memory", str(tmp_path / "memory")]
    command = [sys.executable, "-m", "deploy.cli", "records", "witness", "serve", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told: Any = process.stdout.readline().split()
            answer = httpx2.post(told[3].rstrip(",") + "/add-checkpoint", content=body(0, 100), trust_env=False)
            assert answer.status_code == 200, answer.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


async def test_two_at_once_are_never_both_cosigned(witness: Witness) -> None:
    assert witness.handle(body(0, 200), 0).status == 200
    both = await asyncio.gather(
        asyncio.to_thread(witness.handle, body(200, 350, FORKED), 0), asyncio.to_thread(witness.handle, body(200, 300), 0)
    )
    assert sorted(answer.status for answer in both) == [200, 409]
