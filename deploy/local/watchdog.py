"""Ends the children of a process that has died (see processes.py).

Run as a script; reads lines ``+PID CREATED`` and ``-PID CREATED`` from stdin, where CREATED is the process's start time
(a process id alone may have been given to somebody else since). At the end of stdin, which comes when the owner ends
for whatever reason, every process still listed is killed with all its descendants. Needed where the kernel has no
parent-death signal (macOS), and on Linux for grandchildren that were frozen by a test when the owner died.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import psutil


class Watchdog:
    """The owner's side: one watching process for all its children, started with the first."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def add(self, pid: int, created: float) -> None:
        """Have it killed when this process ends."""
        self._send(f"+{pid} {created}\n")

    def remove(self, pid: int, created: float) -> None:
        """Spare it again."""
        self._send(f"-{pid} {created}\n")

    def _send(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", __file__],  # -P: this folder has modules with common names
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                )
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # killed by somebody: the other nets hold
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def kill_tree(pid: int, created: float) -> None:
    """SIGKILL what is left of a process that started at `created` (epoch seconds), its descendants and its session.

    The session (each child leads its own) finds descendants whose parents are gone already.
    """
    tree = []
    try:
        root = psutil.Process(pid)
        if abs(root.create_time() - created) > 2:  # the number has been given to another process
            return
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        pass
    for each in [*tree, *psutil.process_iter()]:
        try:
            if each in tree or os.getsid(each.pid) == pid:
                each.kill()
        except (psutil.Error, OSError):
            continue


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: set[tuple[int, float]] = set()
    for line in sys.stdin:
        pid, created = line[1:].split()
        entry = (int(pid), float(created))
        if line[0] == "+":
            watched.add(entry)
        else:
            watched.discard(entry)
    for pid_, created_ in watched:
        kill_tree(pid_, created_)


if __name__ == "__main__":
    main()
