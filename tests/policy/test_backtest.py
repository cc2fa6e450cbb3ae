"""What a candidate would have done with recorded decisions: every number worked by hand for a small history."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from deploy.policies import app
from shared.policy.backtest import run
from shared.policy.backtest.recorded import line
from shared.policy.backtest.report import Report
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from tests.policy.documents import NOW, facts, text

HEAD = "aggregate: {tier: MAX, acknowledge_within: MIN}\ncalendar: uk-business-hours/2026a\n"
OLD = """
- {id: A, when: complaint.severity >= 4, then: {tier: 2, acknowledge_within: 4h, remedy_authority: {goodwill: 100 GBP}}}
"""
NEW = """
- {id: A, when: complaint.severity >= 3, then: {tier: 2, acknowledge_within: 1bd, remedy_authority: {goodwill: 100 GBP}}}
"""
DEFAULT = "{tier: 1, acknowledge_within: 1d, remedy_authority: {goodwill: 20 GBP}}"


def policy(rules: str, limits: str = "") -> Policy:
    return load_policy(document(rules, limits), origin="t")


def document(rules: str, limits: str = "") -> str:
    guardrails = f"guardrails: {{window: 90d, limits: {{{limits}}}}}\n" if limits else ""
    return text(rules, default=DEFAULT, rest=HEAD + guardrails)


def recorded(old: Policy, severity: int, *, hour: int = 0, number: int = 0, is_open: bool = True, **more: Any) -> bytes:
    at = NOW + timedelta(hours=hour)
    given = facts(severity=severity, received_at=at, last_contact_at=at, **more) | {"as_of": at}
    result = old.decide(given)
    return line(complaint=f"c{number}", decided_at=at, version=3, facts=given, outcome=result.outcome, open=is_open)


# Monday noon: A's 4h end at 16:00, 1bd on Tuesday at 17:30, the default's 1d on Tuesday at noon.
def history(old: Policy) -> list[bytes]:
    return [
        recorded(old, 2, number=1),  # as before
        recorded(old, 3, number=2, vulnerable=True),  # tier 1 -> 2, acknowledged later (1d -> 1bd), 20 -> 100 GBP
        recorded(old, 4, number=3, hour=1),  # 4h -> 1bd: later, told to the customer
        recorded(old, 5, number=4, hour=1, is_open=False),  # the same, but closed
    ]


def report(new: Policy, lines: Iterable[bytes], old: Policy | None = None) -> dict[str, Any]:
    tally = run.run(new, old, [b"".join(lines)], lambda count: None)
    return Report(new, tally).as_json()


def test_every_number_of_a_small_history() -> None:
    old, new = policy(OLD), policy(NEW)
    found = report(new, history(old))
    assert (found["decisions"], found["changed"], found["unreadable"]) == (4, 3, 0)
    assert found["period"] == {"from": "2026-03-02T12", "to": "2026-03-02T13"}
    assert sorted((each["old"], each["new"], each["count"]) for each in found["outcomes"]["tier"]) == [
        (1, 1, 1),
        (1, 2, 1),
        (2, 2, 2),
    ]
    assert {"old": "20 GBP", "new": "100 GBP", "count": 1} in found["outcomes"]["remedy_authority.goodwill"]
    assert found["load"]["tier_2"]["old"] == {
        "decisions": 2,
        "mean_per_hour": 1.0,
        "peak_per_hour": 2,
        "peak_hour": "2026-03-02T13",
    }
    assert found["load"]["tier_2"]["new"]["decisions"] == 3
    moves = found["deadlines"]["acknowledge_within"]
    # 5.5 h for the one with 1d, and 24.5 h for the two with 4h, received at 13:00: 54.5 h / 3.
    assert (moves["earlier"], moves["later"], moves["mean_shift_s"]) == (0, 3, 65_400.0)
    assert [(each["complaint"], each["old_due"], each["new_due"]) for each in found["promises_worse"]] == [
        ("c2", "2026-03-03T12:00:00Z", "2026-03-03T17:30:00Z"),
        ("c3", "2026-03-02T17:00:00Z", "2026-03-03T17:30:00Z"),
    ]
    assert found["remedies"] == {"goodwill (GBP)": {"old": "240", "new": "320"}}
    assert found["support_needs"]["with"] == {"decisions": 1, "changed": 1, "better": 1, "worse": 1}
    assert found["support_needs"]["without"] == {"decisions": 3, "changed": 2, "better": 0, "worse": 2}
    assert found["passed"]


@pytest.mark.parametrize(
    ("limits", "measured", "passed"),
    [
        ("changed_open_promises_worse: 2", "2", True),
        ("changed_open_promises_worse: 1", "2", False),
        ("deadlines_later: 2", "3", False),
        ("deadlines_later: 80pp", "+75.00pp", True),
        ("changed_share: 75pp", "+75.00pp", True),
        ("tier_2_share: +24pp", "+25.00pp", False),
        ("tier_1_share: 0pp", "-25.00pp", True),
        ("tier_2_peak: 0%", "+0.00%", True),
        ("tier_3_peak: 0%", "+0.00%", True),
        ("redress_cost: +34%", "+33.33%", True),
        ("support_needs_worse: 0", "1", False),
        ("degraded: 0", "0", True),
    ],
)
def test_a_guardrail_is_measured_and_held(limits: str, measured: str, passed: bool) -> None:
    found = report(policy(NEW, limits), history(policy(OLD)))
    assert [(each["measured"], each["passed"]) for each in found["guardrails"]] == [(measured, passed)]
    assert found["passed"] is passed


def test_a_given_old_policy_stands_for_what_was_recorded() -> None:
    old, new = policy(OLD), policy(NEW)
    lines = history(old)
    bare = [orjson.dumps({k: v for k, v in orjson.loads(each).items() if k != "outcome"}) + b"\n" for each in lines]
    assert report(new, bare)["unreadable"] == 4
    assert report(new, bare, old) == report(new, lines)
    assert report(old, lines)["changed"] == 0


def test_what_cannot_be_read_is_counted_named_and_blocks() -> None:
    old = policy(OLD)
    broken = [b"{\n", b'{"facts": 3}\n', b'{"facts": {"as_of": "yesterday", "complaint": {}}, "outcome": {}}\n', b"\n"]
    found = report(old, [*history(old), *broken])
    assert (found["decisions"], found["unreadable"], len(found["faults"])) == (4, 3, 3)
    assert not found["passed"]
    assert not report(old, [])["passed"]


@pytest.mark.parametrize("outcome", [{"tier": "one"}, {"remedy_authority": {"goodwill_payment": 5}}, {"acknowledge_within": 7}])
def test_an_outcome_that_no_policy_decides_is_unreadable_too(outcome: dict[str, Any]) -> None:
    old = policy(OLD)
    found = report(old, [orjson.dumps(orjson.loads(recorded(old, 5)) | {"outcome": outcome})])
    assert (found["decisions"], found["unreadable"]) == (0, 1)
    assert f"the recorded outcome: {next(iter(outcome))}" in found["faults"][0]


def test_a_missing_fact_is_a_degraded_decision() -> None:
    old = policy(OLD)
    given = orjson.loads(recorded(old, 5))
    del given["facts"]["complaint"]["severity"]
    found = report(policy(OLD, "degraded: 0"), [orjson.dumps(given)])
    assert found["degraded"]["new"] == 1
    assert not found["passed"]


def test_blocks_hold_whole_lines_and_processes_count_what_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = policy(OLD), policy(NEW)
    lines = [
        recorded(old, 1 + index % 5, number=index, hour=index % 30, is_open=index % 3 == 0) for index in range(400)
    ]
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(lines).rstrip(b"\n"))
    with path.open("rb") as file:
        cut = list(run.blocks(file, size=3_000))
    assert b"".join(cut) == path.read_bytes()
    assert all(block.endswith(b"\n") for block in cut[:-1])
    alone = report(new, lines)
    monkeypatch.setattr(run, "_ALONE_BELOW", 1)
    done: list[int] = []
    tally = run.run(new, None, cut, done.append)
    assert sum(done) == 400
    assert Report(new, tally).as_json() == alone


def test_the_command_blocks_and_an_override_needs_a_reason(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(document(NEW, "changed_open_promises_worse: 0"))
    (tmp_path / "h.jsonl").write_bytes(b"".join(history(policy(OLD))))
    command = ["backtest", str(tmp_path / "new.yaml"), "--recorded", str(tmp_path / "h.jsonl")]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 1
    assert "BROKEN  changed_open_promises_worse: 2 (limit 0)" in shown.stdout
    assert "promise worse: c3 acknowledge_within" in shown.stdout
    overridden = CliRunner().invoke(app, [*command, "--override", "agreed with care, ticket 7", "--json"])
    assert overridden.exit_code == 0
    assert json.loads(overridden.stdout)["override"] == "agreed with care, ticket 7"
    assert json.loads(overridden.stdout)["passed"] is False
    assert CliRunner().invoke(app, [*command, "--override", " "]).exit_code != 0


def test_times_of_any_offset_are_the_same_instant() -> None:
    old = policy(OLD)
    given = orjson.loads(recorded(old, 4))
    given["decided_at"] = "2026-03-02T13:00:00+01:00"
    given["facts"]["complaint"]["received_at"] = "2026-03-02T13:00:00+01:00"
    found = report(policy(NEW), [orjson.dumps(given)])
    assert found["period"] == {"from": "2026-03-02T12", "to": "2026-03-02T12"}
    assert found["promises_worse"][0]["old_due"] == "2026-03-02T16:00:00Z"
    assert datetime.fromisoformat(found["promises_worse"][0]["old_due"]).utcoffset() == timedelta(0)


def test_the_parquet_export_holds_facts_and_outcomes(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "p.yaml").write_text(document(OLD))
    past = [{"category": "billing", "opened_at": NOW - timedelta(days=3)}]
    lines = [
        recorded(policy(OLD), 4, number=1, history=past, tags=["legal"]),
        recorded(policy(OLD), 2, number=2, is_open=False),
    ]
    (tmp_path / "h.jsonl").write_bytes(b"".join(lines))
    out = tmp_path / "d.parquet"
    command = [
        "export-recorded",
        str(tmp_path / "p.yaml"),
        "--recorded",
        str(tmp_path / "h.jsonl"),
        "-o",
        str(out),
        "--json",
    ]
    assert json.loads(CliRunner().invoke(app, command).stdout)["written"] == 2
    first, second = parquet.read_table(out).to_pylist()
    assert (first["complaint"], first["open"], first["decided_at"], second["open"]) == ("c1", True, NOW, False)
    assert (first["facts.complaint.severity"], first["facts.complaint.tags"]) == (4, ["legal"])
    assert first["facts.complaint.customer.history"] == past
    assert (first["outcome.tier"], first["outcome.remedy_authority.goodwill"]) == (2, "100 GBP")
    assert first["facts.complaint.channel"] is None
