"""`amends policy` from outside: exit codes, JSON shapes, and messages that a person can act on."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from deploy import cli
from tests.policy.documents import text

EXAMPLES = Path(__file__).parent / "examples"
FACTS = {
    "as_of": "2026-03-02T12:00:00Z",
    "complaint": {
        "severity": 4, "category": "billing", "tags": ["legal"], "status": "open",
        "received_at": "2026-01-31T13:00:00+01:00", "last_contact_at": "2026-03-01T09:00:00Z",
        "contact_preference": "email",
        "customer": {"vulnerable": True, "history": [{"category": "billing", "opened_at": "2026-02-01T00:00:00Z"}]},
    },
}  # fmt: skip


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def run(*arguments: object) -> Result:
    """`amends policy ...` as a user calls it."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run(["policy", *map(str, arguments)])
    return Result(code, out.getvalue(), err.getvalue())


def as_json(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(text("- {id: R1, when: complaint.sevrity > 3, then: {tier: 2}}"), encoding="utf-8")
    return path


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(FACTS), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["escalation.yaml", "followup.yaml"])
def test_the_worked_examples_are_valid_and_pass_their_tests(name: str) -> None:
    assert as_json("validate", EXAMPLES / name) == {"valid": True, "errors": [], "warnings": []}
    tested = as_json("test", EXAMPLES / name)
    assert tested["passed"]
    assert all(test["passed"] for test in tested["tests"])
    assert all(tested["coverage"].values())
    assert tested["uncovered"] == []


def test_an_invalid_document_is_exit_1_with_places(broken: Path) -> None:
    found = as_json("validate", broken, exit_code=1)
    assert found["valid"] is False
    message = found["errors"][0].pop("message")
    assert found["errors"] == [{"line": 9, "column": 32, "rule": "R1"}]
    assert "did you mean 'severity'?" in message
    for command in (["test", broken], ["eval", broken, broken]):
        assert as_json(*command, exit_code=1)["errors"][0]["line"] == 9


def test_people_see_file_line_column_and_a_caret(broken: Path) -> None:
    result = run("validate", broken)
    assert result.exit_code == 1
    head, line, caret, count = result.stderr.splitlines()
    assert head.startswith(f"{broken}:9:32: error: R1: complaint has no fact 'sevrity'")
    assert line[caret.index("^") :].startswith("sevrity")
    assert count == f"{broken}: 1 problem"


def test_eval_decides_as_a_service_would(facts_file: Path) -> None:
    found = as_json("eval", EXAMPLES / "escalation.yaml", facts_file)
    assert set(found) == {"outcome", "rules", "inputs", "version", "digest", "degraded"}
    assert found["rules"] == ["ESC-010", "ESC-030", "ESC-050"]
    assert found["outcome"] == {
        "tier": 3, "acknowledge_within": "8h", "final_response_within": "10d",
        "remedy_authority": {"goodwill_payment": "500 GBP"},
    }  # fmt: skip
    assert found["inputs"]["complaint.received_at"] == "2026-01-31T12:00:00Z"
    assert (found["version"], found["degraded"]) == (13, False)
    assert found["digest"].startswith("sha256:")


