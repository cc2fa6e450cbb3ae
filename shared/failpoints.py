"""Named places where the fault tests stop, crash or delay a service. Does nothing unless armed.

The names are the steps of the failure table in `docs/delivery.md`; `POINTS` is the whole list, and the tests go through
it one by one. A process is armed by AMENDS_FAILPOINTS="name=exit@3,other=sleep:5" (the third time `name` is reached
the process ends with status 137 and without clean-up; `other` sleeps five seconds each time); a test arms its own process with `arm()`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable

POINTS = (
    "accept.before_commit",
    "accept.after_commit",
    "save.before_load",
    "save.before_write",
    "save.before_commit",
    "save.after_commit",
    "relay.before_send",
    "relay.mid_send",
    "relay.before_delete",
    "relay.after_delete",
    "sweep.after_claim",
    "consume.before_save",
    "consume.before_offset_commit",
    "consume.after_offset_commit",
    "timers.after_claim",
    "messages.after_claim",
    "messages.after_send",
)

Hook = Callable[[str], Awaitable[None]]
_hook: Hook | None = None


async def reach(name: str) -> None:
    """Say that the named place is reached."""
    if _hook is not None:
        await _hook(name)


def arm(hook: Hook | None) -> None:
    """Call `hook` at each place from now on; None disarms."""
    global _hook
    _hook = hook


def arm_from(text: str) -> None:
    """Arm this process from the text of AMENDS_FAILPOINTS; an unknown name or action is refused."""
    plan: dict[str, tuple[str, float, int]] = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition("=")
        action, _, turn = rest.partition("@")
        verb, _, seconds = action.partition(":")
        if name not in POINTS or verb not in ("exit", "sleep"):
            raise ValueError(f"AMENDS_FAILPOINTS: {part!r} is not NAME=exit[@TURN] or NAME=sleep:SECONDS of {POINTS}")
        plan[name] = (verb, float(seconds or 0), int(turn or 1))
    counts: dict[str, int] = dict.fromkeys(plan, 0)

    async def hook(name: str) -> None:
        if name not in plan:
            return
        verb, seconds, turn = plan[name]
        counts[name] += 1
        if counts[name] < turn:
            return
        if verb == "exit":
            os._exit(137)
        time.sleep(seconds)  # noqa: ASYNC251 - the point is to freeze the whole process

    if plan:
        arm(hook)
