"""Where holidays come from: the company's own list, the public ones of a country or its region, an iCalendar file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches

from shared.calendar.calendar import Holidays

_CODE = re.compile(r"([A-Za-z]{2})(?:-([A-Za-z0-9 ]{1,20}))?", re.ASCII)


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


def _checked(country: str, known: Mapping[str, list[str]]) -> tuple[str, str | None]:
    found = _CODE.fullmatch(country)
    if found is None:
        raise HolidaysRefused(
            f"'{country[:40]}' is no country; write its two letters, or with a region, such as GB-ENG"
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