def test_eval_with_a_missing_fact_is_degraded_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({"as_of": FACTS["as_of"], "complaint": {"severty": 3, "category": "biling"}}))
    result = run("eval", EXAMPLES / "escalation.yaml", path, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["degraded"] is True
    assert json.loads(result.stdout)["outcome"]["tier"] == 1
    assert "no fact 'complaint.severty'; did you mean 'severity'?" in result.stderr
    assert "did you mean 'billing'?" in result.stderr
    assert "is missing" in result.stderr


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000], ids=str)
def test_facts_that_are_no_facts_are_wrong_use(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    result = run("eval", EXAMPLES / "escalation.yaml", path)
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert "a fault of Amends" not in result.stderr


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.yaml", tmp_path):
        result = run("validate", path)
        assert result.exit_code == 2
        assert "cannot be read" in result.stderr


def test_a_failing_test_and_a_rule_that_no_test_hits_are_exit_1(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    rule = "- {id: R1, when: complaint.severity > 3, then: {tier: 2}}"
    path.write_text(text(rule, rest="tests: [{name: calm, given: {}, expect: {tier: 2}}]"))
    found = as_json("test", path, exit_code=1)
    assert found["passed"] is False
    assert found["tests"][0]["differences"] == [{"name": "tier", "expected": 2, "decided": 1}]
    assert found["coverage"] == {"R1": []}
    assert found["uncovered"] == ["R1"]
    shown = run("test", path).stdout
    assert "tier: expected 2, decided 1" in shown
    assert "no test hits rule R1" in shown
    path.write_text(text(rule, rest="tests: [{name: bad, given: {complaint: {severity: 4}}, expect: {rules: [R1]}}]"))
    assert as_json("test", path)["coverage"] == {"R1": ["bad"]}


@pytest.mark.parametrize("service", ["escalation", "followup"])
def test_schema_lists_every_fact_with_its_values(service: str) -> None:
    found = as_json("schema", service)
    assert (found["service"], found["facts"]) == (service, "complaint-facts/4")
    complaint = found["fields"]["complaint"]["fields"]
    assert set(complaint) >= {
        "severity", "category", "tags", "status", "received_at", "last_contact_at", "contact_preference", "customer",
    }  # fmt: skip
    assert (complaint["severity"]["minimum"], complaint["severity"]["maximum"]) == (1, 5)
    assert "billing" in complaint["category"]["values"]
    assert set(complaint["customer"]["fields"]["history"]["fields"]) == {"category", "opened_at"}
    assert "complaint.customer.history[].opened_at" in run("schema", service).stdout


def test_the_schema_of_no_service_is_wrong_use() -> None:
    result = run("schema", "nothing")
    assert result.exit_code == 2
    assert "intake, escalation, followup, records" in result.stderr


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"a: b\n\xff\xfe", 2), (b"x" * 3_000_000, 1), (b"\0", 1), (b"", 1)],
    ids=["bytes", "long", "nul", "empty"],
)
def test_a_document_that_is_no_text_is_an_invalid_document(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    for command in (["validate", path], ["test", path]):
        found = as_json(*command, exit_code=1)
        assert [each["line"] for each in found["errors"]] == [line]


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("received_at", "0001-01-01T00:00:00+14:00", "received_at is before the year 1"),
        ("received_at", "9999-12-31T23:59:59-14:00", "or after 9999"),
        ("severity", float("nan"), "severity must be a whole number from 1 to 5"),
        ("tags", ["\ud800"], ""),
        ("customer", {"vulnerable": False, "history": [{"opened_at": "0001-01-01T00:00:00+14:00"}]}, "before the year 1"),
    ],
)
def test_facts_at_the_edges_are_decided_and_said(tmp_path: Path, fact: str, value: Any, said: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(FACTS | {"complaint": FACTS["complaint"] | {fact: value}}), encoding="utf-8")  # type: ignore[operator]
    result = run("eval", EXAMPLES / "escalation.yaml", path, "--json")
    assert result.exit_code == 0, result
    assert json.loads(result.stdout)["degraded"] is bool(said)
    assert said in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"as_of": 1' + b"0" * 5000 + b"}", "a number has thousands of digits"),
        (b'{"as_of": "' + b" " * 2_000_000 + b'"}', "longer than 1,024 KiB"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not UTF-8 text"),
    ],
)
def test_a_file_that_holds_no_facts_is_wrong_use(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    result = run("eval", EXAMPLES / "escalation.yaml", path, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_half_a_character_is_refused_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "half.yaml"
    path.write_text(text('- {id: R1, when: complaint.severity > 3, then: {tier: 2}, guidance: "\\ud800"}'), encoding="utf-8")
    assert "half of a character" in as_json("validate", path, exit_code=1)["errors"][0]["message"]


def test_what_is_logged_is_no_part_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    try:
        assert cli.run(["policy", "packs", "--json"]) == 0
        structlog.get_logger("test").info("policy write is tried again")
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
    said = capsys.readouterr()
    assert len(json.loads(said.out)["packs"]) == 2
    assert "tried again" in said.err
