"""Who decides about complaints reads less of them than was written, and decides the same."""

from __future__ import annotations

from typing import Any

import pytest

from services.escalation import domain as escalation
from services.followup import domain as followup
from shared.contracts.codec import decode, read_data
from shared.contracts.envelope import Event
from shared.contracts.heard import HEARD
from shared.contracts.topics import EVENTS
from tests.contracts import golden
from tests.domain.examples import policy

WRITTEN = [each for each in golden.every() if each.type in HEARD]


@pytest.mark.parametrize("given", WRITTEN, ids=lambda given: str(given.name))
@pytest.mark.parametrize("service", ["escalation", "followup"])
def test_what_is_left_out_decides_nothing(given: golden.Golden, service: str) -> None:
    event: Any = decode(given.record, given.topic)
    assert isinstance(event, Event)
    whole, heard = read_data(EVENTS[event.type], event.data), read_data(HEARD[event.type], event.data)
    assert whole != heard
    own: Any = policy(service)
    if service == "escalation":
        book = escalation.Book(own)
        assert escalation.on_event(None, whole, event.time, book) == escalation.on_event(None, heard, event.time, book)
    else:
        assert followup.on_event(None, whole, event.time, own) == followup.on_event(None, heard, event.time, own)
