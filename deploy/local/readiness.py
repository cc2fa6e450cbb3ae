"""Waiting until a child answers, and running a coroutine from synchronous code."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from deploy.local.processes import Child, StartFailed

T = TypeVar("T")

# Below what systems hand out to outgoing connections (Linux from 32768, macOS from 49152): while a server is down, a
# client that keeps connecting to a port of that range sooner or later connects to itself and keeps the port taken.
PORTS = range(12_000, 32_000)


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in a loop of its own, whether or not the calling thread already runs a loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(*preferred: int) -> int:
    """A free port: one of `preferred` if one is free, else any of `PORTS`."""
    candidates = [*preferred, *random.sample(PORTS, 200)]
    for port in candidates:
        if is_free(port):
            return port
    raise OSError(f"no free port among {len(candidates)} tried on 127.0.0.1")


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1:`port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def await_ready(child: Child, ready: Callable[[], bool], timeout: float) -> None:
    """Ask `ready` until it says yes. Raises StartFailed when the child ends or `timeout` seconds pass first."""
    deadline = time.monotonic() + timeout
    while child.alive:
        if ready():
            return
        if time.monotonic() > deadline:
            reason = f"not ready after {timeout:.0f} s"
            break
        time.sleep(0.03)
    else:
        reason = f"it ended with exit code {child.returncode}"
    raise StartFailed(child.name, reason, child.log, child.last_lines())
