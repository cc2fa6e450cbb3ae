"""Messages come in waking hours, wherever the customer is and whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.followup.domain.waking import Hours, next_waking
from shared.calendar import wall

DAY_TIME = Hours(time(9), time(20))
NIGHT = Hours(time(21), time(8))
ZONES = ["UTC", "Europe/London", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"]
instants = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
hours = st.builds(Hours, st.times(), st.times()).filter(lambda h: h.start != h.end)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_at_night_it_waits_for_the_morning_there() -> None:
    assert next_waking(utc("2026-03-02T22:30Z"), "Europe/London", DAY_TIME) == utc("2026-03-03T09:00Z")
    assert next_waking(utc("2026-03-02T22:30Z"), "Asia/Tokyo", DAY_TIME) == utc("2026-03-03T00:00Z")
    assert next_waking(utc("2026-03-02T12:00Z"), "Europe/London", DAY_TIME) == utc("2026-03-02T12:00Z")
    assert next_waking(utc("2026-03-02T20:00Z"), "Europe/London", DAY_TIME) == utc("2026-03-03T09:00Z")


def test_the_customers_own_quiet_hours_count_too_also_over_midnight() -> None:
    assert next_waking(utc("2026-03-02T07:00Z"), "UTC", Hours(time(6), time(23)), [NIGHT]) == utc("2026-03-02T08:00Z")
    assert next_waking(utc("2026-03-02T21:30Z"), "UTC", Hours(time(6), time(23)), [NIGHT]) == utc("2026-03-03T08:00Z")
    noon_off = [Hours(time(9), time(13)), Hours(time(13), time(15))]
    assert next_waking(utc("2026-03-02T09:00Z"), "UTC", DAY_TIME, noon_off) == utc("2026-03-02T15:00Z")


def test_no_room_left_is_none() -> None:
    assert next_waking(utc("2026-03-02T09:00Z"), "UTC", DAY_TIME, [Hours(time(0), time(12)), Hours(time(12), time(0))]) is None


def test_hours_that_begin_in_the_skipped_hour_begin_when_the_clock_has_gone_forward() -> None:
    early = Hours(time(1, 30), time(20))
    assert next_waking(utc("2026-03-29T00:00Z"), "Europe/London", early) == utc("2026-03-29T01:00Z")


@pytest.mark.parametrize(
    ("local", "zone", "at", "change"),
    [
        ("2026-03-29T01:30", "Europe/London", "2026-03-29T01:00Z", "skipped"),
        ("2026-10-25T01:30", "Europe/London", "2026-10-25T00:30Z", "twice"),
        ("2026-10-25T02:30", "Europe/London", "2026-10-25T02:30Z", "none"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:30Z", "skipped"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00Z", "skipped"),  # a whole day was left out
    ],
)
def test_what_the_clock_on_the_wall_means(local: str, zone: str, at: str, change: str) -> None:
    assert wall.instant(datetime.fromisoformat(local), zone) == (utc(at), change)


@given(instants, st.sampled_from(ZONES), hours, st.lists(hours, max_size=2))
def test_it_is_never_early_never_in_quiet_hours_and_asking_again_changes_nothing(
    at: datetime, zone: str, waking: Hours, quiet: list[Hours]
) -> None:
    found = next_waking(at, zone, waking, quiet)
    if found is None:
        assert quiet, "without quiet hours there is always room"
        return
    assert found >= at
    assert found - at <= timedelta(days=10)
    assert next_waking(found, zone, waking, quiet) == found
    local = found.astimezone(ZoneInfo(zone))
    near_a_change = any(
        (local + timedelta(hours=n)).utcoffset() != (local - timedelta(hours=n)).utcoffset() for n in (3, 30)
    )
    if not near_a_change:  # there the wall's hours are what the clock says
        assert _inside(waking, local.time())
        assert not any(_inside(each, local.time()) for each in quiet)


def _inside(hours: Hours, at: time) -> bool:
    if hours.start < hours.end:
        return hours.start <= at < hours.end
    return at >= hours.start or at < hours.end
