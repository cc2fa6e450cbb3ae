"""A clock written as JSON (`amends clock compute`): checked, with a message for each mistake that says where it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from shared.calendar.calendar import DAY_MIN, WEEKDAYS, Calendar, Frames
from shared.calendar.clock import FOREVER
from shared.calendar.durations import Duration, DurationRefused
from shared.calendar.durations import read as read_duration
from shared.calendar.holiday_lists import HolidaysRefused, listed_and_public
from shared.calendar.zones import to_seconds

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class CaseRefused(ValueError):
    """The case cannot be computed. The message says where the mistake is and what to write instead."""


@dataclass(frozen=True, slots=True)
class Case:
    """A clock to compute. Instants are seconds since 1970; `pauses` are empty for a clock that does not pause."""

    calendar: Calendar
    start: int
    target: Duration
    pauses: tuple[tuple[int, int], ...]
    now: int


def read_case(text: str) -> Case:
    """Read a case. Raises CaseRefused."""
    try:
        given = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise CaseRefused("the file is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise CaseRefused(f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except CaseRefused:
        raise
    except ValueError:
        raise CaseRefused("it holds a number of too many digits") from None
    whole = _object(given, "the file", required=("calendar", "clock", "now"), optional=("pauses",))
    calendar = read_calendar(whole["calendar"], "calendar")
    clock = _object(whole["clock"], "clock", required=("start", "target"), optional=("pausable",))
    pausable = clock.get("pausable", False)
    if not isinstance(pausable, bool):
        raise CaseRefused(f"clock.pausable must be true or false, not {_shown(pausable)}")
    pauses = tuple(_pause(each, f"pauses[{i}]") for i, each in enumerate(_list(whole.get("pauses", []), "pauses")))
    return Case(
        calendar=calendar,
        start=_instant(clock["start"], "clock.start"),
        target=_target(clock["target"]),
        pauses=pauses if pausable else (),
        now=_instant(whole["now"], "now"),
    )


def read_calendar(given: Any, where: str) -> Calendar:
    """A calendar from plain data: zone, weekly, holidays, country. Raises CaseRefused."""
    fields = _object(given, where, required=("zone",), optional=("weekly", "holidays", "country"))
    if not isinstance(fields["zone"], str):
        raise CaseRefused(f"{where}.zone must be an IANA name such as Europe/London, not {_shown(fields['zone'])}")
    weekly = _object(fields.get("weekly", {}), f"{where}.weekly", optional=WEEKDAYS)
    frames = {day: read_frames(weekly[day], f"{where}.weekly.{day}") for day in weekly}
    dates = [
        _date(each, f"{where}.holidays[{i}]")
        for i, each in enumerate(_list(fields.get("holidays", []), f"{where}.holidays"))
    ]
    country = fields.get("country")
    if country is not None and not isinstance(country, str):
        raise CaseRefused(f"{where}.country must be text such as GB-ENG, not {_shown(country)}")
    try:
        holidays = listed_and_public(dict.fromkeys(dates, "holiday of the company's list"), country)
    except HolidaysRefused as refused:
        raise CaseRefused(f"{where}.country: {refused}") from None
    try:
        return Calendar(fields["zone"], frames, holidays)
    except ValueError as error:
        raise CaseRefused(f"{where}.zone: {error}") from None


def read_frames(given: Any, where: str) -> Frames:
    """Frames of one weekday, as minutes of the day; one that ends at or before its start ends on the next date."""
    frames = []
    for index, frame in enumerate(_list(given, where)):
        place = f"{where}[{index}]"
        if not isinstance(frame, list) or len(frame) != 2:
            raise CaseRefused(f'{place} must be two times such as ["09:00", "17:30"], not {_shown(frame)}')
        opens, closes = _minute(frame[0], f"{place}[0]"), _minute(frame[1], f"{place}[1]")
        if opens == DAY_MIN:
            raise CaseRefused(f"{place} opens at 24:00, which is 00:00 of the next day: write it there")
        frames.append((opens, closes if closes > opens else closes + DAY_MIN))
    return tuple(frames)


def _minute(given: Any, where: str) -> int:
    found = _TIME.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise CaseRefused(f"{where} must be a time of day as HH:MM, such as 09:00, not {_shown(given)}")
    hour, minute = (found[1], found[2]) if found[1] else (found[3], found[4])
    return int(hour) * 60 + int(minute)


def _date(given: Any, where: str) -> date:
    try:
        if isinstance(given, str) and _DATE.fullmatch(given):
            return date.fromisoformat(given)
    except ValueError:
        pass
    raise CaseRefused(f"{where} must be a date as YYYY-MM-DD, such as 2026-12-25, not {_shown(given)}")


def _instant(given: Any, where: str) -> int:
    example = "such as 2026-03-02T09:00:00Z"
    if not isinstance(given, str):
        raise CaseRefused(f"{where} must be an instant {example}, not {_shown(given)}")
    try:
        instant = datetime.fromisoformat(given)
    except ValueError:
        raise CaseRefused(f"{where} must be an ISO 8601 instant {example}, not {_shown(given)}") from None
    if instant.tzinfo is None:
        raise CaseRefused(
            f"{where} has no offset: {_shown(given)} could be any zone's; write Z or an offset at its end"
        )
    if instant.microsecond:
        raise CaseRefused(f"{where} must be whole seconds, not {_shown(given)}")
    return to_seconds(instant)


def _target(given: Any) -> Duration:
    if not isinstance(given, str):
        raise CaseRefused(f"clock.target must be a duration such as 4h, 10d or 3bd, not {_shown(given)}")
    try:
        return read_duration(given)
    except DurationRefused as refused:
        raise CaseRefused(f"clock.target: {refused}") from None


def _pause(given: Any, where: str) -> tuple[int, int]:
    if not isinstance(given, list) or len(given) != 2:
        raise CaseRefused(f"{where} must be [from, to], or [from, null] while it is open, not {_shown(given)}")
    begin = _instant(given[0], f"{where}[0]")
    return begin, FOREVER if given[1] is None else _instant(given[1], f"{where}[1]")


def _object(given: Any, where: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise CaseRefused(f"{where} must be an object, not {_shown(given)}")
    known = (*required, *optional)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; it can hold {', '.join(known)}"
            raise CaseRefused(f"{where} has an unknown field {name[:40]!r}{hint}")
    for name in required:
        if name not in given:
            raise CaseRefused(f"{where} lacks '{name}'")
    return given


def _list(given: Any, where: str) -> list[Any]:
    if not isinstance(given, list):
        raise CaseRefused(f"{where} must be a list, not {_shown(given)}")
    return given


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CaseRefused(f"{twice[:40]!r} is written twice in one object")
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
