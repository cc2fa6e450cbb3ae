"""Starts children again when they end: the services are crash-only, so ending is how they get over a doubt."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence

from deploy.local.processes import Child

LOOK_EVERY_S = 0.25
LONGEST_WAIT_S = 30.0
# A child that has run for so long has got over what ended it before.
STEADY_S = 60.0


class Supervisor:
    """Watches children from a thread of its own. `tell` gets a sentence about each end."""

    def __init__(self, children: Sequence[Child], tell: Callable[[str], None]) -> None:
        self._children = [_Watched(child) for child in children]
        self._tell = tell
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True, name="supervisor")

    def start(self) -> None:
        """Watch from now on; the children run already."""
        self._thread.start()

    def stop(self) -> None:
        """Start nothing any more. Call it before the children are stopped."""
        self._stopping.set()
        with self._lock:  # one that is just being started has been started
            pass

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            for watched in self._children:
                with self._lock:
                    if self._stopping.is_set():
                        return
                    said = watched.look(time.monotonic())
                if said:
                    self._tell(said)


class _Watched:
    def __init__(self, child: Child) -> None:
        self._child = child
        self._wait_s = 0.0
        self._started_at = time.monotonic()
        self._start_at: float | None = None

    def look(self, now: float) -> str:
        """Start the child when its time has come; says when it has ended, and why."""
        child = self._child
        if child.alive:
            return ""
        if self._start_at is None:
            steady = now - self._started_at > STEADY_S
            self._wait_s = 1.0 if steady or not self._wait_s else min(self._wait_s * 2, LONGEST_WAIT_S)
            self._start_at = now + self._wait_s
            return f"{child.name} ended ({_how(child.returncode)}); starting it again in {self._wait_s:g} s. Log: {child.log}"
        if now >= self._start_at:
            child.start()
            self._started_at, self._start_at = now, None
        return ""


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
