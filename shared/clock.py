"""The wall clock, in one place, so that everything else takes `now` as an argument."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of this machine, in UTC. Decisions take the database's time instead (`app_now()`)."""
    return datetime.now(UTC)
