"""Progress of a command on standard error: nothing for two seconds, then a line that counts."""

from __future__ import annotations

import sys
import time

QUIET_S, EVERY_S = 2.0, 1.0


class Counter:
    """Counts things with a name ("decisions"); `total` 0: not known. End it with `done`."""

    def __init__(self, name: str, total: int = 0) -> None:
        self._name, self._total = name, total
        self._began = self._told = time.monotonic()
        self._count = 0
        self._line = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """So many more are done."""
        self._count += count
        now = time.monotonic()
        if now - self._began > QUIET_S and now - self._told > (EVERY_S if self._line else 10 * EVERY_S):
            self._told = now
            share = f" ({100 * self._count / self._total:.0f}%)" if self._total else ""
            rate = self._count / (now - self._began)
            end = "\r" if self._line else "\n"
            sys.stderr.write(f"{self._count:,}{share} {self._name}, {rate:,.0f}/s{end}")
            sys.stderr.flush()

    def read(self, count: int, total: int) -> None:
        """So many more are done, of so many as is known now."""
        self._total = total
        self.add(count)

    def done(self) -> None:
        """Nothing more comes: leave no half line behind."""
        if self._line and self._told > self._began:
            sys.stderr.write("\n")
