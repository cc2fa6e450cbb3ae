"""The public log over HTTP: copied by a command and verified, read by Go, nothing but what is signed, closed when told so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy import cli
from services.records import public_log, tree_store
from services.records.tree import note, tiles
from services.records.tree.checkpoint import Head
from shared.http.app import make_app
from shared.http.keys import Authenticator, mint
from shared.http.server import Server
from shared.postgres import api_keys
from shared.telemetry.health import Progress
from tests.ledger.database import Ledger
from tests.ledger.test_go import check
from tests.ledger.trees import KEY, ORIGIN

__all__ = ["check"]


@contextlib.asynccontextmanager
async def served(ledger: Ledger, *, is_open: bool = True) -> AsyncIterator[str]:
    app = make_app("Records", service="records", progress=Progress())
    app.include_router(public_log.routes(ledger.pool, Authenticator(lambda: api_keys.load(ledger.pool), refresh_s=10.0), is_open=is_open))
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    try:
        yield f"{server.url}/log"
    finally:
        await server.stop(1.0)


async def command(capsys: Any, *arguments: str) -> tuple[int, Any]:
    code = await asyncio.to_thread(cli.run, ["records", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out.startswith("{") else said.out + said.err


async def test_copied_over_http_it_verifies_and_continues_what_was_copied_before(ledger: Ledger, capsys: Any) -> None:
    copy, trusted = ledger.folder / "copy", ledger.folder / "trusted.vkey"
    await ledger.append(600)
    await ledger.publish()
    trusted.write_text(ledger.keys[0].vkey)
    async with served(ledger) as url:
        code, told = await command(capsys, "fetch-log", url, str(copy), "--json")
        assert (code, told["size"]) == (0, 600)
        assert (await command(capsys, "verify", "--from", str(copy), "--public-key", str(trusted), "--json"))[1]["valid"]
        first = (copy / "tile/0/000").stat().st_mtime_ns
        await ledger.append(300)
        await ledger.publish()
        assert (await command(capsys, "fetch-log", url, str(copy)))[0] == 0
        code, told = await command(capsys, "verify", "--from", str(copy), "--public-key", str(trusted), "--json")
        assert (code, told["size"], told["reason"]) == (0, 900, "")
        assert (copy / "tile/0/000").stat().st_mtime_ns == first, "a full tile is not fetched twice"
        assert not (copy / "tile/0/002.p/88").exists()

        # The log is rewritten and signed again, as only its operator can: what was copied before tells.
        async with ledger.as_owner() as conn:
            await conn.execute("delete from ledger_leaf where idx >= 400; delete from ledger_payload where idx >= 400")
            await conn.execute("delete from ledger_tile where number >= 1 or level > 0; delete from ledger_checkpoint")
            await conn.execute("update ledger_head set size = 400")
        ledger.signer()._memory.unlink()
        await ledger.append(700)
        await ledger.publish()
        for tile in (copy / "tile").rglob("*"):
            if tile.is_file():
                tile.unlink()
        assert (await command(capsys, "fetch-log", url, str(copy)))[0] == 0
        code, told = await command(capsys, "verify", "--from", str(copy), "--public-key", str(trusted), "--json")
        assert (code, told["valid"]) == (1, False)
        assert "rewritten or forked" in told["reason"]


async def test_go_verifies_it_over_http(ledger: Ledger, check: Path) -> None:
    await ledger.append(100)
    await ledger.publish()
    older = (await tree_store.last_checkpoint(ledger.conn)).note  # type: ignore[union-attr]
    events = await ledger.append(500)
    await ledger.publish()
    proven = await public_log.log_export.prove(ledger.conn, events[7].id, ledger.case_keys)
    assert proven is not None
    for name, text in (("older", older), ("vkey", ledger.keys[0].vkey), ("x.tlog-proof", str(proven.proof))):
        (ledger.folder / name).write_text(text)
    async with served(ledger) as url:
        arguments = [check, url, "vkey", "x.tlog-proof", "107", "older"]
        run = partial(subprocess.run, arguments, cwd=ledger.folder, capture_output=True, text=True, timeout=120)
        done = await asyncio.to_thread(run)
    assert done.stdout.startswith("ok 600 "), done.stdout + done.stderr


async def test_each_file_has_its_type_and_its_time_and_nothing_else_is_there(ledger: Ledger) -> None:
    async with served(ledger) as url, httpx2.AsyncClient(base_url=f"{url}/") as client:
        assert (await client.get("checkpoint")).status_code == 404, "nothing is signed yet"
        await ledger.append(600)
        head = await ledger.publish()
        await ledger.append(200)
        answer = await client.get("checkpoint")
        assert Head.parse(note.parse(answer.text).text) == head
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "max-age=2" in answer.headers["cache-control"]
        assert note.read_verifier((await client.get("log.vkey")).text) == ledger.keys[0]
        assert (await client.get("retired.vkeys")).text == ""
        for level, number, width in [(0, 0, 256), (0, 2, 88), (0, 1, 17), (1, 0, 2), ("entries", 1, 256), ("entries", 2, 88)]:
            answer = await client.get(tiles.path(level, number, width))
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == "application/octet-stream"
            assert "immutable" in answer.headers["cache-control"]
            size = len(tiles.unbundle(answer.content)[0]) if level == "entries" else len(answer.content) // 32
            assert size == width
        for path in (
            "tile/0/002", "tile/0/002.p/89", "tile/entries/003.p/1", "tile/1/000.p/3", "tile/2/000.p/1", "tile/0/2", "tile/x/000",
            "tile/0/000.p/256", "tile/0/../../checkpoint%00", "tile/entries/x999/x999/x999/x999/x999/x999/999", "checkpoints/1",
        ):  # fmt: skip
            assert (await client.get(path)).status_code == 404, path


async def test_a_closed_log_wants_a_key(ledger: Ledger, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENDS_API_KEY", raising=False)
    await ledger.append(3)
    await ledger.publish()
    secret, record = mint("auditor", {"cases:read"}, None)
    await api_keys.add(ledger.conn, record)
    async with served(ledger, is_open=False) as url:
        for path in ("checkpoint", "log.vkey", "retired.vkeys", "tile/0/000.p/3"):
            async with httpx2.AsyncClient(base_url=f"{url}/") as client:
                assert (await client.get(path)).status_code == 401
        code, said = await command(capsys, "fetch-log", url, str(ledger.folder / "copy"))
        assert (code, "401" in said) == (1, True)
        assert (await command(capsys, "fetch-log", url, str(ledger.folder / "copy"), "--key", secret))[0] == 0


async def test_a_folder_that_cannot_be_written_is_named(ledger: Ledger, capsys: Any) -> None:
    await ledger.append(3)
    await ledger.publish()
    (ledger.folder / "file").write_text("")
    code, said = await command(capsys, "export-log", str(ledger.folder / "file" / "log"), "--database-url", ledger.dsn, "--wait", "0")
    assert (code, "file/log" in said, "PostgreSQL" in said) == (1, True, False), said
    async with served(ledger) as url:
        code, said = await command(capsys, "fetch-log", url, str(ledger.folder / "file" / "log"))
        assert (code, "file/log" in said) == (1, True), said


async def test_a_server_that_is_no_log_ends_it_in_a_sentence(tmp_path: Path, capsys: Any) -> None:
    """A head that claims more than is there, no head at all, nobody."""
    answers = {"/log/checkpoint": str(note.sign(Head(ORIGIN, 10**18, bytes(32)).text, [KEY])), "/log/log.vkey": KEY.verifier.vkey}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = answers.get(path, "").encode()
        status = b"200 OK" if path in answers or path == "/log/retired.vkeys" else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    code, said = await command(capsys, "fetch-log", f"{url}/log", str(tmp_path / "a"))
    assert (code, "HTTP status 404" in said) == (1, True)
    answers["/log/checkpoint"] = "<html>"
    code, said = await command(capsys, "fetch-log", f"{url}/log", str(tmp_path / "b"))
    assert (code, "is no log" in said) == (1, True)
    assert not (tmp_path / "b").exists()
    server.close()
    code, said = await command(capsys, "fetch-log", f"{url}/log", str(tmp_path / "b"))
    assert (code, "no connection" in said) == (1, True)
    assert (await command(capsys, "fetch-log", "ftp://x/log", str(tmp_path / "b")))[0] == 2
