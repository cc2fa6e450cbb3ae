"""The wall clock, in one place, so that everything else takes `now` as an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

_simulated: Path | None = None


def utc_now() -> datetime:
    """The time of this machine, in UTC. Decisions take the database's time instead (`app_now()`)."""
    now = datetime.now(UTC)
    return now if _simulated is None else now + _shift(_simulated)


def simulate(file: Path) -> None:
    """From now on the time is ahead by the seconds that `file` holds: for a local stack with `--simulated` only."""
    global _simulated
    _simulated = file


def _shift(file: Path) -> timedelta:
    try:
        return timedelta(seconds=float(file.read_text()))
    except (OSError, ValueError):
        return timedelta()
