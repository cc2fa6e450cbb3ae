"""A program that owns children, for tests that end it in every way: `owner.py FOLDER plain|stubborn|stack`.

Prints a line of JSON with the process ids of its children when they run. `start_owner` runs it.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from deploy.local.processes import Child, Interrupted, interrupts

# Has a child of its own, tells when it is stopped, and when stubborn does not stop.
PROGRAM = """
import signal, subprocess, sys, time
def stop(*_):
    print("asked to stop", flush=True)
    if "stubborn" not in sys.argv:
        child.kill()
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
child = subprocess.Popen(["sleep", "600"])
print("up", flush=True)
while True:
    time.sleep(0.1)
"""


def start_owner(folder: Path, kind: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """This program as a process, and what it has announced."""
    owner = subprocess.Popen(
        [sys.executable, "-m", "tests.local.owner", str(folder), kind], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, json.loads(owner.stdout.readline() or "{}")


def main(folder: Path, kind: str) -> int:
    with interrupts():
        try:
            if kind == "stack":
                from deploy.local.stack import LocalStack  # slow to load, and the other kinds do without

                with LocalStack(folder) as stack:
                    announce(**stack.addresses.__dict__)
                    signal.pause()
            child = Child("program", [sys.executable, "-c", PROGRAM, kind], folder=folder)
            child.start()
            try:
                while "up" not in child.last_lines():
                    pass
                announce()
                signal.pause()
            finally:
                child.stop(60)
        except Interrupted as interrupted:
            return interrupted.exit_code
    return 0


def announce(**more: str) -> None:
    pids = [process.pid for process in psutil.Process().children(recursive=True)]
    print(json.dumps({"pids": pids, **more}), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
