"""Clocks: the worked cases, a minute-by-minute oracle, another library, and the properties that must hold."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import businesstimedelta
import pytest
import pytz
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.calendar import clock
from shared.calendar.calendar import WEEKDAYS, Calendar, TooFar, merged
from shared.calendar.case_file import read_calendar, read_case
from shared.calendar.clock import FOREVER
from shared.calendar.durations import Duration
from shared.calendar.segments import segments
from shared.calendar.zones import to_instant, to_seconds
from tests.calendar import oracle

CASES = json.loads((Path(__file__).parent / "clocks.json").read_text())
OFFICE = {day: [["09:00", "17:30"]] for day in WEEKDAYS[:5]}
# First minutes of stretches with a clock change (or a skipped date) inside, in zones of every sort.
STRETCHES = [
    ("Europe/London", datetime(2026, 3, 20, tzinfo=UTC)),
    ("Europe/London", datetime(2026, 10, 15, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 1, tzinfo=UTC)),
    ("America/St_Johns", datetime(2026, 10, 25, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 3, 28, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 9, 26, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 12, 24, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 20, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 20, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 7, tzinfo=UTC)),
]


def iso(instant: int | None) -> str | None:
    return None if instant is None else to_instant(instant).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_worked_cases(case: dict[str, Any]) -> None:
    read = read_case(json.dumps(case["input"]))
    reading = clock.read(read.calendar, read.start, read.target, read.pauses, read.now)
    found = {"due_at": iso(reading.due_at), "state": reading.state, "counted_s": reading.counted_s}
    assert found == case["expect"], case["why"]


# --- made at random

TIMES = ["00:00", "00:30", "01:30", "02:00", "02:30", "06:00", "09:00", "12:30", "13:15", "17:30", "22:00", "23:59"]
frames = st.lists(st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)), max_size=3)
day_frames = st.lists(
    st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda f: f[0] < f[1]), max_size=3
)


@st.composite
def situations(draw: st.DrawFn, of: st.SearchStrategy[Any] = frames) -> dict[str, Any]:
    zone, first = draw(st.sampled_from(STRETCHES))
    weekly = draw(st.dictionaries(st.sampled_from(WEEKDAYS), of, max_size=7))
    holidays = draw(st.frozensets(st.integers(0, 20).map(lambda n: first.date() + timedelta(days=n)), max_size=4))
    start = draw(st.integers(2 * 1440, 10 * 1440))
    moments = st.integers(0, 18 * 1440)
    pauses = draw(st.lists(st.tuples(moments, moments | st.none()), max_size=4))
    unit = draw(st.sampled_from(["m", "h", "d", "bm", "bh", "bd"]))
    amount = draw(st.integers(0, 4) if unit.endswith("d") else st.integers(0, 40 if unit.endswith("h") else 900))
    return {
        "week": oracle.Week(zone, weekly, holidays), "first": first, "start": start, "amount": amount, "unit": unit, "pauses": pauses
    }  # fmt: skip


def calendar_of(week: oracle.Week) -> Calendar:
    plain = {"zone": week.zone, "weekly": {day: [list(frame) for frame in given] for day, given in week.weekly.items()}}
    return read_calendar({**plain, "holidays": [str(day) for day in sorted(week.holidays)]}, "calendar")


def seconds(first: datetime, pauses: list[tuple[int, int | None]]) -> list[tuple[int, int]]:
    return [(oracle.epoch(first, a), FOREVER if b is None else oracle.epoch(first, b)) for a, b in pauses]


@settings(max_examples=80, deadline=None)
@given(situations())
@example(
    {
        "week": oracle.Week("Pacific/Apia", {"fri": [("22:00", "06:00")], "sat": [("00:00", "00:00")]}, frozenset()),
        "first": datetime(2011, 12, 20, tzinfo=UTC), "start": 9 * 1440, "amount": 1, "unit": "bd", "pauses": [],
    }
)  # fmt: skip
def test_minute_by_minute_it_is_due_at_the_same_time(case: dict[str, Any]) -> None:
    calendar, first = calendar_of(case["week"]), case["first"]
    start, pauses = oracle.epoch(first, case["start"]), seconds(first, case["pauses"])
    found = clock.due_at(calendar, start, Duration(case["amount"], case["unit"]), merged(pauses))
    expected = oracle.due(**case)
    if expected == "beyond":
        assert found is None or found > oracle.epoch(first, 20 * 1440)
    else:
        assert found == (None if expected is None else oracle.epoch(first, int(expected)))


@settings(deadline=None)
@given(situations(), st.integers(0, 18 * 1440))
def test_the_segments_explain_the_reading(case: dict[str, Any], now_minute: int) -> None:
    calendar, first = calendar_of(case["week"]), case["first"]
    start, now = oracle.epoch(first, case["start"]), oracle.epoch(first, now_minute)
    target, pauses = Duration(case["amount"], case["unit"]), seconds(first, case["pauses"])
    reading = clock.read(calendar, start, target, pauses, now)
    pieces = segments(calendar, start, target, pauses, now)
    assert all(a.end == b.begin for a, b in pairwise(pieces)), "no gap, no overlap"
    if pieces:
        assert pieces[0].begin == start
        assert pieces[-1].end == reading.due_at or reading.due_at is None
    if target.unit != "bd":
        assert sum(each.counted_s for each in pieces) == reading.counted_s
        if reading.due_at is not None:
            total = sum(each.counted_s + each.to_count_s for each in pieces)
            assert total == clock.budget_s(calendar, start, target), "clock changes lose and gain nothing"


@settings(deadline=None)
@given(situations(day_frames), st.integers(0, 18).flatmap(lambda n: st.just(timedelta(days=n))))
def test_a_holiday_never_moves_a_deadline_earlier(case: dict[str, Any], later: timedelta) -> None:
    week: oracle.Week = case["week"]
    longer = oracle.Week(week.zone, week.weekly, week.holidays | {(case["first"] + later).date()})
    start, joined = oracle.epoch(case["first"], case["start"]), merged(seconds(case["first"], case["pauses"]))
    target = Duration(case["amount"], case["unit"])
    before, after = (clock.due_at(calendar_of(each), start, target, joined) for each in (week, longer))
    assert after is None or (before is not None and after >= before)


@settings(deadline=None)
@given(situations(), st.integers(0, 18 * 1440), st.integers(0, 3000))
def test_a_pause_never_moves_a_deadline_earlier_and_their_order_means_nothing(
    case: dict[str, Any], begin: int, length: int
) -> None:
    calendar, first = calendar_of(case["week"]), case["first"]
    start, target = oracle.epoch(first, case["start"]), Duration(case["amount"], case["unit"])
    pauses = seconds(first, case["pauses"])
    more = [*pauses, (oracle.epoch(first, begin), oracle.epoch(first, begin + length))]
    before, after = (clock.due_at(calendar, start, target, merged(each)) for each in (pauses, more))
    assert after is None or (before is not None and after >= before)
    assert clock.due_at(calendar, start, target, merged(list(reversed(more)))) == after


@settings(deadline=None)
@given(situations(), st.integers(0, 18 * 1440), st.integers(1, 4000))
def test_a_clock_only_goes_forward(case: dict[str, Any], minute: int, more: int) -> None:
    calendar, first = calendar_of(case["week"]), case["first"]
    start, target = oracle.epoch(first, case["start"]), Duration(case["amount"], case["unit"])
    pauses = seconds(first, case["pauses"])
    at, later = (clock.read(calendar, start, target, pauses, oracle.epoch(first, n)) for n in (minute, minute + more))
    assert later.due_at == at.due_at
    assert (at.counted_s or 0) <= (later.counted_s or 0) <= (at.counted_s or 0) + more * 60
    assert at.state != "missed" or later == at, "nothing changes it after that"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda f: f[0] < f[1]), min_size=1, max_size=1
    ),
    st.sets(st.sampled_from(range(7)), min_size=1),
    st.integers(0, 150 * 1440).map(lambda n: datetime(2026, 4, 1, tzinfo=UTC) + timedelta(minutes=n)),
    st.integers(1, 200),
)
def test_another_library_agrees_where_it_can(given: Any, days: set[int], start: datetime, hours: int) -> None:
    """`businesstimedelta`: one frame a day, no pause, no clock change on the way."""
    zone = pytz.timezone("Europe/Madrid")  # the library's sort of zone
    start = start.astimezone(zone)
    opens, closes = (time.fromisoformat(text) for text in given[0])
    rule = businesstimedelta.WorkDayRule(start_time=opens, end_time=closes, working_days=sorted(days), tz=zone)
    expected = start + businesstimedelta.BusinessTimeDelta(businesstimedelta.Rules([rule]), hours=hours)
    calendar = read_calendar({"zone": str(zone), "weekly": {WEEKDAYS[n]: [list(given[0])] for n in days}}, "calendar")
    found = clock.due_at(calendar, to_seconds(start), Duration(hours, "bh"), [])
    assert found is not None
    if expected.year == start.year and expected.utcoffset() == start.utcoffset():
        assert to_instant(found) == expected


# --- far away, and closed for good


def test_centuries_ahead_and_behind() -> None:
    calendar = read_calendar({"zone": "Europe/London", "weekly": OFFICE, "country": "GB-ENG"}, "calendar")
    assert iso(clock.due_at(calendar, to_seconds(datetime(2999, 12, 30, 10, tzinfo=UTC)), Duration(3, "bd"), [])) == (
        "3000-01-02T17:30:00Z"
    )
    assert iso(clock.due_at(calendar, to_seconds(datetime(1905, 3, 1, 12, tzinfo=UTC)), Duration(8, "bh"), [])) == (
        "1905-03-02T11:30:00Z"
    )


def test_a_pause_of_centuries_is_stepped_over() -> None:
    """Not a day of it is looked at, or this would take minutes; what other systems write for "for ever" is refused."""
    calendar = read_calendar({"zone": "UTC", "weekly": {day: [["09:00", "17:00"]] for day in WEEKDAYS}}, "calendar")
    start, end = (to_seconds(datetime(year, 3, 2, 9, tzinfo=UTC)) for year in (2026, 9000))
    found = clock.due_at(calendar, start, Duration(2, "bd"), [(start + 86_400, end)])
    assert iso(found) == "9000-03-03T17:00:00Z", "2 March counts: its business time is not paused"
    with pytest.raises(TooFar):
        clock.due_at(calendar, start, Duration(2, "bd"), [(start, to_seconds(datetime(9999, 12, 31, tzinfo=UTC)))])


@pytest.mark.parametrize("weekly", [{}, {"mon": []}])
@pytest.mark.parametrize("unit", ["bm", "bh", "bd"])
def test_a_calendar_that_never_opens_is_never_due(weekly: dict[str, Any], unit: Any) -> None:
    calendar = read_calendar({"zone": "Europe/London", "weekly": weekly}, "calendar")
    reading = clock.read(calendar, 0, Duration(1, unit), [], 10**9)
    assert (reading.due_at, reading.state) == (None, "running")


def test_a_week_whose_only_day_is_always_a_holiday_is_never_due() -> None:
    calendar = Calendar("UTC", {"sun": ((540, 1020),)}, lambda year: {date.fromordinal(n): "Sunday" for n in range(
        date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()) if date.fromordinal(n).weekday() == 6})  # fmt: skip
    assert clock.due_at(calendar, to_seconds(datetime(2026, 1, 1, tzinfo=UTC)), Duration(1, "bh"), []) is None
    assert clock.due_at(calendar, to_seconds(datetime(2026, 1, 1, tzinfo=UTC)), Duration(1, "bd"), []) is None


def test_a_frame_to_24_00_ends_at_midnight() -> None:
    calendar = read_calendar({"zone": "Europe/London", "weekly": {"mon": [["20:00", "24:00"]]}}, "calendar")
    monday = to_seconds(datetime(2026, 2, 2, 21, tzinfo=UTC))
    assert iso(clock.due_at(calendar, monday, Duration(4, "bh"), [])) == "2026-02-09T21:00:00Z"
    assert iso(clock.due_at(calendar, monday, Duration(3, "bh"), [])) == "2026-02-03T00:00:00Z"
