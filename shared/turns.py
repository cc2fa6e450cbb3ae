"""Long work shares its event loop: every few milliseconds whoever waits for an answer has a turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
TURN_S = 0.002  # a request needs about ten turns of the loop until it is answered

# Called with the seconds that the turn took; returns when the work may go on.
GiveWay = Callable[[float], Awaitable[None]]


async def give_way(used_s: float) -> None:
    """Let everything that is ready run once."""
    await asyncio.sleep(0)


async def in_turns(items: Iterable[T], give_way: GiveWay = give_way) -> AsyncIterator[T]:
    """The items; between two of them others have their turn when TURN_S has gone by."""
    began = time.perf_counter()
    for item in items:
        yield item
        used = time.perf_counter() - began
        if used > TURN_S:
            await give_way(used)
            began = time.perf_counter()
