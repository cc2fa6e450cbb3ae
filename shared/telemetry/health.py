"""Health by progress: a process lives as long as its loops move, and is ready when what it needs answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Check = Callable[[], Awaitable[str | None]]


class Report(NamedTuple):
    """An answer of /livez or /readyz: the HTTP status is 200 if `ok`, else 503."""

    ok: bool
    body: dict[str, Any]


class _Loop(NamedTuple):
    within_s: float
    last: float


class Progress:
    """What the loops of one process report, and what decides whether it is live and ready.

    A ping would answer while the consumer stands still; so each loop says `expect` once and `beat` whenever it moved.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loops: dict[str, _Loop] = {}
        self._checks: dict[str, tuple[Check, float]] = {}
        self._halted: dict[str, str] = {}

    def expect(self, name: str, within_s: float) -> None:
        """From now on the loop `name` must beat at least every `within_s` seconds, or /livez fails."""
        self._loops[name] = _Loop(within_s, self._clock())

    def beat(self, name: str) -> None:
        """The loop `name` has moved. Without `expect` it is shown but never fails."""
        loop = self._loops.get(name)
        self._loops[name] = _Loop(float("inf") if loop is None else loop.within_s, self._clock())

    def finished(self, name: str) -> None:
        """The loop `name` has ended as it should: nothing more is expected of it."""
        self._loops.pop(name, None)

    def halt(self, loop: str, reason: str) -> None:
        """Not ready until this loop's `resume`, and why. The process stays live: restarting it would not help."""
        self._halted[loop] = reason

    def resume(self, loop: str) -> None:
        """What `halt` said of this loop no longer holds."""
        self._halted.pop(loop, None)

    def require(self, name: str, check: Check, timeout_s: float = 2.0) -> None:
        """/readyz asks `check` each time. None: all is well; a text: what is wrong. An error or silence: not ready."""
        self._checks[name] = (check, timeout_s)

    def live(self) -> Report:
        """Whether every expected loop has moved in time; if not, which one stands still and since when."""
        now, wall = self._clock(), datetime.now(UTC)
        stalled, loops = [], {}
        for name, loop in sorted(self._loops.items()):
            idle = now - loop.last
            loops[name] = round(idle, 1)
            if idle > loop.within_s:
                since = (wall - timedelta(seconds=idle)).isoformat(timespec="seconds")
                stalled.append({"loop": name, "since": since, "idle_s": round(idle, 1), "allowed_s": loop.within_s})
        return Report(not stalled, {"status": "stalled" if stalled else "ok", "stalled": stalled, "idle_s": loops})

    async def ready(self) -> Report:
        """Whether the process can do its work now. All checks run at the same time, each within its own limit."""
        names = sorted(self._checks)
        answers = await asyncio.gather(*(self._ask(*self._checks[name]) for name in names))
        checks = {name: answer or "ok" for name, answer in zip(names, answers, strict=True)}
        if self._halted:
            checks["halted"] = "; ".join(f"{loop}: {reason}" for loop, reason in sorted(self._halted.items()))
        ok = not self._halted and not any(answers)
        return Report(ok, {"status": "ok" if ok else "not ready", "checks": checks})

    async def _ask(self, check: Check, timeout_s: float) -> str | None:
        try:
            return await asyncio.wait_for(check(), timeout_s)
        except TimeoutError:
            return f"no answer within {timeout_s:g} s"
        except Exception as error:  # its text may name hosts and users: the kind is enough, the log has the rest
            return f"failed: {type(error).__name__}"
