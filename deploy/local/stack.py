"""The embedded stack: Kafka and PostgreSQL together on one data folder, for trying and testing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.local.kafka import KafkaBroker
from deploy.local.postgres import PostgresServer
from deploy.local.processes import StartFailed
from deploy.local.progress import Progress, Step, silent


@dataclass(frozen=True)
class Addresses:
    """Where the stack listens. `postgres_dsn` holds a password."""

    kafka_bootstrap: str
    postgres_dsn: str


class LocalStack:
    """Kafka and PostgreSQL as children of this process, on `data_dir`, which one process at a time may use.

    A context manager; `start` and `stop` may be called from any thread. Data, ports and password outlive it.
    """

    def __init__(self, data_dir: Path, progress: Progress = silent) -> None:
        self.data_dir = data_dir.absolute()
        self._progress = _never_failing(progress)
        self._lock: IO[str] | None = None
        logs = self.data_dir / "logs"
        self.kafka = KafkaBroker(self.data_dir / "kafka", logs, self._progress)
        self.postgres = PostgresServer(self.data_dir / "postgres", logs, self._progress)

    @property
    def addresses(self) -> Addresses:
        """Valid after `start`, and for every later start of this object."""
        return Addresses(self.kafka.bootstrap, self.postgres.dsn)

    def start(self) -> Self:
        """Start both at once; returns when both answer. Raises StartFailed, and then nothing runs."""
        self._take_lock()
        try:
            _both(self.kafka.start, self.postgres.start)
        except BaseException:
            self.stop(timeout=3)
            raise
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """Stop both; what has not ended after `timeout` seconds is killed. Does nothing when nothing runs."""
        try:
            _both(lambda: self.kafka.stop(timeout), lambda: self.postgres.stop(timeout))
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_lock(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        # As root PostgreSQL's user must pass through here (it may not list it).
        self.data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise StartFailed(
                "stack", f"{self.data_dir} is in use by process {owner}: stop that one, or choose another data folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock


def _both(*actions: Callable[[], None]) -> None:
    """Run each in a thread of its own; raise the first failure at once, whatever the others do.

    Not an executor: that one would wait at the exit of the interpreter for a download that nobody wants any more.
    """
    failures: list[BaseException] = []
    running = len(actions)
    changed = threading.Condition()

    def run(action: Callable[[], None]) -> None:
        nonlocal running
        failure: list[BaseException] = []
        try:
            action()
        except BaseException as error:
            failure.append(error)
        with changed:
            failures.extend(failure)
            running -= 1
            changed.notify()

    for action in actions:
        threading.Thread(target=run, args=(action,), daemon=True).start()
    with changed:
        changed.wait_for(lambda: failures or not running)
    if failures:
        raise failures[0]


def _never_failing(progress: Progress) -> Progress:
    """A terminal that has gone away must not keep the stack from starting or stopping."""

    def tell(step: Step) -> None:
        with contextlib.suppress(OSError):
            progress(step)

    return tell
