"""How long a consumer rests between two batches: at high rates a save holds more, and costs less an event."""

from __future__ import annotations

import math

# A save of sixteen events costs four times as much an event as one of three hundred. Below this rate nobody waits for others;
# above it a save begins at most so often, unless enough for the next is there already.
PACED_FROM = 500.0  # events a second
EVERY_S = 0.15
ENOUGH = 200
# Over how long the rate is taken: a list or a file that comes at once is no load.
OVER_S = 3.0


class Pace:
    """The rate of what one consumer reads. Times in seconds of any one clock."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = 0.0

    def rest(self, records: int, waiting: int, began: float, now: float) -> float:
        """Seconds to wait after a batch of so many records that was begun at `began` and is saved `now`; so many more wait."""
        self._rate = self._rate * math.exp((self._at - now) / OVER_S) + records / OVER_S
        self._at = now
        if max(records, waiting) >= ENOUGH or self._rate < PACED_FROM:
            return 0.0
        return max(0.0, EVERY_S - (now - began))
