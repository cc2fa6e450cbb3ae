"""`amends clock compute`: what it prints, and a clear message for each mistake in a case."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from deploy import cli

CASE: dict[str, Any] = {
    "calendar": {"zone": "Europe/London", "weekly": {"mon": [["09:00", "12:30"], ["13:15", "17:30"]]}, "holidays": []},
    "clock": {"start": "2026-02-02T09:00:00Z", "target": "6bh", "pausable": True},
    "pauses": [["2026-02-02T10:00:00Z", "2026-02-02T11:00:00Z"]],
    "now": "2026-02-02T12:00:00Z",
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    case = copy.deepcopy(CASE)
    *parents, last = path.split(".")
    place: Any = case
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return case


def test_it_prints_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(CASE))
    assert cli.run(["clock", "compute", str(file), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["due_at"], answer["state"], answer["counted_s"]) == ("2026-02-02T16:45:00Z", "running", 7200)
    assert [(each["from"][11:16], each["to"][11:16], each["counted_s"]) for each in answer["segments"]] == [
        ("09:00", "10:00", 3600),
        ("10:00", "11:00", 0),
        ("11:00", "12:00", 3600),
        ("12:00", "12:30", 0),
        ("12:30", "13:15", 0),
        ("13:15", "16:45", 0),
    ]
    assert "paused" in answer["segments"][1]["why"]
    assert "closed" in answer["segments"][4]["why"]
    assert answer["segments"][5]["to_count_s"] == 12600
    assert cli.run(["clock", "compute", str(file)]) == 0
    assert "running, due Mon 2026-02-02 16:45:00 GMT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("calendar", ..., "the file lacks 'calendar'"),
        ("now", ..., "the file lacks 'now'"),
        ("clock.start", ..., "clock lacks 'start'"),
        ("clock", [], "clock must be an object, not []"),
        ("calender", {}, "unknown field 'calender'; did you mean 'calendar'?"),
        ("calendar.zone", "Europe/Londn", "'Europe/Londn' is not a time zone"),
        ("calendar.zone", "../../etc/passwd", "is not a time zone"),
        ("calendar.zone", "UTC\n", "'UTC\\n' is not a time zone"),
        ("calendar.zone", 3, "calendar.zone must be an IANA name"),
        ("calendar.weekly", {"monday": []}, "unknown field 'monday'; did you mean 'mon'?"),
        ("calendar.weekly", {"mon": ["09:00", "17:00"]}, "calendar.weekly.mon[0] must be two times"),
        ("calendar.weekly", {"mon": [["9:00", "17:00"]]}, "calendar.weekly.mon[0][0] must be a time of day as HH:MM"),
        ("calendar.weekly", {"mon": [["09:00", "24:01"]]}, "calendar.weekly.mon[0][1] must be a time of day"),
        ("calendar.weekly", {"mon": [["24:00", "06:00"]]}, "opens at 24:00"),
        ("calendar.holidays", ["2026-02-30"], "calendar.holidays[0] must be a date as YYYY-MM-DD"),
        ("calendar.holidays", "2026-12-25", "calendar.holidays must be a list"),
        ("calendar.country", "gb-ENG", "no holidays are known of 'gb'; did you mean GB?"),
        ("calendar.country", "GB-ENF", "did you mean GB-ENG?"),
        ("calendar.country", "England", "'England' is no country"),
        ("clock.target", "3w", "clock.target: '3w' is not a duration"),
        ("clock.target", "-3h", "is not a duration"),
        ("clock.target", "1.5h", "is not a duration"),
        ("clock.target", "999999d", "longer than 1000 years"),
        ("clock.target", "3bd\n", "'3bd\\n' is not a duration"),
        ("clock.target", 8, "clock.target must be a duration"),
        ("clock.start", "2026-02-02T09:00:00", "has no offset"),
        ("clock.start", "2026-02-30T09:00:00Z", "must be an ISO 8601 instant"),
        ("clock.start", "2026-02-02T09:00:00.5Z", "must be whole seconds"),
        ("clock.start", "0001-01-01T00:00:00Z", "years 2 to 9998"),
        ("clock.pausable", "yes", "clock.pausable must be true or false"),
        ("pauses", [["2026-02-02T09:00:00Z"]], "pauses[0] must be [from, to]"),
        ("pauses", [[None, "2026-02-02T09:00:00Z"]], "pauses[0][0] must be an instant"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    path: str, value: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(changed(path, value)))
    assert cli.run(["clock", "compute", str(file), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "not JSON: "),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"now": 1, "now": 2}', "'now' is written twice"),
        (b"3", "the file must be an object"),
        (b"1" * 5_000, "a number of too many digits"),
    ],
)
def test_a_file_that_is_no_case(text: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "case.json"
    file.write_bytes(text)
    assert cli.run(["clock", "compute", str(file)]) == 2
    assert said in capsys.readouterr().err
    assert cli.run(["clock", "compute", str(tmp_path / "none.json")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert cli.run(["clock", "compute", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
