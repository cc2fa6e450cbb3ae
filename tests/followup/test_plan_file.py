"""`amends followup plan`: check-ins from a file, as anybody may write it, without a running stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import cli

RESOLVED = "2026-03-02T10:00:00Z"


class Plan:
    """One call of the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], document: Any, *options: str) -> None:
        file = folder / "resolved.json"
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        self.code = cli.run(["followup", "plan", str(file), "--json", *options])
        printed = capsys.readouterr()
        self.said = printed.err
        self.found: dict[str, Any] = json.loads(printed.out) if printed.out else {}

    @property
    def steps(self) -> list[tuple[str, str, str, str]]:
        return [(each["kind"], each["due_at"], each["channel"], each["rule"]) for each in self.found["check_ins"]]


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(document: Any, *options: str) -> Plan:
        return Plan(tmp_path, capsys, document, *options)

    return call


def complaint(**fields: Any) -> dict[str, Any]:
    return {"complaint": {"status": "resolved", "resolved_at": RESOLVED, "channel": "email"} | fields}


def test_a_refund_is_verified_then_asked_about_and_once_more(plan: Any) -> None:
    called = plan(complaint(remedy={"kind": "refund", "amount": "40 GBP"}))
    assert called.code == 0
    assert called.steps == [
        ("verify", "2026-03-05T10:00:00Z", "system", "FUP-012"),
        ("ask", "2026-03-07T10:00:00Z", "email", "FUP-012"),
        ("ask_again", "2026-03-14T10:00:00Z", "email", "FUP-012"),
    ]
    assert called.found["check_ins"][0]["fact"] == "refund_booked"
    assert called.found["unverified_at"] == "2026-03-21T10:00:00Z"
    assert called.found["policy"]["inputs"]["complaint.remedy"] == "refund"


def test_without_a_remedy_there_is_nothing_to_verify(plan: Any) -> None:
    assert plan(complaint()).steps == [
        ("ask", "2026-03-07T10:00:00Z", "email", "FUP-030"),
        ("ask_again", "2026-03-14T10:00:00Z", "email", "FUP-030"),
    ]


def test_several_remedies_are_each_verified_and_asked_about_once(plan: Any) -> None:
    called = plan(complaint(remedy=["refund", {"type": "Replacement parcel"}]))
    assert [step[0] for step in called.steps] == ["verify", "verify", "ask", "ask_again"]
    assert called.found["check_ins"][2]["fact"] == "refund_booked, parcel_delivered"
    assert called.steps[2][1] == "2026-03-09T10:00:00Z"


def test_the_customer_is_asked_when_awake_where_they_are_and_days_are_theirs(plan: Any) -> None:
    called = plan(complaint(resolved_at="2026-03-26T22:30:00Z", customer={"zone": "Europe/London"}))
    first = called.found["check_ins"][0]
    assert first["local"] == "2026-04-01T09:00:00+01:00"
    assert first["wanted_at"] == "2026-03-31T21:30:00Z"
    assert first["moved_because"] == ["outside waking hours 09:00-20:00 (Europe/London)"]


def test_quiet_hours_and_the_contact_budget_move_it(plan: Any) -> None:
    quiet = plan(complaint(customer={"zone": "UTC", "quiet_hours": "08:00-15:00"})).found["check_ins"][0]
    assert (quiet["due_at"], quiet["moved_because"]) == ("2026-03-07T15:00:00Z", ["in the customer's quiet hours (UTC)"])
    heard = ["2026-03-03T10:00:00Z", "2026-03-04T10:00:00Z", "2026-03-05T10:00:00Z"]
    full = plan(complaint(contacted=heard)).found["check_ins"][0]
    assert (full["due_at"], full["moved_because"]) == ("2026-03-10T10:00:00Z", ["at most 3 messages in seven days"])


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"contact_preference": "none"}, "asked for no contact"),
        ({"customer": {"contact_preference": "no contact"}}, "asked for no contact"),
        ({"contact_preference": "any", "customer": {"contact_preference": "none"}}, "asked for no contact"),
        ({"customer": {"deceased": True}}, "has died"),
        ({"customer": {"quiet_list": True}}, "quiet list"),
        ({"status": "open"}, "is open: check-ins are planned when it is resolved"),
        ({"status": "closed"}, "FUP-040"),
        ({"customer": {"quiet_hours": ["00:00-12:00", "12:00-24:00"]}}, "leave no waking hour"),
    ],
)
def test_nobody_is_asked_and_it_says_why(plan: Any, fields: dict[str, Any], why: str) -> None:
    called = plan(complaint(**fields))
    assert (called.code, called.steps) == (0, [])
    assert why in called.found["none_because"]


@pytest.mark.parametrize(
    ("fields", "channel"),
    [
        ({"contact_preference": "sms"}, "sms"),
        ({"contact_preference": "Telephone"}, "phone"),
        ({"channel": "voice"}, "phone"),
        ({"channel": "web_form"}, "email"),
        ({"channel": "messaging"}, "chat"),
        ({"channel": "postal"}, "post"),
        ({"channel": "email", "customer": {"phones": ["+441632960001"], "emails": []}}, "sms"),
        ({"channel": "unknown"}, "any"),
    ],
)
def test_the_channel_is_the_customers(plan: Any, fields: dict[str, Any], channel: str) -> None:
    assert {step[2] for step in plan(complaint(**fields)).steps} == {channel}


