"""The folder where fetched programs are kept between starts, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """$AMENDS_CACHE_DIR, else the user's cache folder."""
    return Path(os.environ.get("AMENDS_CACHE_DIR") or platformdirs.user_cache_dir("amends"))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever has it. The lock ends with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
