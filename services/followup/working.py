"""Whether anybody works at a given time, by the calendar of the policy in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from shared.calendar.calendar import Calendar, TooFar
from shared.calendar.case_file import read_calendar
from shared.calendar.zones import to_instant, to_seconds


def nobody_works(calendar: Mapping[str, Any], at: datetime) -> str:
    """Why nobody works `at` that time, and from when somebody does; empty where somebody does, or no hours are known."""
    if not any(calendar["weekly"].values()):
        return ""
    found = _calendar(json.dumps(calendar, sort_keys=True))
    try:
        opening = found.opening(to_seconds(at))
    except TooFar:
        return ""
    if opening is None or opening <= to_seconds(at):
        return ""
    local, opens = at.astimezone(found.info), to_instant(opening).astimezone(found.info)
    holiday = found.holidays(local.year).get(local.date())
    why = f"it is {holiday}" if holiday else f"{local:%A %H:%M} is outside working hours"
    return f"{why} ({found.zone}); work begins {opens:%A %d %B %H:%M}"


@lru_cache(maxsize=32)
def _calendar(text: str) -> Calendar:
    return read_calendar(json.loads(text), "calendar")
