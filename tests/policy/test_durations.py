"""Durations by hand-worked dates, and properties that must hold in every zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.calendar.durations import Duration, DurationRefused, add, parse


@pytest.mark.parametrize(
    ("start", "duration", "zone", "due"),
    [
        ("2026-02-02T09:00:00Z", "8h", "Europe/London", "2026-02-02T17:00:00Z"),
        ("2026-02-02T10:15:00Z", "30m", "Europe/London", "2026-02-02T10:45:00Z"),
        ("2026-01-05T10:00:00Z", "56d", "Europe/London", "2026-03-02T10:00:00Z"),
        ("2026-05-04T13:30:00-04:00", "15d", "America/New_York", "2026-05-19T17:30:00Z"),
        ("2026-02-02T09:00:00Z", "0h", "Europe/London", "2026-02-02T09:00:00Z"),
        # 10:00 GMT becomes 10:00 BST: an hour less has elapsed.
        ("2026-02-16T10:00:00Z", "56d", "Europe/London", "2026-04-13T09:00:00Z"),
        ("2026-03-28T12:00:00Z", "24h", "Europe/London", "2026-03-29T12:00:00Z"),
        ("2026-03-28T12:00:00Z", "1d", "Europe/London", "2026-03-29T11:00:00Z"),
        # 01:30 does not exist on 29 March: the first instant after is 02:00 BST.
        ("2026-03-28T01:30:00Z", "1d", "Europe/London", "2026-03-29T01:00:00Z"),
        ("2026-03-28T01:30:00.250000Z", "1d", "Europe/London", "2026-03-29T01:00:00Z"),
        # 01:30 happens twice on 25 October: the first counts.
        ("2026-10-24T01:30:00+01:00", "1d", "Europe/London", "2026-10-25T00:30:00Z"),
        # No days at all: the start itself, also in the second pass.
        ("2026-10-25T01:30:00Z", "0d", "Europe/London", "2026-10-25T01:30:00Z"),
        # Lord Howe Island turns its clocks by 30 minutes; 02:15 is skipped in October.
        ("2026-04-04T12:00:00+11:00", "1d", "Australia/Lord_Howe", "2026-04-05T01:30:00Z"),
        ("2026-10-03T02:15:00+10:30", "1d", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        # Samoa had no 30 December 2011: the first instant of the 31st.
        ("2011-12-29T12:00:00-10:00", "1d", "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ],
)
def test_due(start: str, duration: str, zone: str, due: str) -> None:
    found = add(datetime.fromisoformat(start), parse(duration), zone)
    assert found == datetime.fromisoformat(due)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["4", "h", "-1h", "1.5h", "01d", "4 h", "4H", "1d12h", "", "P1D", "٣h", "9999999999h", "36601d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(DurationRefused, match=r"duration|longer"):
        parse(text)


@pytest.mark.parametrize("text", ["8bh", "30bm", "3bd"])
def test_business_time_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(DurationRefused, match="counts business time"):
        parse(text)


def test_a_start_without_zone_and_an_unknown_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="needs an instant"):
        add(datetime(2026, 1, 1), parse("1h"), "UTC")  # noqa: DTZ001
    with pytest.raises(ValueError, match="not a time zone"):
        add(datetime(2026, 1, 1, tzinfo=UTC), parse("1d"), "../etc/passwd")


ZONES = st.sampled_from(
    ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo", "Pacific/Apia",
     "America/St_Johns", "Africa/Casablanca", "Antarctica/Troll", "America/Asuncion"]
)  # fmt: skip
STARTS = st.integers(0, 2_500_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
DAYS = st.integers(1, 400)


def shown(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@settings(max_examples=300, deadline=None)
@given(STARTS, DAYS, ZONES)
def test_days_end_at_the_first_instant_that_shows_the_local_time_or_later(
    start: datetime, days: int, zone: str
) -> None:
    due = add(start, Duration(days, "d"), zone)
    wanted = shown(start, zone) + timedelta(days=days)
    assert shown(due, zone) >= wanted
    # No second of the day before shows it, so this is the first.
    before = [due - timedelta(seconds=back) for back in (1, 2, 60, 1800, 3600, 7200, 36_000, 86_400)]
    assert all(shown(instant, zone) < wanted for instant in before)


@settings(max_examples=300, deadline=None)
@given(STARTS, DAYS, ZONES)
def test_more_days_never_end_earlier_and_a_day_is_about_a_day(start: datetime, days: int, zone: str) -> None:
    due = add(start, Duration(days, "d"), zone)
    assert add(start, Duration(days + 1, "d"), zone) >= due
    assert abs((due - start) - timedelta(days=days)) <= timedelta(hours=24)


@settings(max_examples=100, deadline=None)
@given(STARTS, st.integers(0, 10_000), st.sampled_from(["h", "m"]), ZONES)
def test_hours_and_minutes_are_elapsed_time(start: datetime, amount: int, unit: str, zone: str) -> None:
    seconds = amount * (3600 if unit == "h" else 60)
    assert add(start, parse(f"{amount}{unit}"), zone) - start == timedelta(seconds=seconds)


@given(st.integers(0, 36_000), st.sampled_from(["m", "h", "d"]))
def test_text_and_duration_are_the_same_thing(amount: int, unit: str) -> None:
    assert str(parse(f"{amount}{unit}")) == f"{amount}{unit}"
