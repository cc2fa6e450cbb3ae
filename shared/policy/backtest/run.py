"""Runs a backtest over lines of recorded decisions: in blocks, on at most two processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import BinaryIO

from shared.policy.backtest.recorded import RecordRefused, reader
from shared.policy.backtest.tally import Counting, Tally
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy

BLOCK = 4 * 1024 * 1024
PROCESSES = 2
_ALONE_BELOW = 3 * BLOCK  # less is done sooner than another process is ready
_KEPT_FAULTS = 5

Progress = Callable[[int], None]


def blocks(file: BinaryIO, size: int = BLOCK) -> Iterator[bytes]:
    """The file in blocks of whole lines."""
    rest = b""
    while read := file.read(size):
        end = read.rfind(b"\n") + 1
        if end:
            yield rest + read[:end]
            rest = read[end:]
        else:
            rest += read
    if rest:
        yield rest


def run(new: Policy, old: Policy | None, given: Iterable[bytes], told: Progress) -> Tally:
    """Count all lines of `given` (blocks of whole lines, in the order of time).

    A small history is counted here; a larger one by two processes, which load the policies again.
    """
    total, first = Counting(new, old).tally, deque[bytes]()
    iterator = iter(given)
    for block in iterator:
        first.append(block)
        if sum(map(len, first)) >= _ALONE_BELOW:
            break
    else:
        counting = _Lines(new, old)
        for block in first:
            told(counting.add(block))
        return counting.tally

    def every() -> Iterator[bytes]:
        while first:
            yield first.popleft()
        yield from iterator

    context = multiprocessing.get_context("spawn")
    texts = (new.canonical, None if old is None else old.canonical)
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_begin, initargs=texts) as pool:
        waiting: deque[Future[tuple[int, Tally]]] = deque()
        for block in every():
            waiting.append(pool.submit(_count, block))
            if len(waiting) > 2 * PROCESSES:
                _take(waiting.popleft(), total, told)
        while waiting:
            _take(waiting.popleft(), total, told)
    return total


def _take(result: Future[tuple[int, Tally]], total: Tally, told: Progress) -> None:
    count, tally = result.result()
    total.merge(tally)
    told(count)


class _Lines:
    """Counts lines; those that cannot be read are counted, too, and the first of them named."""

    def __init__(self, new: Policy, old: Policy | None) -> None:
        self._counting, self._read = Counting(new, old), reader(new.schema)
        self.tally = self._counting.tally

    def add(self, block: bytes) -> int:
        """Count the lines of a block; returns how many."""
        lines = block.splitlines()
        for line in lines:
            if not line or line.isspace():
                continue
            try:
                self._counting.add(self._read(line))
            except (RecordRefused, ValueError, AttributeError) as error:
                self.tally.unreadable += 1
                if len(self.tally.faults) < _KEPT_FAULTS:
                    self.tally.faults.append(f"{error} ({repr(line[:60])[2:-1]}...)")
        return len(lines)


# --- in a process of its own

_policies: tuple[Policy, Policy | None] | None = None


def _begin(new: str, old: str | None) -> None:
    global _policies
    _policies = (load_policy(new, origin="new"), None if old is None else load_policy(old, origin="old"))


def _count(block: bytes) -> tuple[int, Tally]:
    assert _policies is not None
    lines = _Lines(*_policies)
    return lines.add(block), lines.tally


def from_file(path: Path) -> Iterator[bytes]:
    """The blocks of a JSONL file."""
    with path.open("rb") as file:
        yield from blocks(file)
