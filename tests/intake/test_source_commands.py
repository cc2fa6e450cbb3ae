"""`amends sources` on a real database: what is made, shown, rotated and ended, and that no secret is shown twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import cli
from shared.postgres.migrate import migrate

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def run(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    await migrate(database, "intake")
    (tmp_path / "keys").write_text(f"first {'ab' * 32}\n")
    monkeypatch.setenv("AMENDS_MASTER_KEY_FILE", str(tmp_path / "keys"))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["sources", *arguments, "--database-url", database])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def in_thread(run: Run) -> Run:
    """The commands have an event loop of their own."""
    import concurrent.futures

    def call(*arguments: str) -> tuple[int, str, str]:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(run, *arguments).result()

    return call


async def test_a_source_from_its_making_to_its_end(run: Run, tmp_path: Path) -> None:
    amends = in_thread(run)
    (tmp_path / "secret").write_text("the signing secret\n")
    code, out, _ = amends(
        "add", "zendesk-uk", "--adapter", "zendesk", "--secret-file", str(tmp_path / "secret"), "--json"
    )
    assert code == 0
    assert json.loads(out) == {
        "name": "zendesk-uk",
        "adapter": "zendesk",
        "auth": "zendesk",
        "hook": "/v1/hooks/zendesk-uk",
    }
    code, made, told = amends("add", "fd", "--adapter", "freshdesk", "--option", "zone=Europe/Berlin")
    assert code == 0
    assert len(made.strip()) > 30
    assert "POST /v1/hooks/fd" in told
    assert amends("add", "till")[0] == 0
    code, listed, _ = amends("list", "--json")
    assert {row["name"]: row.get("adapter") for row in json.loads(listed)} == {
        "fd": "freshdesk",
        "zendesk-uk": "zendesk",
        "till": None,
    }
    assert "signing secret" not in listed
    assert made.strip() not in listed
    code, second, _ = amends("rotate", "fd")
    assert code == 0
    assert second.strip() != made.strip()
    assert "2 live secrets" in amends("list")[1]
    assert amends("disable", "fd")[0] == 0
    assert amends("disable", "fd")[0] == 1
    assert "disabled" in amends("list")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "x", "--adapter", "pigeon"], 2, "there is no adapter 'pigeon'"),
        (["add", "x", "--adapter", "zendesk"], 2, "give --secret-file. It is found here: Admin Center"),
        (["add", "x", "--adapter", "freshdesk", "--option", "colour=red"], 2, "NAME=VALUE with a name of: url"),
        (["add", "x", "--adapter", "freshdesk", "--option", "zone=Mars/Olympus"], 2, "no such time zone"),
        (["add", "x", "--secret-file", "f"], 2, "give --adapter too"),
        (["add", "x", "--adapter", "mapped"], 2, "mapped needs --mapping FILE"),
        (["add", "two words", "--adapter", "freshdesk"], 2, "no name for a key"),
        (["rotate", "nobody"], 1, "no webhook source named nobody"),
    ],
)
async def test_wrong_use_is_told_in_one_sentence(run: Run, arguments: list[str], code: int, words: str) -> None:
    ended, _, err = in_thread(run)(*arguments)
    assert ended == code, err
    assert words in err


async def test_zendesks_public_test_secret_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==")
    code, _, err = in_thread(run)("add", "z", "--adapter", "zendesk", "--secret-file", str(tmp_path / "secret"))
    assert code == 2
    assert "anybody can use it" in err


async def test_names_are_never_used_twice_whatever_they_are_for(run: Run) -> None:
    amends = in_thread(run)
    assert amends("add", "one")[0] == 0
    assert amends("add", "one", "--adapter", "freshdesk")[0] == 1
    assert amends("add", "two", "--adapter", "freshdesk")[0] == 0
    assert amends("add", "two")[0] == 1
