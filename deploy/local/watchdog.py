"""Ends the children of a process that has died (see processes.py).

Run as a script; reads lines ``+PID CREATED`` and ``-PID CREATED`` from stdin, where CREATED is the process's start time
(a process id alone may have been given to somebody else since). At the end of stdin, which comes when the owner ends
for whatever reason, every process still listed is killed with all its descendants. Needed where the kernel has no
parent-death signal (macOS), and on Linux for grandchildren that were frozen by a test when the owner died.
"""

import os
import signal
import sys

import psutil


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
