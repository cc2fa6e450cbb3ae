"""`amends up`, which `make run` calls: from nothing to a complaint's way, and nothing left behind however it ends."""

import fcntl
import json
import re
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy import cli
from deploy.local.pgfiles import erase_data
from deploy.local.readiness import is_free, run_coroutine
from tests.cli.owner import Up
from tests.harness.processes import eventually

CURL = "curl"  # in the last lines of what a person is shown


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One data folder for all tests here: the first starts with nothing, the others go on with what is there.

    Not pytest's own folder: as root, PostgreSQL's user could not pass through that.
    """
    with tempfile.TemporaryDirectory(prefix="amends-test-") as name:
        folder = Path(name) / "data"
        Path(name).chmod(0o711)
        yield folder
        erase_data(folder / "postgres")


@pytest.fixture
def up(data: Path) -> Iterator[Up]:
    """A start that is up and waits for Ctrl-C."""
    started = Up(data)
    try:
        started.await_output(CURL)
        yield started
    finally:
        started.kill()


async def send_garbage(bootstrap: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("complaints", b"garbage of somebody", key=b"k")


def assert_nothing_left(up: Up) -> None:
    assert not up.left()
    with (up.data / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    ports = [int(url.rpartition(":")[2]) for url in up.noted()["urls"].values()]
    assert [port for port in ports if not is_free(port)] == []


def test_once_ends_with_0_when_the_last_sample_is_recorded(data: Path) -> None:
    up = Up(data, "--once")
    try:
        up.await_output("Ready after")
        assert up.ended() == 0, up.output
    finally:
        up.kill()
    told = re.findall(r"\+\d+ ms  (\w[\w -]*?)  .*  trace ([0-9a-f]{32})$", up.output, re.MULTILINE)
    steps = [what.strip() for what, _ in told]
    assert sorted(steps) == sorted(
        ["received", "decided", "handed over", "update scheduled", "resolved", "met", "update cancelled", "check-in scheduled", "recorded"]
    ), up.output
    assert [step for step in steps if step in ("received", "resolved", "check-in scheduled", "recorded")] == [
        "received", "resolved", "check-in scheduled", "recorded",
    ]  # fmt: skip
    assert len({trace for what, trace in told}) == 2, "one trace for the complaint, one for the command"
    assert "tier 3; acknowledge by" in up.output
    assert "by ESC-010" in up.output
    assert "All 14 submissions so far have their outcome" in up.output
    assert stat.S_IMODE((data / "credentials.json").stat().st_mode) == 0o600
    assert up.noted()["api_key"] not in up.output
    assert_nothing_left(up)


def test_a_second_start_goes_on_with_the_data_and_its_commands_work(
    up: Up, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready = re.search(r"Ready after ([\d.]+) s", up.output)
    assert ready
    assert float(ready[1]) < 60, "15 on a machine that has nothing else to do"
    assert "All 28 submissions so far have their outcome" in up.output, "those of the first start are there"
    monkeypatch.setenv("AMENDS_DATA_DIR", str(up.data))
    monkeypatch.setenv("COLUMNS", "200")

    def amends(*arguments: str) -> tuple[int, str]:
        code = cli.run(arguments)
        return code, capsys.readouterr().out

    found = re.search(r"timeline ([0-9a-f-]{36})", up.output)
    assert found
    complaint = found[1]
    code, text = amends("timeline", complaint)
    assert code == 0
    for word in ("resolved, tier 3, ", "read", "received", "decided", "check-in scheduled", "by FUP-030", "ledger row"):
        assert word in text
    code, text = amends("timeline", complaint, "--json")
    assert [event["service"] for event in json.loads(text)["timeline"]].count("escalation") == 4
    code, text = amends("plan", complaint)
    assert code == 0
    assert "ask by email" in text
    assert amends("close", complaint) == (0, f"complaint {complaint}: closed, tier 3\n")
    assert amends("close", complaint)[0] == 1
    assert amends("resolve", complaint, "--resolution", "again")[0] == 1

    mine = tmp_path / "mine.ndjson"
    mine.write_text(
        '{"event_id": "m-1", "record_id": "m", "text": "Where is it?"}\n{"event_id": "m-2", "record_id": "m", "text": "Well?"}\n'
    )
    code, text = amends("send", str(mine), "--json")
    answered = json.loads(text)["items"]
    assert code == 0
    assert [item["outcome"] for item in answered] == ["accepted", "accepted"]
    assert answered[0]["complaint_id"] == answered[1]["complaint_id"]
    assert json.loads(amends("send", str(mine), "--json")[1])["items"][1]["outcome"] == "duplicate"

    # records is killed: it is started again, says so, and everything still adds up.
    victim = next(each for each in up.family if "services.records.app" in each.cmdline())
    victim.kill()
    up.await_output("records ended (SIGKILL); starting it again")
    assert amends("send", str(mine))[0] == 0
    assert eventually(lambda: cli.run(["reconcile", "--wait", "20"]) == 0, 30)
    text = capsys.readouterr().out
    assert "it adds up" in text
    assert "30 submissions" in text
    code, text = amends("reconcile", "--json")
    assert json.loads(text)["adds_up"] is True
    assert {(flow["writer"], flow["reader"]) for flow in json.loads(text)["flows"]} == {
        ("intake", "escalation"), ("intake", "followup"), ("intake", "records"),
        ("escalation", "followup"), ("escalation", "records"), ("followup", "escalation"), ("followup", "records"),
        ("records", "intake"), ("records", "escalation"), ("records", "followup"),
    }  # fmt: skip

    # The ledger is signed, and can be checked and proved without the services.
    log, trusted = str(tmp_path / "log"), str(tmp_path / "log/log.vkey")
    assert amends("records", "export-log", log)[0] == 0
    code, text = amends("records", "verify", "--from", log, "--public-key", trusted, "--json")
    assert (code, json.loads(text)["valid"]) == (0, True)
    assert json.loads(text)["size"] == sum(json.loads(amends("reconcile", "--json")[1])["ledger"].values())
    assert amends("records", "verify", "--public-key", trusted)[0] == 0
    event_id = json.loads(amends("timeline", complaint, "--json")[1])["timeline"][0]["id"]
    proof = str(tmp_path / "x.tlog-proof")
    assert amends("records", "prove", event_id, "-o", proof)[0] == 0
    assert amends("records", "check-proof", proof, "--payload", proof + ".payload", "--public-key", trusted)[0] == 0
    assert amends("records", "check-proof", proof, "--payload", proof, "--public-key", trusted)[0] == 1
    case = str(tmp_path / "case")
    assert amends("records", "export", complaint, "-o", case)[0] == 0
    assert amends("records", "export", complaint, "-o", case)[0] == 2, "nothing is written over"
    code, text = amends("records", "check-bundle", case, "--public-key", trusted, "--json")
    assert (code, json.loads(text)["valid"], json.loads(text)["notes"]) == (0, True, [])
    exported = json.loads((tmp_path / "case" / "events.json").read_bytes())["events"]
    assert exported[-1]["data"]["how"] == "export", "who takes it away stands in what is taken away"

    # A source's key works within a second or so, is shown once, and does not work after it was disabled.
    code, key = amends("sources", "add", "shop-till")
    assert code == 0
    assert key.strip() not in amends("sources", "list", "--json")[1]
    assert amends("sources", "add", "shop-till")[0] == 1
    theirs = tmp_path / "theirs.json"
    theirs.write_text('{"event_id": "m-1", "record_id": "m", "text": "Other source, other complaint"}')
    assert eventually(lambda: amends("send", str(theirs), "--key", key.strip())[0] == 0, 5)
    code, text = amends("send", str(theirs), "--key", key.strip(), "--json")
    assert json.loads(text)["items"][0]["complaint_id"] != answered[0]["complaint_id"]
    assert amends("timeline", complaint, "--key", key.strip())[0] == 1, "it may only send"
    assert amends("sources", "disable", "shop-till")[0] == 0
    assert amends("sources", "disable", "shop-till")[0] == 1

    assert amends("keys", "add", "dash", "--service", "records", "--scope", "cases:read")[0] == 0
    assert "dash" in amends("keys", "list", "--service", "records")[1]
    assert json.loads(amends("migrate", "--json")[1]) == {
        name: [] for name in ("intake", "escalation", "followup", "records")
    }
    assert amends("topics", "create") == (0, "all topics are there\n")
    assert amends("dead-letters", "list") == (0, "none\n")
    assert amends("dead-letters", "show", "1", "--service", "records")[0] == 1

    # A record that is no event of ours waits for a person, with its reason; nothing else is disturbed.
    run_coroutine(send_garbage(up.noted()["kafka_bootstrap"]))
    assert eventually(
        lambda: (
            cli.run(["dead-letters", "list", "--service", "records", "--json"]) == 0
            and "[]" not in capsys.readouterr().out
        ),
        20,
    )
    letters = json.loads(amends("dead-letters", "list", "--service", "records", "--json")[1])
    assert [(letter["service"], letter["kind"]) for letter in letters] == [("records", "event")]
    number = str(letters[0]["id"])
    code, text = amends("dead-letters", "show", number, "--service", "records")
    assert code == 0
    assert json.loads(text)["input"]["position"][0] == "complaints"
    assert json.loads(text)["bytes"] == len(b"garbage of somebody")
    assert "garbage" not in text
    code, text = amends("dead-letters", "replay", number, "--service", "records")
    assert (code, text) == (1, "it failed again and waits under a new number\n")
    code, text = amends("reconcile")
    assert code == 0
    assert "1 at records" in text

    second = Up(up.data, "--once")
    assert second.ended() == 1
    assert f"in use by process {up.process.pid}" in second.output

    up.await_output(CURL)
    up.process.send_signal(signal.SIGTERM)
    assert up.ended() == 0, "to be stopped is its normal end"
    assert_nothing_left(up)


def test_ctrl_c_twice_while_it_starts_leaves_nothing(data: Path) -> None:
    up = Up(data)
    try:
        up.await_output("intake      starting")
        up.process.send_signal(signal.SIGINT)
        up.process.send_signal(signal.SIGINT)
        assert up.ended(10) == 128 + signal.SIGINT
        assert_nothing_left(up)
    finally:
        up.kill()


def test_killing_it_leaves_nothing(data: Path) -> None:
    up = Up(data)
    try:
        up.await_output("records     starting")
        up.process.kill()
        up.ended()
        assert_nothing_left(up)
    finally:
        up.kill()


def test_a_failed_start_says_which_part_why_and_where_its_log_is(data: Path) -> None:
    up = Up(data, AMENDS_DEAD_LETTER_LIMIT="many")
    try:
        up.await_output("did not start")
        assert up.ended() == 1
        assert re.search(
            r"^(intake|escalation|followup|records) did not start: it ended with exit code 2$", up.output, re.MULTILINE
        )
        assert re.search(r"^Log: .*/logs/\w+\.log$", up.output, re.MULTILINE)
        assert "AMENDS_DEAD_LETTER_LIMIT" in up.output
        assert "Traceback" not in up.output
        assert_nothing_left(up)
    finally:
        up.kill()
