"""CPU time and memory of processes, with all their children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import psutil

CHILDREN_EVERY_S = 1.0


class Meter:
    """CPU seconds by name, of the processes below `roots` (name -> process id). `read` gives totals since `__init__`."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._known: dict[str, dict[int, psutil.Process]] = {name: {} for name in roots}
        self._last: dict[str, dict[int, float]] = {name: {} for name in roots}
        self._looked = float("-inf")
        self._start = self._totals()

    def read(self) -> dict[str, float]:
        """CPU seconds (user and system) since this meter was made."""
        now = self._totals()
        return {name: now[name] - self._start[name] for name in now}

    def _totals(self) -> dict[str, float]:
        # Looking for children reads all of /proc: too dear to do it each time.
        if time.monotonic() - self._looked > CHILDREN_EVERY_S:
            self._look()
        # A child that has ended keeps the last value that was seen: PostgreSQL's workers come and go.
        for name, known in self._known.items():
            for pid, process in known.items():
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    self._last[name][pid] = times.user + times.system
        return {name: sum(seen.values()) for name, seen in self._last.items()}

    def _look(self) -> None:
        for name, root in self._roots.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(root)
                for each in (process, *process.children(recursive=True)):
                    self._known[name].setdefault(each.pid, each)
        self._looked = time.monotonic()


class Machine:
    """How busy the whole machine was since `__init__`: what others used says how far a measurement can be trusted."""

    def __init__(self) -> None:
        self._start = self._now()

    def read(self, ours: float) -> dict[str, float]:
        """Cores, on average: busy for others than us (`ours`: CPU seconds of what is measured), idle, waiting for a disk."""
        at, own, busy, idle, waits = (now - start for now, start in zip(self._now(), self._start, strict=True))
        cores = {"others": busy - own - ours, "idle": idle, "disk_wait": waits}
        return {name: round(max(0.0, seconds / at), 2) for name, seconds in cores.items()}

    def _now(self) -> tuple[float, float, float, float, float]:
        t = psutil.cpu_times()
        waits = getattr(t, "iowait", 0.0)
        busy = sum(t) - t.idle - waits - getattr(t, "guest", 0.0) - getattr(t, "guest_nice", 0.0)
        return time.monotonic(), time.process_time(), busy, t.idle, waits


def resident_mb(pid: int) -> float:
    """Resident memory of one process, in megabytes (10^6 bytes)."""
    rss: int = psutil.Process(pid).memory_info().rss
    return rss / 1e6
