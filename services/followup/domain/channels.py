"""By which channel the customer is reached, and which one is next when that fails."""

from __future__ import annotations

from collections.abc import Sequence

# What we can write or call by, in the order in which we fall back.
CHANNELS = ("email", "sms", "chat", "phone", "post")
# How a complaint came in -> how its customer is reached. What is not here cannot be answered by us.
ANSWERED_BY = {
    "email": "email",
    "web_form": "email",
    "portal": "email",
    "sms": "sms",
    "chat": "chat",
    "messaging": "chat",
    "social": "chat",
    "voice": "phone",
    "in_person": "phone",
    "postal": "post",
    "fax": "post",
}


def in_order(named: str, preference: str, came_by: str, reachable: Sequence[str] = ()) -> tuple[str, ...]:
    """The channels to try, best first; empty: none known.

    `named` is the policy's (`preferred`: the customer's preference, else the way they wrote); `reachable` are the ones
    for which there is an address, empty where that is not known.
    """
    first = named
    if named == "preferred":
        first = ANSWERED_BY.get(came_by, "") if preference == "any" else preference
    wanted = tuple(dict.fromkeys((*((first,) if first else ()), *(c for c in CHANNELS if c in reachable))))
    return tuple(channel for channel in wanted if channel in reachable) if reachable else wanted
