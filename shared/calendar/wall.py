"""From what a clock on the wall shows to an instant: the hour that is skipped and the hour that comes twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from shared.calendar.zones import end_of_gap, zone_info

Change = Literal["none", "skipped", "twice"]


def instant(wall: datetime, zone: str) -> tuple[datetime, Change]:
    """The first instant (UTC) at which the clock of `zone` shows `wall` (naive) or later, and what is odd about it.

    `skipped`: the clock never shows that time that day, so the instant is that of the change. `twice`: it shows it
    twice, so this is the first pass. Raises ValueError for a zone that does not exist.
    """
    tz = zone_info(zone)
    first, second = wall.replace(tzinfo=tz, fold=0), wall.replace(tzinfo=tz, fold=1)
    at = first.astimezone(UTC)
    if first.utcoffset() == second.utcoffset():
        return at, "none"
    if at.astimezone(tz).replace(tzinfo=None) == wall:
        return at, "twice"
    return end_of_gap(wall, tz), "skipped"
