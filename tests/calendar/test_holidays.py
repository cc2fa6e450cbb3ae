"""Holidays from iCalendar files: whole days, repeated ones, and what is none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from deploy import cli
from shared.calendar.holiday_lists import HolidaysRefused, from_icalendar

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n"
EVENTS = """\
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20261224
DTEND;VALUE=DATE:20261227
SUMMARY:Office closed
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20200501
RRULE:FREQ=YEARLY
EXDATE;VALUE=DATE:20270501
SUMMARY:Founders' day
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20260701T100000Z
DTEND:20260701T110000Z
SUMMARY:A meeting
END:VEVENT
BEGIN:VEVENT
UID:4
DTSTART;VALUE=DATE:20260801
STATUS:CANCELLED
SUMMARY:Not after all
END:VEVENT
"""
FILE = HEAD + EVENTS.replace("\n", "\r\n") + "END:VCALENDAR\r\n"


def test_whole_days_of_one_event_and_of_a_repeated_one() -> None:
    found = from_icalendar(FILE, 2026, 2028)
    assert found == {
        date(2026, 5, 1): "Founders' day",
        date(2026, 12, 24): "Office closed",
        date(2026, 12, 25): "Office closed",
        date(2026, 12, 26): "Office closed",
        date(2028, 5, 1): "Founders' day",
    }


def test_a_rule_without_end_is_laid_out_for_the_asked_years_only() -> None:
    endless = FILE.replace("FREQ=YEARLY", "FREQ=DAILY")
    assert len(from_icalendar(endless, 2026, 2026)) == 365
    assert from_icalendar(FILE, 1990, 1991) == {}


@pytest.mark.parametrize("text", ["", "hello", HEAD, FILE.replace("VALUE=DATE:20261224", "VALUE=DATE:2026-24")])
def test_what_is_no_icalendar_is_refused(text: str) -> None:
    with pytest.raises(HolidaysRefused, match="no iCalendar file that can be read"):
        from_icalendar(text, 2026, 2026)


def test_the_command_prints_what_a_policy_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "office.ics"
    file.write_text(FILE)
    assert cli.run(["clock", "holidays", str(file), "--from", "2026", "--to", "2026"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "- \"2026-05-01\"  # Founders' day"
    assert cli.run(["clock", "holidays", str(file), "--from", "2027", "--to", "2026"]) == 2
    file.write_text("hello")
    assert cli.run(["clock", "holidays", str(file), "--from", "2026", "--to", "2026"]) == 2
    assert "no iCalendar file" in capsys.readouterr().err
