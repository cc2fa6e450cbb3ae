"""The benchmark's own events are made by the services' code: whoever changes that finds out here, not at the next run."""

from __future__ import annotations

from tests.bench.events import Maker, read_back
from tests.bench.samples import Samples


def test_complaints_go_through_all_four_services_and_nothing_is_parked() -> None:
    made = Maker(bytes(range(32))).make(Samples("test"), 0, 20)
    received, decided, planned = (read_back(each) for each in (made.complaints, made.escalations, made.followups))
    assert {event.subject for event in received} == {event.subject for event in decided} == {event.subject for event in planned}
    assert {event.type for events in (received, decided, planned) for event in events} >= {
        "amends.complaint.received.v1", "amends.escalation.decision_made.v1", "amends.followup.update_scheduled.v1",
    }  # fmt: skip
    assert [len(rows) for rows in made.rows.values()] == [20, 20, 20, 20]
