"""Durations as policies write them ("4h", "30m", "10d") and where they end.

`h` and `m` are elapsed hours and minutes. `d` is the same local time n calendar days later, in the zone of the
calendar: "10d" over a clock change is an hour more or less than 240 hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Unit = Literal["m", "h", "d"]

_SECONDS: dict[Unit, int] = {"m": 60, "h": 3_600, "d": 86_400}
_LONGEST_S = 100 * 366 * 86_400
_UNITS: dict[str, Unit] = {"m": "m", "h": "h", "d": "d"}
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

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@lru_cache(maxsize=4096)
def parse(text: str) -> Duration:
    """Read "4h", "30m" or "10d". Raises DurationRefused, with a message for the person who wrote it."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise DurationRefused(
            f"'{text[:40]}' is not a duration; write a whole number and h, m or d, such as 4h, 30m or 10d"
        )
    unit = _UNITS.get(found[2])
    if unit is None:
        raise DurationRefused(
            f"'{text}' counts business time: the units bh, bm and bd come with business calendars and cannot be used "
            "yet; write h, m or d"
        )
    duration = Duration(int(found[1]), unit)
    if duration.length_s > _LONGEST_S:
        raise DurationRefused(f"'{text}' is longer than 100 years")
    return duration


def add(start: datetime, duration: Duration, zone: str) -> datetime:
    """The instant at which `duration`, begun at the aware `start`, is over; in UTC.

    For days: the first instant at which the clock of `zone` (an IANA name) shows the start's local time, or later, on
    the n-th date after. A time that the clock skips is therefore the instant of the change; one shown twice is the
    first pass.
    """
    if start.tzinfo is None:
        raise ValueError("start has no zone: a duration needs an instant")
    start = start.astimezone(UTC)
    if duration.unit != "d":
        return start + timedelta(seconds=duration.length_s)
    if duration.amount == 0:
        return start
    tz = zone_info(zone)
    local = start.astimezone(tz)
    due = (local + timedelta(days=duration.amount)).replace(fold=0)  # in wall time; the first pass of a time shown twice
    offset = due.utcoffset()
    if offset == due.replace(fold=1).utcoffset():  # no clock change near
        return due.astimezone(UTC)
    wall = due.replace(tzinfo=None)
    first = due.astimezone(UTC)
    return first if first.astimezone(tz).replace(tzinfo=None) == wall else end_of_gap(wall, tz)


def end_of_gap(wall: datetime, tz: ZoneInfo) -> datetime:
    """The instant of the clock change that skips `wall`: the first whole second whose local time is `wall` or later."""
    early = wall.replace(tzinfo=tz, fold=1).astimezone(UTC).replace(microsecond=0)  # fold 1 in a gap: before the change
    late = wall.replace(tzinfo=tz, fold=0).astimezone(UTC).replace(microsecond=0)
    low, high = 0, int((late - early).total_seconds())
    while low < high:
        middle = (low + high) // 2
        shown = (early + timedelta(seconds=middle)).astimezone(tz).replace(tzinfo=None)
        low, high = (low, middle) if shown >= wall else (middle + 1, high)
    return early + timedelta(seconds=low)


@lru_cache(maxsize=256)
def zone_info(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"'{name[:60]}' is not a time zone; use an IANA name such as Europe/London") from error
