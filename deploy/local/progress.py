"""What the local stack tells while it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Step(NamedTuple):
    """One piece of news: which part, what it does, and how far it is (`total` 0: no measure)."""

    part: str
    text: str
    done: int = 0
    total: int = 0


Progress = Callable[[Step], None]
"""Called from several threads."""


def silent(_step: Step) -> None:
    """Tell nobody."""
