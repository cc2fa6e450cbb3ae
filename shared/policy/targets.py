"""Durations as documents write them, and which of two ends sooner.

`m` and `h` are elapsed minutes and hours, `d` calendar days, `w` weeks of seven calendar days; `bm`, `bh` and `bd` are
business minutes, hours and days of the document's calendar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TEXT = re.compile(r"(0|[1-9][0-9]{0,8})(m|h|d|w|bm|bh|bd)", re.ASCII)
# Nominal seconds: a business day counts as a seventh of a week's five, an hour of business as a part of eight a day.
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "bm": 252, "bh": 15_120, "bd": 120_960}
_FAMILY = {"m": "elapsed", "h": "elapsed", "d": "calendar", "bm": "business", "bh": "business", "bd": "business days"}
_LONGEST_S = 100 * 366 * 86_400


class TargetRefused(ValueError):
    """The text is no duration. The message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """`amount` whole units: m, h, d, bm, bh or bd (weeks are written out as days)."""

    amount: int
    unit: str

    @property
    def nominal_s(self) -> int:
        """Seconds, a day being 24 hours; of business units about what they take in a week of five days of eight hours."""
        return self.amount * _SECONDS[self.unit]

    @property
    def family(self) -> str:
        """Targets of one family compare by their amounts alone, whenever they start."""
        return _FAMILY[self.unit]

    @property
    def business(self) -> bool:
        """Whether it needs a calendar with opening hours."""
        return self.unit in ("bm", "bh", "bd")

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@lru_cache(maxsize=4096)
def parse(text: str) -> Target:
    """Read "4h", "30m", "10d", "8w", "3bd". Raises TargetRefused, with a message for the person who wrote it."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise TargetRefused(
            f"'{text[:40]}' is not a duration; write a whole number and a unit: m, h, d, w (elapsed), or bm, bh, bd "
            "(business time), such as 30m, 4h, 10d, 8w or 3bd"
        )
    amount, unit = int(found[1]), found[2]
    target = Target(amount * 7, "d") if unit == "w" else Target(amount, unit)
    if target.nominal_s > _LONGEST_S:
        raise TargetRefused(f"'{text}' is longer than 100 years")
    return target
