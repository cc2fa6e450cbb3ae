"""What a route to the outside is: it sends one letter, or says whether trying again can help."""

from __future__ import annotations

from typing import Protocol

from shared.postgres.messages import Letter


class Temporary(Exception):
    """Not now: try again. `endpoint` is True when the endpoint itself is to blame, not this one letter.

    `held`: only a person can mend it, such as a token that is refused: the letter is kept until then, however long.
    The text is shown to operators: it names the kind of failure, never addresses or contents.
    """

    def __init__(
        self, reason: str, *, after_s: float | None = None, endpoint: bool = True, held: bool = False
    ) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.endpoint = endpoint
        self.held = held


class Permanent(Exception):
    """Never: this letter will not be taken. The text is shown to operators."""


class Route(Protocol):
    """One way out."""

    async def send(self, letter: Letter) -> None:
        """Hand the letter over; returns when the other side has taken it. Raises Temporary or Permanent."""
        ...
