"""What the embedded Kafka and PostgreSQL have in common: one child process that starts, answers, stops and crashes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from deploy.local.processes import Child
from deploy.local.progress import Progress, Step, silent
from deploy.local.readiness import await_ready


class LocalServer(ABC):
    """One server; its data below `folder`, its output in `logs`. All methods may be called from any thread.

    The data outlives it: a later server on the same folder serves them, on the same port where that is still free.
    """

    part: ClassVar[str]
    start_seconds: ClassVar[float]

    def __init__(self, folder: Path, logs: Path, progress: Progress = silent) -> None:
        self._folder, self._logs, self._progress = folder, logs, progress
        self._child: Child | None = None
        self.port = 0

    @property
    def child(self) -> Child:
        """Its (first) process."""
        if self._child is None:
            raise RuntimeError(f"{self.part} has not been started")
        return self._child

    def start(self) -> None:
        """Start it (also after a crash) and wait until it answers as a working server. Raises StartFailed.

        The first start picks the port; each later start of this object takes the same one.
        """
        if self._child is None:
            self._child = self._prepare()
        self._progress(Step(self.part, "starting"))
        self.child.start()
        try:
            await_ready(self.child, self._is_ready, self.start_seconds)
        except BaseException:
            self.child.kill()
            raise
        self._progress(Step(self.part, f"ready at 127.0.0.1:{self.port}"))

    def stop(self, timeout: float = 10.0) -> None:
        """Stop it in order (open transactions are rolled back); by force after `timeout` seconds."""
        if self._child is not None:
            self._child.stop(timeout)

    def kill(self) -> None:
        """SIGKILL to all of it, if it runs."""
        if self._child is not None:
            self._child.kill()

    def freeze(self) -> None:
        """SIGSTOP to all of it: its connections stay open and nobody answers."""
        self.child.freeze()

    def thaw(self) -> None:
        """End a `freeze`."""
        self.child.thaw()

    def restart(self) -> None:
        """Stop (if it runs) and start again on the same port."""
        self.stop()
        self.start()

    @abstractmethod
    def _prepare(self) -> Child:
        """Files, folders and the port; the process that is not started yet."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it answers, and is ours."""
