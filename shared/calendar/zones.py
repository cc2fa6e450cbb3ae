"""The clock on the wall, in a zone: when does it show a time first?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=256)
def zone_info(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name[:60]!r} is not a time zone; use an IANA name such as Europe/London") from error


def first_shown(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which the clock of `zone` shows the naive time `wall`, or later.

    A time that the clock skips is therefore the instant of the change (also where it skips a whole date); one shown
    twice is the first pass.
    """
    local = wall.replace(tzinfo=zone, fold=0)
    if local.utcoffset() == local.replace(fold=1).utcoffset():  # no clock change near
        return local.astimezone(UTC)
    first = local.astimezone(UTC)
    return first if first.astimezone(zone).replace(tzinfo=None) == wall else end_of_gap(wall, zone)


@lru_cache(maxsize=1024)
def end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant of the clock change that skips `wall`: the first whole second whose local time is `wall` or later."""
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC).replace(microsecond=0)  # fold 1: before the change
    late = wall.replace(tzinfo=zone, fold=0).astimezone(UTC).replace(microsecond=0)
    low, high = 0, int((late - early).total_seconds())
    while low < high:
        middle = (low + high) // 2
        shown = (early + timedelta(seconds=middle)).astimezone(zone).replace(tzinfo=None)
        low, high = (low, middle) if shown >= wall else (middle + 1, high)
    return early + timedelta(seconds=low)


def to_seconds(instant: datetime) -> int:
    """Whole seconds since 1970 of an aware instant; what is beyond the second is cut off."""
    return (instant - EPOCH) // _SECOND


def to_instant(seconds: int) -> datetime:
    """The instant of seconds since 1970, in UTC. Raises OverflowError beyond the years 1 to 9999."""
    return EPOCH + timedelta(seconds=seconds)
