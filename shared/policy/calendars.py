"""The calendars that documents can name or write out in `spec.calendar`: zone, opening hours, holidays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from shared.calendar import case_file, clock, durations
from shared.calendar.calendar import TooFar
from shared.calendar.durations import Duration
from shared.calendar.plain import calendar_of, text_of
from shared.calendar.zones import to_instant, to_seconds, zone_info
from shared.policy.problems import did_you_mean

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII)


def _weekdays(opens: str, closes: str) -> dict[str, list[list[str]]]:
    return {day: [[opens, closes]] for day in _DAYS[:5]}


# Name and version -> the calendar, in the form that documents can also write out. A version never changes.
CALENDARS: dict[str, dict[str, Any]] = {
    "uk-business-hours/2026a": {"zone": "Europe/London", "weekly": _weekdays("09:00", "17:30"), "country": "GB-ENG"},
    "us-business-hours/2026a": {"zone": "America/New_York", "weekly": _weekdays("09:00", "17:00"), "country": "US"},
}
CALENDAR_SCHEMA: dict[str, Any] = {
    "description": "A known calendar, a time zone, or a calendar written out.",
    "anyOf": [
        {"enum": list(CALENDARS)},
        {"type": "string", "description": "A time zone, as in Europe/London: no business time."},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["zone"],
            "properties": {
                "zone": {"type": "string", "description": "A time zone, as in Europe/London."},
                "weekly": {
                    "type": "object",
                    "additionalProperties": False,
                    "description": "Opening hours by day; a missing day is closed.",
                    "properties": {
                        day: {
                            "type": "array",
                            "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
                        }
                        for day in _DAYS
                    },
                },
                "country": {"type": "string", "description": "Whose public holidays: GB-ENG, or US."},
                "holidays": {"type": "array", "items": {"type": "string", "format": "date"}},
            },
        },
    ],
}
MAX_FRAMES, MAX_HOLIDAYS = 10, 1_000
NEVER = datetime.max.replace(tzinfo=UTC)


class CalendarRefused(ValueError):
    """The calendar cannot be used. `path` is the place inside of it."""

    def __init__(self, message: str, *path: int | str) -> None:
        super().__init__(message)
        self.path = path


def read_calendar(value: Any) -> dict[str, Any]:
    """The calendar that a document names or writes out: {"zone", "weekly", "holidays", "country"?}.

    A time zone named alone is a calendar without business time. Raises CalendarRefused.
    """
    if isinstance(value, str):
        return _named(value)
    if not isinstance(value, Mapping):
        raise CalendarRefused(
            "calendar must be a name such as uk-business-hours/2026a, or zone, weekly, holidays, country"
        )
    known = ("zone", "weekly", "holidays", "country")
    for key in value:
        if key not in known:
            raise CalendarRefused(
                f"unknown key '{key}'{did_you_mean(key, known) or '; known: ' + ', '.join(known)}", key
            )
    if "zone" not in value:
        raise CalendarRefused("the calendar has no zone, such as Europe/London")
    read: dict[str, Any] = {
        "zone": _zone(value["zone"]),
        "weekly": _weekly(value.get("weekly", {})),
        "holidays": _holidays(value.get("holidays", [])),
    }
    country = value.get("country")
    if country is not None:
        if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
            raise CalendarRefused(f"'{str(country)[:20]}' is not a country such as GB, GB-ENG or US", "country")
        read["country"] = country
    try:
        calendar_of(text_of(read))
    except case_file.CaseRefused as refused:
        message = str(refused)
        raise CalendarRefused(message, "country" if message.startswith("calendar.country") else "weekly") from None
    return read


def _named(name: str) -> dict[str, Any]:
    if name in CALENDARS:
        return {"holidays": [], **CALENDARS[name]}
    try:
        zone_info(name)
    except ValueError:
        raise CalendarRefused(
            f"'{name[:60]}' is neither a known calendar ({', '.join(CALENDARS)}) nor a time zone such as "
            f"Europe/London{did_you_mean(name, CALENDARS)}"
        ) from None
    return {"zone": name, "weekly": {}, "holidays": []}


def _zone(value: Any) -> str:
    try:
        zone_info(value if isinstance(value, str) else "")
    except ValueError:
        raise CalendarRefused(f"'{str(value)[:60]}' is not a time zone such as Europe/London", "zone") from None
    return str(value)


def _weekly(value: Any) -> dict[str, list[list[str]]]:
    if not isinstance(value, Mapping):
        raise CalendarRefused('weekly holds the opening hours of each day, as in mon: [["09:00", "17:30"]]', "weekly")
    for day, frames in value.items():
        if day not in _DAYS:
            raise CalendarRefused(f"'{day}' is not a day ({', '.join(_DAYS)})", "weekly", day)
        if not isinstance(frames, list) or len(frames) > MAX_FRAMES:
            raise CalendarRefused(f"{day} must be a list of at most {MAX_FRAMES} frames", "weekly", day)
        for index, frame in enumerate(frames):
            if not isinstance(frame, list) or len(frame) != 2 or not all(_is_time(each) for each in frame):
                message = 'a frame is two times in quotes, as in ["09:00", "17:30"]'
                raise CalendarRefused(message, "weekly", day, index)
    return {day: [list(frame) for frame in frames] for day, frames in value.items()}


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _holidays(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_HOLIDAYS:
        raise CalendarRefused(f"holidays must be a list of at most {MAX_HOLIDAYS} dates", "holidays")
    for index, each in enumerate(value):
        try:
            date.fromisoformat(each)
        except (TypeError, ValueError):
            raise CalendarRefused(f"'{str(each)[:20]}' is not a date such as 2026-12-25", "holidays", index) from None
    return list(value)


def due_at(calendar: Mapping[str, Any], start: datetime, target: Duration, zone: str | None = None) -> datetime:
    """When a target that began at the aware `start` is due by the calendar; in UTC. Never: the end of all times.

    `zone`: whose calendar days are meant, where they are not the calendar's own.
    """
    if not target.business:
        return durations.add(start, target, zone or calendar["zone"])
    try:
        due = clock.due_at(calendar_of(text_of(calendar)), to_seconds(start), target, ())
    except TooFar:
        due = None
    return NEVER if due is None else to_instant(due)
