"""The embedded stack: Kafka and PostgreSQL together on one data folder, for trying and testing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.local.kafka import KafkaBroker
from deploy.local.pgfiles import erase_data
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
        self._tell = progress
        self._lock: IO[str] | None = None
        self._abandoned = threading.Event()
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
        self._abandoned.clear()
        both = _Both(self.kafka.start, self.postgres.start)
        try:
            both.wait()
        except BaseException as error:
            self._abandoned.set()
            self.kill()
            both.join(5)
            self.kill()  # for one that was just being started
            self._release_lock()
            if isinstance(error, OSError):
                raise StartFailed("stack", str(error)) from error
            raise
        return self

    def stop(self, timeout: float = 10.0) -> None:
        """Stop both; what has not ended after `timeout` seconds is killed. Does nothing when nothing runs."""
        try:
            _Both(lambda: self.kafka.stop(timeout), lambda: self.postgres.stop(timeout)).wait()
        except BaseException:
            self.kill()
            raise
        finally:
            self._release_lock()

    def kill(self) -> None:
        """SIGKILL to both. The data survives that."""
        self.kafka.kill()
        self.postgres.kill()

    def erase(self) -> None:
        """Delete all data; nothing may run."""
        self._take_lock()
        try:
            erase_data(self.data_dir / "postgres")
            shutil.rmtree(self.data_dir, ignore_errors=True)
        finally:
            self._release_lock()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _progress(self, step: Step) -> None:
        """Pass news on. Every piece of a start tells before it begins, so this is also where an abandoned one ends."""
        if self._abandoned.is_set():
            raise StartFailed(step.part, "interrupted")
        with contextlib.suppress(OSError):  # a terminal that has gone away must not keep us from stopping
            self._tell(step)

    def _take_lock(self) -> None:
        if self._lock is not None:
            raise RuntimeError(f"the stack on {self.data_dir} runs already")
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            # As root PostgreSQL's user must pass through here (it may not list it).
            self.data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
            lock = (self.data_dir / "lock").open("a+")
        except OSError as error:
            raise StartFailed("stack", f"the data folder cannot be used: {error}") from error
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

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class _Both:
    """Actions, each in a thread of its own. Not an executor: one would wait for them at the exit of the interpreter."""

    def __init__(self, *actions: Callable[[], None]) -> None:
        self._failures: list[BaseException] = []
        self._changed = threading.Condition()
        self._running = len(actions)
        self._threads = [threading.Thread(target=self._run, args=(action,), daemon=True) for action in actions]
        for thread in self._threads:
            thread.start()

    def _run(self, action: Callable[[], None]) -> None:
        failures: list[BaseException] = []
        try:
            action()
        except BaseException as error:  # handed to whoever waits
            failures.append(error)
        with self._changed:
            self._failures += failures
            self._running -= 1
            self._changed.notify()

    def wait(self) -> None:
        """Until all are done or one has failed; raises the first failure."""
        with self._changed:
            self._changed.wait_for(lambda: self._failures or not self._running)
        if self._failures:
            raise self._failures[0]

    def join(self, timeout: float) -> None:
        """Until all are done, failed or not, at most `timeout` seconds for each."""
        for thread in self._threads:
            thread.join(timeout)
