"""Child processes that never outlive the process that started them.

Three nets, because each has a hole: on Linux the kernel kills a child when its parent ends (`launch.py` asks for it); a
watchdog process does the same elsewhere and for frozen grandchildren; and a pid file lets the next start end what is
left where even the watchdog was killed. Each child has its own session, so that a terminal's Ctrl-C reaches only the
owner, who then stops its children in order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from deploy.local.watchdog import Watchdog, kill_tree

LOG_KEPT_BYTES = 10 * 1024 * 1024
PLAIN_VARIABLES = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR")

# The parent-death signal fires when the *thread* that started the child ends, so one thread starts them all and lives
# as long as this process. That also lets any thread (asyncio.to_thread) start and restart children.
_launcher = ThreadPoolExecutor(1, thread_name_prefix="launcher")
_living: set[subprocess.Popen[bytes]] = set()


class StartFailed(Exception):
    """A part of the local stack did not start: which part, why, and where its log is."""

    def __init__(self, part: str, reason: str, log: Path | None = None, last_lines: Sequence[str] = ()) -> None:
        self.part, self.reason, self.log, self.last_lines = part, reason, log, tuple(last_lines)
        text = f"{part} did not start: {reason}"
        if log is not None:
            text += f"\nLog: {log}"
        if last_lines:
            text += "\nIts last lines:\n" + "\n".join(f"  {line}" for line in last_lines)
        super().__init__(text)


class Interrupted(KeyboardInterrupt):
    """The first SIGINT, SIGTERM or SIGHUP, raised in the main thread (see `interrupts`)."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass(frozen=True)
class User:
    """Who a child runs as, where that is not the user of this process."""

    uid: int
    gid: int


_watchdog = Watchdog()


def plain_environment(**more: str) -> dict[str, str]:
    """The few variables that any program needs, and `more`: none of PG*, JAVA_*, KAFKA_* of the caller's shell."""
    return {name: os.environ[name] for name in PLAIN_VARIABLES if name in os.environ} | more


class Child:
    """One program as a child process, its output in `folder`/`name`.log. Every method may be called from any thread.

    A second `start` after an end (of whatever kind) starts it again with the same arguments.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """`argv[0]` is the full path of the program; `env` is the whole environment, or None to inherit ours."""
        self.name, self.argv, self.log = name, list(argv), folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"
        self._env, self._cwd, self._user, self._stop_signal = env, cwd, user, stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._created = 0.0
        self._log_start = 0
        self._frozen: list[psutil.Process] = []

    @property
    def alive(self) -> bool:
        """Whether it runs (or is frozen)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; it must have been started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it. A process that an earlier owner left behind (same folder and name) is killed first."""
        if self.alive:
            raise RuntimeError(f"{self.name} already runs")
        self._end_leftover()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._frozen = []
        _launcher.submit(self._spawn).result()

    def _spawn(self) -> None:
        user = [str(self._user.uid), str(self._user.gid)] if self._user else ["-", "-"]
        launch = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), str(os.getpid())]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            process = subprocess.Popen(
                [*launch, *user, "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=None if self._env is None else dict(self._env),
                cwd=self._cwd or "/",
            )
        _living.add(process)
        self._process = process
        try:
            self._created = psutil.Process(process.pid).create_time()
        except psutil.Error:  # ended already; whoever waits for it will see that
            return
        _watchdog.add(process.pid, self._created)
        self._pid_file.write_text(f"{process.pid} {self._created}\n")

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns the exit code. Raises subprocess.TimeoutExpired."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        code = self._process.wait(timeout)
        self._forget()
        return code

    def stop(self, timeout: float = 10.0) -> None:
        """End it in its own way (thawed first if frozen), by SIGKILL after `timeout` seconds or if interrupted."""
        if self._process is None:
            return
        try:
            self.thaw()
            self.signal(self._stop_signal)
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        except BaseException:
            self.kill()
            raise
        self._forget()

    def kill(self) -> None:
        """SIGKILL it and all its descendants, and wait until they are gone."""
        if self._process is None:
            return
        tree = _stopped_tree(self._process)
        for each in tree:
            with contextlib.suppress(psutil.Error):
                each.kill()
        self._process.wait()
        _await_end(tree)
        self._forget()

    def freeze(self) -> None:
        """SIGSTOP it and all its descendants: connections stay open and nobody answers."""
        if self._process is None or not self.alive:
            raise RuntimeError(f"{self.name} does not run")
        self._frozen = _stopped_tree(self._process)
        for each in self._frozen:
            with contextlib.suppress(psutil.Error):
                _watchdog.add(each.pid, each.create_time())
                each.suspend()

    def thaw(self) -> None:
        """SIGCONT what `freeze` has stopped."""
        for each in self._frozen:
            with contextlib.suppress(psutil.Error):
                each.resume()
                if each.pid != self.pid:
                    _watchdog.remove(each.pid, each.create_time())
        self._frozen = []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself (not to its descendants), if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def last_lines(self, count: int = 12) -> list[str]:
        """The last lines that it has written since its last start."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - 16_384))
            lines = log.read().decode(errors="replace").splitlines()
        return [line for line in lines if line.strip()][-count:]

    def _forget(self) -> None:
        if self._process is not None and self._process.poll() is not None and self._process in _living:
            _living.discard(self._process)
            _watchdog.remove(self._process.pid, self._created)
            self._pid_file.unlink(missing_ok=True)

    def _end_leftover(self) -> None:
        try:
            pid, created = self._pid_file.read_text().split()
            leftover = psutil.Process(int(pid))
            same = abs(leftover.create_time() - float(created)) < 2
        except (OSError, ValueError, psutil.Error):
            return
        if same:
            kill_tree(int(pid), float(created))
            _await_end([leftover])


def _stopped_tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process, stopped so that it starts no more children, and its descendants."""
    try:
        root = psutil.Process(process.pid)
        root.suspend()
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _await_end(killed: Sequence[psutil.Process]) -> None:
    """Wait until all are dead. Not until they are gone: init may take seconds to notice, or for ever in a container."""

    def runs(process: psutil.Process) -> bool:
        try:
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    deadline = time.monotonic() + 10
    while any(map(runs, killed)) and time.monotonic() < deadline:
        time.sleep(0.005)


def kill_all() -> None:
    """SIGKILL every child of this process and their descendants. Takes no lock: a signal handler calls it."""
    for process in list(_living):
        for each in _stopped_tree(process):
            with contextlib.suppress(psutil.Error):
                each.kill()


@contextlib.contextmanager
def interrupts() -> Iterator[None]:
    """In this block, the first SIGINT, SIGTERM or SIGHUP raises `Interrupted`; a second kills all children and exits.

    Main thread only. A signal that is ignored (nohup) stays ignored.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            kill_all()
            os._exit(128 + number)
        raise Interrupted(number)

    before = {
        number: signal.signal(number, handle)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
