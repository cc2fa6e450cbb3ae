"""The calendars that a document can name in `spec.calendar`, and their time zones."""

from __future__ import annotations

from shared.calendar.durations import zone_info
from shared.policy.problems import did_you_mean

# Name and version -> zone. Hours and holidays come with business calendars; until then a calendar gives its zone.
CALENDARS: dict[str, str] = {
    "uk-business-hours/2026a": "Europe/London",
    "us-business-hours/2026a": "America/New_York",
}


def zone_of(calendar: str) -> str:
    """The zone of a known calendar, or of an IANA zone named directly. Raises ValueError with a message for people."""
    if calendar in CALENDARS:
        return CALENDARS[calendar]
    try:
        zone_info(calendar)
    except ValueError:
        hint = did_you_mean(calendar, CALENDARS)
        raise ValueError(
            f"'{calendar[:60]}' is neither a known calendar ({', '.join(CALENDARS)}) nor a time zone such as "
            f"Europe/London{hint}"
        ) from None
    return calendar