def test_what_is_past_due_is_asked_now_in_order(plan: Any) -> None:
    called = plan(complaint(remedy="refund") | {"as_of": "2026-03-20T23:00:00Z"})
    assert called.steps[0][:2] == ("verify", "2026-03-20T23:00:00Z")
    assert called.steps[1][:2] == ("ask", "2026-03-21T09:00:00Z")
    assert "that time had passed already" in called.found["check_ins"][1]["moved_because"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (complaint(resolved_at="2026-02-30T10:00:00Z"), "complaint.resolved_at: '2026-02-30T10:00:00Z' is not a time"),
        (complaint(resolved_at="yesterday"), "is not a time such as"),
        (complaint(resolved_at=5), "is not a time such as"),
        (complaint(resolved_at="2026-03-29T01:30", customer={"zone": "Europe/London"}), "does not exist in Europe/London"),
        (complaint(customer={"zone": "Europe/Londno"}), "is not a time zone; use an IANA name"),
        (complaint(customer={"zone": 7}), "is not a time zone"),
        (complaint(contact_preference="pigeon"), "contact_preference must be one of"),
        (complaint(status="done"), "status must be one of"),
        (complaint(severity="high"), "severity must be a whole number from 1 to 5"),
        (complaint(customer={"quiet_hours": {"from": "25:00", "to": "08:00"}}), "quiet_hours must be local times"),
        (complaint(customer="Anna"), "complaint.customer must be an object"),
        (complaint(remedy=[{"amount": 5}]), "complaint.remedy[0] must name its kind"),
        (complaint(resolved_at="9999-12-31T23:59:59-14:00"), "is beyond the calendar"),
        (complaint(resolved_at="9999-12-31T23:59:59Z"), "is beyond the calendar"),
        (complaint(resolved_at="0001-01-01T00:00:00Z"), "is beyond the calendar"),
        (complaint(contacted=5), "contacted must be a list of times"),
        (complaint(contacted="2026-03-01T00:00:00Z"), "contacted must be a list of times"),
        (complaint(customer={"quiet_hours": {"from": "21:00+05:00", "to": "08:00"}}), "quiet_hours must be local times"),
        (complaint(customer={"emails": 5}), "customer.emails must be a list of addresses"),
        (complaint(customer={"deceased": 1}), "customer.deceased must be true or false"),
        (complaint() | {"as_of": "2026-03-01T00:00:00Z"}, "is before complaint.resolved_at"),
        ({"complaint": {"remedy": "refund"}}, "resolved_at is missing"),
        ({"complaint": 3}, "complaint must be an object"),
        ([], "must hold an object"),
    ],
)
def test_what_cannot_be_planned_says_why(plan: Any, document: Any, problem: str) -> None:
    called = plan(document)
    assert called.code == 1
    assert problem in called.said
    assert any(problem in each for each in called.found["problems"])


def test_what_is_odd_but_clear_is_planned_with_a_warning(plan: Any) -> None:
    local = plan(complaint(resolved_at="2026-10-25T01:30", customer={"timezone": "Europe/London", "shoe_size": 43}))
    assert local.code == 0
    assert local.steps[0][1] == "2026-10-30T09:00:00Z"
    assert "comes twice that day; the first was taken" in local.said
    assert "complaint.customer.shoe_size is not read" in local.said


def test_a_policy_of_ones_own(plan: Any, tmp_path: Path) -> None:
    document = {
        "apiVersion": "complaints.policy/v1",
        "kind": "FollowUpPolicy",
        "metadata": {"id": "mine", "version": 3, "owner": "me", "reason": "a test"},
        "spec": {
            "language": "cel-subset/1",
            "facts": "complaint-facts/4",
            "hit_policy": "FIRST",
            "rules": [{"id": "X-1", "when": "true", "then": {"action": "satisfaction_survey", "after": "1d", "max_contacts": 1}}],
            "default": {"action": "none"},
        },
    }
    once = [("ask", "2026-03-03T10:00:00Z", "email", "X-1")]
    assert plan(complaint() | {"policy": document}).steps == once
    (tmp_path / "mine.yaml").write_text(json.dumps(document))
    assert plan(complaint() | {"policy": "mine.yaml"}).steps == once
    assert plan(complaint(), "--policy", str(tmp_path / "mine.yaml")).steps == once
    document["spec"]["rules"][0]["when"] = "complaint.severty > 1"  # type: ignore[index]
    refused = plan(complaint() | {"policy": document})
    assert refused.code == 1
    assert "severity" in refused.said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"policy": 5}', "policy must be the path"),
        ('{"policy": "missing.yaml"}', "cannot be read"),
        ('{"policy": ""}', "policy must be the path"),
        ('{"policy": "a\\u0000b"}', "cannot be read"),
    ],
)
def test_wrong_use_is_one_sentence_and_2(plan: Any, text: str, said: str) -> None:
    called = plan(text)
    assert called.code == 2
    assert said in called.said
    assert len(called.said.strip().splitlines()) == 1
