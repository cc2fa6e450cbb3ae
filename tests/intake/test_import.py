"""`amends intake import` against intake's own HTTP: each row and mail has its outcome, and a stopped import goes on."""

from __future__ import annotations

import asyncio
import csv
import json
import mailbox
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy import cli
from services.intake import importing
from tests.intake.beds import Bed, bed_on
from tests.mail.mails import mail
from tests.mapping.test_csv import HEADER, MAPPING


@pytest.fixture
async def bed(database: str) -> AsyncIterator[Bed]:
    async with bed_on(database) as made:
        await made.add("crm", "csv", mapping=MAPPING)
        await made.add("post", "email")
        yield made


async def amends(bed: Bed, *arguments: Any) -> int:
    command = ["intake", "import", *map(str, arguments), "--url", bed.url, "--key", bed.key]
    return await asyncio.to_thread(cli.run, command)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


async def test_every_row_has_its_outcome(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "export.csv"
    file.write_text(HEADER + 'T-1,,"It leaks,\nbadly.",Ada\n\nT-2,,x,Bob\nT-2,,x,Bob\n', encoding="utf-16")
    assert await amends(bed, file, "--source", "crm") == 0
    told = rows_of(tmp_path / "export.csv.outcomes.csv")
    assert [(row["item"], row["outcome"], row["kind"]) for row in told] == [
        ("line 2", "accepted", "contact"), ("line 5", "accepted", "contact"), ("line 6", "duplicate", "contact"),
    ]  # fmt: skip
    assert sorted((await bed.settle()).values()) == ["complaint", "complaint"]  # type: ignore[type-var]
    assert "3 items: 2 contact, 1 duplicate" in capsys.readouterr().out


async def test_a_preview_stores_nothing(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "export.csv"
    file.write_text(HEADER + "T-1,,x,Ada\n")
    assert await amends(bed, file, "--source", "crm", "--preview", "--json") == 0
    (seen,) = json.loads(capsys.readouterr().out)
    assert seen["events"][0]["contact"]["source"]["record_id"] == "T-1"
    assert await bed.outcomes() == {}
    assert list(tmp_path.iterdir()) == [file]


async def test_a_file_that_does_not_fit_its_mapping_is_refused_whole(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "export.csv"
    file.write_text("Ticket,Opened,Wrods,Name\nT-1,,x,Ada\n")
    assert await amends(bed, file, "--source", "crm") == 1
    assert "text names the column 'Words'; did you mean 'Wrods'?" in capsys.readouterr().err
    assert await bed.outcomes() == {}


async def test_a_stopped_import_goes_on_where_it_was(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importing, "ROWS", 10)
    file = tmp_path / "export.csv"
    file.write_text(HEADER + "".join(f'T-{n},,"Words\n{n}",=A{n}\n' for n in range(35)))
    real = bed.accepting.keep
    calls = 0

    async def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise importing_stopped()
        return await real(*given)

    def importing_stopped() -> Exception:
        from services.intake.group_commit import NotStored

        return NotStored()

    monkeypatch.setattr(bed.accepting, "keep", failing)
    assert await amends(bed, file, "--source", "crm") == 1
    assert "Stopped after 20 of 35" in capsys.readouterr().err
    monkeypatch.setattr(bed.accepting, "keep", real)
    assert await amends(bed, file, "--source", "crm", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"contact": 35}
    told = rows_of(tmp_path / "export.csv.outcomes.csv")
    assert [row["item"] for row in told] == [f"line {2 + 2 * n}" for n in range(35)]
    assert len(await bed.settle()) == 35
    assert await amends(bed, file, "--source", "crm", "--again", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"duplicate": 35}


@pytest.mark.parametrize("kind", ["maildir", "mbox", "folder", "mail"])
async def test_mailboxes(bed: Bed, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    mails = [mail(Message_ID="<a@x>"), mail("Still.", Message_ID="<b@x>", References="<a@x>"), mail(Message_ID="<c@x>", X_Autoreply="yes")]
    path = tmp_path / "box"
    if kind == "maildir":
        box = mailbox.Maildir(path, create=True)
        for each in mails:
            box.add(each)
    elif kind == "mbox":
        written = mailbox.mbox(path, create=True)
        for each in mails:
            written.add(each)
        written.close()
    elif kind == "folder":
        (path / "deep").mkdir(parents=True)
        for number, each in enumerate(mails):
            (path / "deep" / f"{number}.eml").write_bytes(each)
    else:
        path = tmp_path / "one.eml"
        path.write_bytes(mails[0])
        del mails[1:]
    assert await amends(bed, path, "--source", "post") == 0, capsys.readouterr()
    wanted = {"<a@x>": "complaint", "<b@x>": "contact", "<c@x>": "set_aside"}
    found = await bed.settle()
    if kind == "maildir":  # whose files have random names: either of the two may come first
        found = {key: "contact" if value in ("complaint", "contact") else value for key, value in found.items()}
        wanted = {"<a@x>": "contact", "<b@x>": "contact", "<c@x>": "set_aside"}
    assert found == {key: wanted[key] for key in list(wanted)[: len(mails)]}


async def test_two_mails_under_one_message_id_are_both_kept(bed: Bed, tmp_path: Path) -> None:
    for number, words in enumerate(("One thing.", "Another thing.", "One thing.")):
        (tmp_path / f"{number}.eml").write_bytes(mail(words))
    assert await amends(bed, tmp_path, "--source", "post") == 0
    found = await bed.settle()
    assert len(found) == 2
    assert "<m1@example.org>" in found


async def test_what_is_not_there_or_not_known_is_told(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await amends(bed, tmp_path / "nothing.csv", "--source", "crm") == 2
    file = tmp_path / "export.csv"
    file.write_text(HEADER + "T-1,,x,Ada\n")
    assert await amends(bed, file, "--source", "nobody") == 1
    assert "There is no source of this name" in capsys.readouterr().err
    file.write_text("\n")
    assert await amends(bed, file, "--source", "crm") == 1


MBOX = """\
From ada@example.org Mon Mar  2 09:00:00 2026
From: ada@example.org
To: care@shop.example
Message-ID: <a@x>

It leaks.
>From the first day on.

From care@shop.example Mon Mar  2 10:00:00 2026
From: care@shop.example
To: ada@example.org
Message-ID: <s@shop.example>
In-Reply-To: <a@x>

We will call you.

From ada@example.org Mon Mar  2 11:00:00 2026
From: ada@example.org
To: care@shop.example
Message-ID: <b@x>
In-Reply-To: <s@shop.example>

You did not.
"""


async def test_the_outcomes_name_no_complaint_that_there_is_not(bed: Bed, tmp_path: Path) -> None:
    await bed.add("care", "email", own="shop.example")
    path = tmp_path / "box.mbox"
    path.write_text(MBOX)
    assert await amends(bed, path, "--source", "care") == 0
    assert await bed.settle() == {"<a@x>": "complaint", "<s@shop.example>": "reply", "<b@x>": "contact"}
    told = {row["event_id"]: row["complaint_id"] for row in rows_of(tmp_path / "box.mbox.outcomes.csv")}
    async with bed.pool.acquire() as conn:
        known = {str(row[0]) for row in await conn.fetch("select complaint_id from complaint_state")}
    assert known == {told["<a@x>"]}
    assert (told["<s@shop.example>"], told["<b@x>"]) == ("", ""), "whose complaint an answer joins is known later"


async def test_a_preview_of_a_mailbox_shows_its_first_mails(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "box.mbox"
    path.write_text(MBOX)
    assert await amends(bed, path, "--source", "post", "--preview", "--json") == 0
    first, *others = json.loads(capsys.readouterr().out)
    assert first["events"][0]["contact"]["text"] == "It leaks.\nFrom the first day on."
    assert len(others) == 2
    assert await bed.outcomes() == {}


async def test_one_empty_mail_does_not_keep_the_others_out(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mails").mkdir()
    (tmp_path / "mails" / "1.eml").write_bytes(b"")
    (tmp_path / "mails" / "2.eml").write_bytes(mail(Message_ID="<a@x>"))
    assert await amends(bed, tmp_path / "mails", "--source", "post") == 1
    assert "1 of 2 items could not be used" in capsys.readouterr().err
    assert (await bed.settle())["<a@x>"] == "complaint"
