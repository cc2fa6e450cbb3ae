"""Runs a module under a sampling profiler of the standard library alone: `python -m tests.bench.sampler FILE -m MODULE`.

Every millisecond of CPU time the stack of the main thread is counted; at the end FILE holds the counts as JSON. What a C
function takes counts for the Python line that called it. A sampler and not cProfile, which makes calls ten times dearer
and so shows where the calls are, not where the time is.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

EVERY_S = 0.001
DEEPEST = 60


class Sampler:
    """Counts stacks from `start` to `write`."""

    def __init__(self) -> None:
        self.stacks: Counter[tuple[tuple[str, str, int], ...]] = Counter()
        self.cpu = 0.0

    def start(self) -> None:
        self.cpu = time.process_time()
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        stack: list[tuple[str, str, int]] = []
        while frame is not None and len(stack) < DEEPEST:
            code = frame.f_code
            stack.append((code.co_filename, code.co_qualname, frame.f_lineno))
            frame = frame.f_back
        self.stacks[tuple(stack)] += 1

    def write(self, file: str) -> None:
        """Stop, and write [[stack, count]] with the innermost frame first."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        with open(file, "wb") as out:
            out.write(orjson.dumps({"cpu_s": time.process_time() - self.cpu, "stacks": list(self.stacks.items())}))


def wrapper(file: Path) -> tuple[str, ...]:
    """What to put before a module's name to run it under this profiler."""
    return ("-m", "tests.bench.sampler", str(file))


def top(profile: dict[str, Any], events: int, most: int = 25) -> str:
    """The dearest functions: own time (with the C code they call) and time with all they call, in us per event."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    lines: dict[str, Counter[int]] = {}
    total = 0
    loading = 0
    for stack, count in profile["stacks"]:
        total += count
        if any(function == "_find_and_load" for _, function, _ in stack):
            loading += count
            continue
        for depth, (file, function, line) in enumerate(stack):
            name = f"{_short(file)}:{function}"
            if depth == 0:
                own[name] += count
                lines.setdefault(name, Counter())[line] += count
        for name in {f"{_short(file)}:{function}" for file, function, _ in stack}:
            whole[name] += count
    us = profile["cpu_s"] / max(1, total) / max(1, events) * 1e6
    told = [
        f"{total} samples, {profile['cpu_s']:.2f} s of CPU, {events} events; importing took {loading / max(1, total):.1%}",
        "",
        " own us  share  where (dearest lines)",
    ]
    for name in [name for name, count in whole.items() if count > 0.97 * (total - loading)]:
        del whole[name]  # what is around everything says nothing
    for name, count in own.most_common(most):
        where = ", ".join(f"{line}: {n * us:.1f}" for line, n in lines[name].most_common(3))
        told.append(f"{count * us:7.2f} {count / total:6.1%}  {name}  ({where})")
    told += ["", "with all they call"]
    for name, count in whole.most_common(most * 2):
        told.append(f"{count * us:7.2f} {count / total:6.1%}  {name}")
    return "\n".join(told)


def _short(file: str) -> str:
    for mark in ("/site-packages/", "/lib/python3.11/"):
        if mark in file:
            return file.partition(mark)[2]
    for mark in ("/shared/", "/services/"):
        if mark in file:
            return mark[1:] + file.rpartition(mark)[2]
    return file.rpartition("/")[2]


def main() -> None:
    file, _, module = sys.argv[1:4]
    sampler = Sampler()
    leave = os._exit

    def exit_(code: int) -> None:
        sampler.write(file)
        leave(code)

    os._exit = exit_  # type: ignore[assignment]  # services end so: without clean-up
    sys.argv = [module]
    sampler.start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
