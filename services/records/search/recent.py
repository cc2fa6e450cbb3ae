"""What this process has just recorded, for the index: a payload that is at hand is not read from the ledger and opened again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from uuid import UUID

from shared.contracts.envelope import Event

MOST_BYTES = 8_000_000


class Recent:
    """Events of other services by id, from their save until the index takes them; the oldest go when there are too many.

    The ledger says which of them count: a save that failed leaves some here that are not in it, or not yet. An id stands for the
    same bytes always, for whoever sent it had committed it. That is not so of our own events: those are read from the ledger.
    """

    def __init__(self) -> None:
        self._events: OrderedDict[UUID, Event] = OrderedDict()
        self._bytes = 0

    def add(self, events: Iterable[Event]) -> None:
        """Remember them."""
        for event in events:
            if event.id not in self._events:
                self._events[event.id] = event
                self._bytes += len(event.data)
        while self._bytes > MOST_BYTES:
            self._bytes -= len(self._events.popitem(last=False)[1].data)

    def take(self, wanted: Iterable[UUID]) -> dict[UUID, Event]:
        """Those of `wanted` that are remembered; forgotten from now on."""
        found: dict[UUID, Event] = {}
        for event_id in wanted:
            event = self._events.pop(event_id, None)
            if event is not None:
                found[event_id] = event
                self._bytes -= len(event.data)
        return found
