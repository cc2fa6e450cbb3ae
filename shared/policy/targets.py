"""Durations as documents write them: those of `shared.calendar`, and `w`, weeks of seven calendar days; which ends sooner."""

from __future__ import annotations

import re
from functools import lru_cache

from shared.calendar.durations import Duration, DurationRefused, Unit, read

_WEEKS = re.compile(r"(0|[1-9][0-9]{0,7})w", re.ASCII)
# A business day counts as a seventh of a week's five, an hour of business as a part of eight a day.
_SECONDS: dict[Unit, int] = {"m": 60, "h": 3_600, "d": 86_400, "bm": 252, "bh": 15_120, "bd": 120_960}
_FAMILY: dict[Unit, str] = {
    "m": "elapsed", "h": "elapsed", "d": "calendar", "bm": "business", "bh": "business", "bd": "business days",
}  # fmt: skip
_LONGEST_S = 100 * 366 * 86_400


@lru_cache(maxsize=4096)
def parse(text: str) -> Duration:
    """Read "4h", "30m", "10d", "8w" (which is 56d), "3bd". Raises DurationRefused, with a message for who wrote it."""
    weeks = _WEEKS.fullmatch(text)
    try:
        target = read(f"{7 * int(weeks[1])}d" if weeks else text)
    except DurationRefused:
        raise DurationRefused(
            f"'{text[:40]}' is not a duration of at most 100 years; write a whole number and a unit: m, h, d, w (elapsed), or "
            "bm, bh, bd (business time), such as 30m, 4h, 10d, 8w or 3bd"
        ) from None
    if nominal_s(target) > _LONGEST_S:
        raise DurationRefused(f"'{text}' is longer than 100 years")
    return target


def nominal_s(target: Duration) -> int:
    """Seconds, a day being 24 hours; of business units about what they take in a week of five days of eight hours."""
    return target.amount * _SECONDS[target.unit]


def family(target: Duration) -> str:
    """Targets of one family compare by their amounts alone, whenever they start."""
    return _FAMILY[target.unit]
