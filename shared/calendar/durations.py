"""Durations as policies write them ("4h", "10d", "3bd") and where they end.

`h` and `m` are elapsed hours and minutes. `d` is the same local time n calendar days later, in the zone of the
calendar: "10d" over a clock change is an hour more or less than 240 hours. `bh`, `bm` and `bd` are business hours,
minutes and days: they need a calendar (clock.py).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from shared.calendar.zones import first_shown, zone_info
from shared.frozen import dataclass

__all__ = ["Duration", "DurationRefused", "Unit", "add", "parse", "read", "zone_info"]

Unit = Literal["m", "h", "d", "bm", "bh", "bd"]

# Nominal: a business day counts as a day, so that durations of one sort can be ranked without a calendar.
_SECONDS: dict[Unit, int] = {"m": 60, "h": 3_600, "d": 86_400, "bm": 60, "bh": 3_600, "bd": 86_400}
_LONGEST_S, _LONGEST_IN_POLICIES_S = 1_000 * 366 * 86_400, 100 * 366 * 86_400
_UNITS: dict[str, Unit] = {"m": "m", "h": "h", "d": "d", "bm": "bm", "bh": "bh", "bd": "bd"}
_TEXT = re.compile(r"(0|[1-9][0-9]{0,8})(m|h|d|bh|bm|bd)", re.ASCII)


class DurationRefused(ValueError):
    """The text is no duration. The message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Duration:
    """`amount` whole units. `length_s` is its nominal length: a day counts as 24 hours."""

    amount: int
    unit: Unit

    @property
    def length_s(self) -> int:
        return self.amount * _SECONDS[self.unit]

    @property
    def business(self) -> bool:
        """True when it counts business time."""
        return self.unit[0] == "b"

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@lru_cache(maxsize=4096)
def read(text: str) -> Duration:
    """Read a duration of any unit. Raises DurationRefused, with a message for the person who wrote it."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise DurationRefused(
            f"{text[:40]!r} is not a duration; write a whole number and m, h, d, bm, bh or bd, such as 30m, 4h, 10d or 3bd"
        )
    duration = Duration(int(found[1]), _UNITS[found[2]])
    if duration.length_s > _LONGEST_S:
        raise DurationRefused(f"'{text}' is longer than 1000 years")
    return duration


@lru_cache(maxsize=4096)
def parse(text: str) -> Duration:
    """Read "4h", "30m" or "10d". Raises DurationRefused, with a message for the person who wrote it."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise DurationRefused(
            f"{text[:40]!r} is not a duration; write a whole number and h, m or d, such as 4h, 30m or 10d"
        )
    duration = read(text)
    if duration.business:
        raise DurationRefused(
            f"'{text}' counts business time, and no calendar says here when business is done; write h, m or d"
        )
    if duration.length_s > _LONGEST_IN_POLICIES_S:
        raise DurationRefused(f"'{text}' is longer than 100 years")
    return duration


def add(start: datetime, duration: Duration, zone: str) -> datetime:
    """The instant at which `duration` (h, m or d), begun at the aware `start`, is over; in UTC.

    For days: the first instant at which the clock of `zone` (an IANA name) shows the start's local time, or later, on
    the n-th date after. A time that the clock skips is therefore the instant of the change; one shown twice is the
    first pass.
    """
    if start.tzinfo is None:
        raise ValueError("start has no zone: a duration needs an instant")
    if duration.business:
        raise ValueError(f"{duration} counts business time: it needs a calendar")
    start = start.astimezone(UTC)
    if duration.unit != "d":
        return start + timedelta(seconds=duration.length_s)
    if duration.amount == 0:
        return start
    tz = zone_info(zone)
    return first_shown(start.astimezone(tz).replace(tzinfo=None) + timedelta(days=duration.amount), tz)
