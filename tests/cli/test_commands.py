"""The command line: wrong use is one sentence and 2, failure one sentence and 1; events are told in words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import cli
from services.intake.adapters.canonical import Canonical
from services.intake.submissions import Delivery, Rejection, SetAside
from services.records.story import tell
from shared.cli import local
from shared.clock import utc_now
from shared.contracts import ids
from shared.contracts.topics import EVENTS
from tests.contracts import golden

ID = "5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40"
KEY = f"amends_12345678_{'x' * 43}"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No local stack, no settings."""
    for name in ("AMENDS_API_KEY", "AMENDS_DATABASE_URL", "AMENDS_RECORDS_URL", "AMENDS_KAFKA_BOOTSTRAP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMENDS_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["up", "--twice"], 2, "No such option"),
        (["timeline"], 2, "Missing argument 'ID'"),
        (["timeline", "no-id"], 2, "UUID"),
        (["timeline", ID], 2, "where is records?"),
        (["timeline", ID, "--url", "http://127.0.0.1:1"], 2, "an API key is needed"),
        (["timeline", ID, "--url", "records.example.com", "--key", KEY], 2, "must begin with http"),
        (["timeline", ID, "--url", "http://[", "--key", KEY], 2, "no address of records"),
        (["timeline", ID, "--url", "http://127.0.0.1:1", "--key", "schlüssel"], 2, "characters that no key has"),
        (["timeline", ID, "--url", "http://127.0.0.1:1", "--key", KEY], 1, "records does not answer at http://127.0.0.1:1"),
        (["resolve", ID], 2, "Missing option '--resolution'"),
        (["send", "/no/such/file"], 2, "/no/such/file cannot be read"),
        (["sources", "add", "two words", "--database-url", "postgresql://127.0.0.1:1/x"], 2, "no name for a key"),
        (["sources", "list"], 2, "where is the database?"),
        (["sources", "list", "--database-url", "mysql://x"], 2, "must begin with postgresql://"),
        (["sources", "list", "--database-url", "postgresql://127.0.0.1:1/x"], 1, "PostgreSQL does not answer"),
        (["keys", "add", "x", "--service", "records", "--scope", "all"], 2, "there is no scope 'all'"),
        (["keys", "add", "x", "--service", "mail", "--scope", "ops"], 2, "there is no service 'mail'"),
        (["topics", "create"], 2, "where is Kafka?"),
        (["serve", "mail"], 2, "there is no service 'mail'"),
        (["dead-letters", "show", "1"], 2, "Missing option '--service'"),
        (["policy", "validate", "/no/such/file"], 2, "cannot be read"),
        (["policy", "nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""
    assert KEY not in printed.err


def test_an_error_that_nobody_foresaw_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("secret of somebody@example.com")

    monkeypatch.setattr(local, "read", fail)
    assert cli.run(["timeline", ID]) == 1
    printed = capsys.readouterr().err
    assert "unexpected RuntimeError" in printed
    assert "secret" not in printed
    assert "Traceback" not in printed


def test_notes_of_the_local_stack_that_are_damaged_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "credentials.json").write_text('{"id_key": ')
    assert cli.run(["timeline", ID]) == 1
    assert f"{tmp_path}/credentials.json is damaged" in capsys.readouterr().err


def test_the_key_of_the_local_stack_is_sent_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = {name: "http://127.0.0.1:1" for name in ("intake", "escalation", "followup", "records")}
    local.write(tmp_path, local.Local(id_key="", api_key=KEY, database_url="", kafka_bootstrap="", urls=urls))
    assert cli.run(["timeline", ID]) == 1, "with the local stack's own address it is used"
    assert cli.run(["timeline", ID, "--url", "http://127.0.0.1:2"]) == 2
    assert "an API key is needed for http://127.0.0.1:2" in capsys.readouterr().err


GROUPS = (
    "sources", "repeats", "intake", "intake map", "draft", "keys", "topics", "dead-letters", "clock", "clocks", "explain", "directory",
    "records", "records witness", "handoff",
)  # fmt: skip


@pytest.mark.parametrize("command", [[], *(group.split() for group in GROUPS)])
def test_every_command_has_help_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*command, "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    assert names
    groups = {group.split()[-1] for group in GROUPS} | {"followup", "policy"}
    for name in set(names) - groups:
        assert cli.run([*command, name, "--help"]) == 0
        assert f"Example: amends {' '.join([*command, name])}" in " ".join(capsys.readouterr().out.split())


def test_the_command_line_starts_quickly() -> None:
    """By what it loads, which a slow machine does not change."""
    heavy = ("aiokafka", "asyncpg", "fastapi", "httpx2", "pydantic", "cel_expr_python", "rich", "opentelemetry")
    program = f"import sys, deploy.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("event", [each for each in golden.every() if each.type != "amends.dead_letter.parked.v1"], ids=lambda e: e.name)
def test_every_event_is_told_in_words(event: golden.Golden) -> None:
    told = tell({"type": event.type, "data": event.data})
    assert told.what != "event"
    assert told.text
    assert "None" not in told.text


@pytest.mark.parametrize("data", [None, {}, [], {"contact": None}, {"contact": {"channel": 5}}, {"tier": "x", "clocks": 3}])
def test_an_event_of_any_shape_is_told_somehow(data: Any) -> None:
    for event_type in [*EVENTS, "amends.other.thing.v7"]:
        assert tell({"type": event_type, "data": data}).text


def test_what_outsiders_write_cannot_steer_the_terminal() -> None:
    data = {"reason": "\x1b[2Jhello\x07\u202eworld", "source": {}, "raw": {}}
    assert tell({"type": "amends.submission.set_aside.v1", "data": data}).text == " [2Jhello  world"


def test_the_samples_are_good_canonical_items() -> None:
    body = (Path(cli.__file__).parent / "samples" / "complaints.json").read_bytes()
    delivery = Delivery(ids.time_ordered_id(), "test", utc_now(), "application/json", {}, body)
    items = Canonical().read(delivery)
    assert len(items) == 14
    assert not [item for item in items if isinstance(item, Rejection)]
    assert sum(isinstance(item, SetAside) for item in items) == 1
    for item in json.loads(body):
        for address in item.get("customer", {}).get("emails", ()):
            assert address.endswith("@example.com")
