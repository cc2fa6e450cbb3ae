"""Simulated time: two weeks of follow-up in a minute, with real services, mails and the customer's link."""

from __future__ import annotations

import json
import mailbox
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from deploy import cli
from deploy.local.pgfiles import erase_data
from tests.cli.owner import Up
from tests.harness.processes import eventually

READY = "clock advance 3d"  # in the last lines of what a person is shown
COMPLAINT = {
    "event_id": "sim-1", "record_id": "sim", "text": "My parcel never came, I want my money back.", "channel": "email",
    "category": "delivery", "customer": {"emails": ["anna@example.com"], "locale": "en-GB", "zone": "Europe/London"},
}  # fmt: skip


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    # Not pytest's own folder: as root, PostgreSQL's user could not pass through that.
    with tempfile.TemporaryDirectory(prefix="amends-test-") as name:
        Path(name).chmod(0o711)
        started = Up(Path(name) / "data", "--simulated")
        try:
            eventually(lambda: READY in started.output or started.process.poll() is not None, 180)
            started.await_output(READY)
            yield started
        finally:
            started.kill()
            erase_data(started.data / "postgres")


@pytest.fixture(autouse=True)
def here(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_DATA_DIR", str(up.data))


def timeline(complaint: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert cli.run(["timeline", complaint, "--json"]) == 0
    return [event["type"].removeprefix("amends.") for event in json.loads(capsys.readouterr().out)["timeline"]]


def mails(up: Up) -> list[str]:
    """The bodies of the mails to Anna, in the order in which they came."""
    found = [mail for mail in mailbox.Maildir(up.data / "mails") if mail["To"] == "anna@example.com"]
    ordered = sorted(found, key=lambda mail: mail.get_date())
    return [mail.get_payload(decode=True).decode() for mail in ordered]  # type: ignore[union-attr]


def test_two_weeks_of_follow_up_in_a_minute(up: Up, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.ndjson"
    mine.write_text(json.dumps(COMPLAINT) + "\n")
    assert cli.run(["send", str(mine), "--json"]) == 0
    complaint = json.loads(capsys.readouterr().out)["items"][0]["complaint_id"]
    assert eventually(lambda: cli.run(["resolve", complaint, "--resolution", "Refunded", "--remedy", "Refund of 40 GBP"]) == 0, 20)
    capsys.readouterr()
    assert eventually(lambda: "followup.check_in_scheduled.v1" in timeline(complaint, capsys), 20)

    assert cli.run(["clock", "advance", "4d"]) == 0
    assert "something is due" in capsys.readouterr().out
    assert "followup.task_created.v1" in timeline(complaint, capsys), "somebody has to see whether it is booked"
    assert mails(up) == [], "nobody is asked before"
    assert cli.run(["followup", "fact", complaint, "refund_booked", "--evidence", "payment 4711"]) == 0
    assert cli.run(["clock", "advance", "2d"]) == 0
    (question,) = mails(up)
    assert "Our records say that your refund is booked." in question
    link = re.search(r"http://\S+/c/\S+", question)
    assert link is not None

    assert cli.run(["clock", "advance", "8d"]) == 0
    capsys.readouterr()
    assert len(mails(up)) == 2, "asked once more"
    page = httpx2.get(link.group())
    assert page.status_code == 200
    assert "Refunded. Refund of 40 GBP" in page.text
    done = httpx2.post(link.group(), data={"answer": "yes", "comment": "Thanks, all is well."}, follow_redirects=True)
    assert "Thank you for your answer" in done.text
    assert eventually(lambda: "followup.outcome_recorded.v1" in timeline(complaint, capsys), 20)
    told = timeline(complaint, capsys)
    assert told.count("followup.check_in_sent.v1") == 2
    assert "followup.check_in_answered.v1" in told
    assert eventually(lambda: timeline(complaint, capsys).count("escalation.status_changed.v1") == 2, 20), "yes closes"
    assert eventually(lambda: "complaint.contact_added.v1" in timeline(complaint, capsys), 20), "the comment is a contact"


def test_a_word_by_mail_is_the_answer_and_a_bounce_goes_by_the_next_channel(up: Up, capsys: pytest.CaptureFixture[str]) -> None:
    people = {"ben": "+441632960002", "cara": "+441632960003"}
    sent = [
        COMPLAINT | {"event_id": name, "record_id": name, "customer": {"emails": [f"{name}@example.com"], "phones": [phone]}}
        for name, phone in people.items()
    ]
    noted = up.noted()
    with httpx2.Client(headers={"Authorization": f"Bearer {noted['api_key']}"}, timeout=20) as client:
        answer = client.post(f"{noted['urls']['intake']}/v1/complaints", json=sent)
        ben, cara = (item["complaint_id"] for item in answer.json()["items"])
        for complaint in (ben, cara):
            assert eventually(lambda complaint=complaint: cli.run(["resolve", complaint, "--resolution", "A new lid"]) == 0, 20)
            capsys.readouterr()
            assert eventually(lambda complaint=complaint: "followup.check_in_scheduled.v1" in timeline(complaint, capsys), 20)
        assert cli.run(["sources", "add", "post", "--adapter", "email"]) == 0
        assert cli.run(["clock", "advance", "6d"]) == 0
        for complaint in (ben, cara):
            assert eventually(lambda complaint=complaint: "followup.check_in_sent.v1" in timeline(complaint, capsys), 20)
        questions = {mail["To"]: mail["Message-ID"] for mail in mailbox.Maildir(up.data / "mails")}
        word = f"From: ben@example.com\r\nMessage-ID: <w@x>\r\nIn-Reply-To: {questions['ben@example.com']}\r\n\r\nYes, thanks!\r\n"
        bounce = (
            f"From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b@mx>\r\n\r\n"
            f"<cara@example.com>: 550 5.1.1 no such mailbox\r\n\r\nMessage-ID: {questions['cara@example.com']}\r\n"
        )
        for mail in (word, bounce):
            kept = client.post(
                f"{noted['urls']['intake']}/v1/deliveries/post", content=mail.encode(), headers={"Content-Type": "message/rfc822"}
            )
            assert kept.status_code == 202, kept.text
    assert eventually(lambda: "followup.outcome_recorded.v1" in timeline(ben, capsys), 20)
    assert eventually(lambda: timeline(ben, capsys).count("escalation.status_changed.v1") == 2, 20)
    told = timeline(ben, capsys)
    assert told.count("complaint.contact_added.v1") == told.count("followup.check_in_answered.v1") == 1
    assert eventually(lambda: "followup.task_created.v1" in timeline(cara, capsys), 20), "no webhook sends SMS here: somebody calls"
    told = timeline(cara, capsys)
    assert "submission.set_aside.v1" in told
    assert "followup.message_failed.v1" in told


def test_a_clock_that_is_not_simulated_cannot_be_put_forward(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, up: Up
) -> None:
    assert cli.run(["clock", "advance", "soon"]) == 2
    assert "is not a duration" in capsys.readouterr().err
    monkeypatch.setenv("AMENDS_DATA_DIR", str(tmp_path))
    assert cli.run(["clock", "advance", "3d"]) == 2
    assert "there is no simulated stack here" in capsys.readouterr().err
    # The notes of a stack whose database has the real clock.
    (tmp_path / "credentials.json").write_text(json.dumps(up.noted() | {"database_url": _elsewhere(up.noted()["database_url"])}))
    (tmp_path / "simulated-clock").write_text("0")
    assert cli.run(["clock", "advance", "3d"]) == 2
    assert "is the real one" in capsys.readouterr().err


def _elsewhere(dsn: str) -> str:
    """The server's other database, in which no clock is simulated."""
    return re.sub(r"/[^/?]*(\?|$)", r"/template1\1", dsn)
