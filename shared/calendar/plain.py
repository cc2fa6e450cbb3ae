"""Calendars as plain data (zone, weekly, holidays, country), as policies write them out, and the calendar of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from shared.calendar.calendar import Calendar
from shared.calendar.case_file import read_calendar


def text_of(plain: Mapping[str, Any]) -> str:
    """The one text of a calendar: equal calendars have equal texts."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(text: str) -> str:
    """A short name for a calendar that has none."""
    return "calendar-" + hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=512)
def calendar_of(text: str) -> Calendar:
    """The calendar that `text_of` wrote, with the years that were worked out for it. Raises CaseRefused."""
    return read_calendar(json.loads(text), "calendar")
