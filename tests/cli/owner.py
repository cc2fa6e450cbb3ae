"""`amends up` as a process, as a person starts it, for tests that use it and end it in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from tests.harness.processes import eventually, runs

ROOT = Path(__file__).resolve().parents[2]
UP_S = 60.0


class Up:
    """One `amends up` on a data folder. Its output is collected as it comes."""

    def __init__(self, data: Path, *options: str, **environment: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "up", "--data", str(data), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        self.family: set[psutil.Process] = set()
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def await_output(self, text: str) -> None:
        """Until `text` was printed."""
        assert eventually(lambda: text in self.output or self.process.poll() is not None, UP_S), self.output
        assert text in self.output, f"ended with {self.process.poll()}:\n{self.output}"
        self.family |= set(psutil.Process(self.process.pid).children(recursive=True))

    def noted(self) -> Any:
        """What it has noted for the commands."""
        return json.loads((self.data / "credentials.json").read_text())

    def ended(self, seconds: float = UP_S) -> int:
        """Its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def left(self) -> list[psutil.Process]:
        """What still runs of all that it had started, after the moment that the watchdog may take."""
        eventually(lambda: not any(runs(each.pid) for each in self.family if each.is_running()), 5)
        return [each for each in self.family if each.is_running() and runs(each.pid)]

    def kill(self) -> None:
        """For the end of a test that failed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
