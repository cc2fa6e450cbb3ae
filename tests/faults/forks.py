"""Runs a service again and again, each time armed with the next failpoint, and at last unarmed.

`python -m tests.faults.forks REPORT POINT... services.X.app` appends a line "POINT CODE" to REPORT at each end. Each run
is a fork of a process that has loaded the modules, so that a start takes milliseconds instead of a second.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path


def main(report: Path, points: list[str], module: str) -> int:
    app = importlib.import_module(module)
    running = 0

    def stop(number: int, _: object) -> None:
        if running:
            os.kill(running, number)

    signal.signal(signal.SIGTERM, stop)
    for point in points:
        running = _fork(app, point)
        code = os.waitstatus_to_exitcode(os.waitpid(running, 0)[1])
        with report.open("a") as ends:
            ends.write(f"{point} {code}\n")
    running = _fork(app, "")
    return os.waitstatus_to_exitcode(os.waitpid(running, 0)[1])


def _fork(app: object, point: str) -> int:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ["AMENDS_FAILPOINTS"] = point
        app.main()  # type: ignore[attr-defined]
        os._exit(0)
    return pid


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:-1], sys.argv[-1]))
