"""Where holidays come from: the company's own list, the public ones of a country or its region, an iCalendar file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any

from shared.calendar.calendar import Holidays

_CODE = re.compile(r"([A-Za-z]{2})(?:-([A-Za-z0-9 ]{1,20}))?", re.ASCII)

_LONGEST_DAYS, _MOST = 60, 10_000  # one event's days, one rule's events: an office is not closed for longer


class HolidaysRefused(ValueError):
    """There are no such holidays. The message says what would be known."""


def listed_and_public(listed: Mapping[date, str], country: str | None) -> Holidays:
    """Both together, year by year. `country`: GB (alone) or GB-ENG (with its region). Raises HolidaysRefused."""
    own: dict[int, dict[date, str]] = {}
    for day, name in listed.items():
        own.setdefault(day.year, {})[day] = name
    if country is None:
        return lambda year: own.get(year, {})
    of_country = public(country)
    return lambda year: {**of_country(year), **own.get(year, {})}


def public(country: str) -> Holidays:
    """The public holidays of a country or region, with the observed (substitute) days. Raises HolidaysRefused.

    They are those of the package `holidays`, whose version is locked: a newer one may know of newer laws.
    """
    import holidays  # takes a third of a second: only who needs it waits

    code, region = _checked(country, holidays.list_supported_countries(include_aliases=True))

    def of_year(year: int) -> Mapping[date, str]:
        return dict(holidays.country_holidays(code, subdiv=region, years=year, expand=False, language=language))

    known = holidays.country_holidays(code, subdiv=region, expand=False)
    language = "en_US" if "en_US" in known.supported_languages else None
    return of_year


def from_icalendar(text: str, first_year: int, last_year: int) -> dict[date, str]:
    """The whole days that the events of an iCalendar file cover in these years, with the events' names.

    Events of several days and repeated ones are laid out; cancelled ones, and those with a time of day, are no holidays.
    Raises HolidaysRefused.
    """
    from icalendar import Calendar as File

    try:
        events = list(File.from_ical(text).walk("VEVENT"))
        found: dict[date, str] = {}
        for event in events:
            for day in _days(event, first_year, last_year):
                found.setdefault(day, str(event.get("SUMMARY", "holiday"))[:100])
    except HolidaysRefused:
        raise
    except Exception as error:  # the library raises many kinds for what is not iCalendar
        raise HolidaysRefused(f"this is no iCalendar file that can be read ({type(error).__name__})") from None
    return dict(sorted(found.items()))


def _days(event: Any, first_year: int, last_year: int) -> Iterator[date]:
    start = event.decoded("DTSTART")
    if isinstance(start, datetime) or str(event.get("STATUS", "")) == "CANCELLED":
        return
    end = event.decoded("DTEND") if "DTEND" in event else start + event.decoded("DURATION", timedelta(days=1))
    length = min(max((end - start).days, 1), _LONGEST_DAYS)
    for first in _repeated(event, start, first_year, last_year):
        for day in (first + timedelta(days=number) for number in range(length)):
            if first_year <= day.year <= last_year:
                yield day


def _repeated(event: Any, start: date, first_year: int, last_year: int) -> Iterator[date]:
    if "RRULE" not in event:
        yield start
        return
    from dateutil.rrule import rrulestr

    rule = rrulestr(event["RRULE"].to_ical().decode(), dtstart=datetime.combine(start, time()))
    left_out = event.get("EXDATE", [])
    skipped = {each.dt for group in (left_out if isinstance(left_out, list) else [left_out]) for each in group.dts}
    begin = datetime(first_year, 1, 1) - timedelta(days=_LONGEST_DAYS)  # noqa: DTZ001 - whole days have no zone
    for number, at in enumerate(rule.xafter(begin, inc=True)):
        if at.year > last_year or number > _MOST:
            return
        if at.date() not in skipped:
            yield at.date()


def _checked(country: str, known: Mapping[str, list[str]]) -> tuple[str, str | None]:
    found = _CODE.fullmatch(country)
    if found is None:
        raise HolidaysRefused(
            f"{country[:40]!r} is no country; write its two letters, or with a region, such as GB-ENG"
        )
    code, region = found[1], found[2]
    if code not in known:
        near = code.upper() if code.upper() in known else None
        raise HolidaysRefused(f"no holidays are known of '{code}'{f'; did you mean {near}?' if near else ''}")
    if region is not None and region not in known[code]:
        near = next(iter(get_close_matches(region.upper(), known[code], 1, 0.5)), None)
        hint = f"; did you mean {code}-{near}?" if near else ""
        regions = ", ".join(known[code][:12]) + (" ..." if len(known[code]) > 12 else "")
        raise HolidaysRefused(f"no region '{region}' of {code} is known{hint} ({regions or 'it has none'})")
    return code, region
