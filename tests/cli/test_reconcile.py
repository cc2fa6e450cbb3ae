"""Reconciliation finds what was lost, done twice or left behind, by the counts alone."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from deploy.reconcile import compare, lines, settle

# Two complaints, a second contact and one set aside; each complaint decided and planned.
GOOD: dict[str, Any] = {
    "intake": {
        "emitted": 4, "erased": 0, "handled": {"records": 2}, "held": {}, "parked": {}, "dead_letters": 1, "stranded": 0,
        "submissions": {"a": {"complaint": 2, "contact": 1}, "b": {"set_aside": 1, "dead_letter": 1}},
    },
    "escalation": {"emitted": 2, "handled": {"records": 2, "intake": 4, "followup": 2}, "held": {}, "parked": {}, "dead_letters": 0},
    "followup": {"emitted": 2, "handled": {"records": 2, "intake": 4, "escalation": 2}, "held": {}, "parked": {}, "dead_letters": 0},
    "records": {
        "emitted": 2, "handled": {"intake": 4, "escalation": 2, "followup": 2}, "held": {}, "parked": {}, "dead_letters": 0,
        "ledger": {
            "size": 9, "leaves": 9, "checkpoints": 1,
            "rows": {
                "intake": {
                    "amends.complaint.received.v1": 2, "amends.complaint.contact_added.v1": 1, "amends.submission.set_aside.v1": 1,
                },
                "escalation": {"amends.escalation.decision_made.v1": 2},
                "followup": {"amends.followup.update_scheduled.v1": 2},
                "records": {"amends.records.case_read.v1": 1},
            },
        },
    },
}  # fmt: skip

Change = Callable[[Any], None]


def changed(change: Change) -> Any:
    counts = copy.deepcopy(GOOD)
    change(counts)
    return counts


def test_good_counts_add_up() -> None:
    balance = compare(GOOD)
    assert balance.differences == ()
    assert balance.submissions == {"complaint": 2, "contact": 1, "set_aside": 1, "dead_letter": 1}
    assert len(balance.flows) == 10
    assert lines(balance)[-1] == "it adds up"
    assert any("dead letters: 1 at intake" in line for line in lines(balance))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda c: c["escalation"]["handled"].update(intake=3), "intake -> escalation: 1 of 4 events have not arrived"),
        (lambda c: c["followup"]["handled"].update(escalation=3), "escalation -> followup: 1 events more than were emitted"),
        (lambda c: c["followup"]["handled"].pop("escalation"), "escalation -> followup: 2 of 2 events have not arrived"),
        (lambda c: c["escalation"].update(emitted=5), "escalation -> records: 3 of 5 events have not arrived"),
        (lambda c: c["intake"]["submissions"]["a"].update(pending=3), "intake: 3 submissions are not normalized yet"),
        (lambda c: c["intake"].update(stranded=2), "intake: 2 pending submissions are not in line to be normalized"),
        (lambda c: c["intake"]["submissions"]["a"].update(contact=2), "intake: 5 submissions became events, but 4 events were emitted"),
        (lambda c: c["records"]["ledger"].update(size=10), "ledger: its size is 10, but it has 9 rows"),
        (
            lambda c: c["records"]["ledger"]["rows"]["followup"].clear(),
            "ledger: 0 rows of followup, but records has handled 2 of its events",
        ),
        (
            lambda c: c["records"]["ledger"]["rows"]["intake"].update({"amends.complaint.received.v1": 3}),
            "ledger: 3 rows of amends.complaint.received.v1 for 2 submissions",
        ),
    ],
)
def test_every_difference_is_named(change: Change, difference: str) -> None:
    balance = compare(changed(change))
    assert difference in balance.differences
    assert f"does not add up: {difference}" in lines(balance)


def test_events_that_are_no_submission_are_no_difference() -> None:
    """Two complaints were merged, and a third event says that an erasure is done."""

    def more(counts: Any) -> None:
        counts["intake"]["emitted"] += 2
        for reader in ("records", "escalation", "followup"):
            counts[reader]["handled"]["intake"] += 2
        rows = counts["records"]["ledger"]["rows"]["intake"]
        rows |= {"amends.complaint.merged.v1": 1, "amends.intake.erasure_confirmed.v1": 1}
        counts["records"]["ledger"] |= {"size": 11, "leaves": 11}

    assert compare(changed(more)).differences == ()


def test_what_waits_for_a_person_is_not_missing() -> None:
    def park(counts: Any) -> None:  # one event of intake, and the one behind it waits
        counts["escalation"].update(handled={"records": 2, "intake": 2, "followup": 2}, parked={"intake": 1}, held={"intake": 1})

    assert compare(changed(park)).differences == ()


def test_it_waits_for_what_is_on_its_way() -> None:
    late = changed(lambda c: c["escalation"]["handled"].update(intake=3))
    asked: list[str] = []

    def ask(service: str) -> Any:
        asked.append(service)
        return (GOOD if len(asked) > 4 else late)[service]

    assert settle(ask, 10).differences == ()
    assert asked[:4] == ["records", "followup", "escalation", "intake"], "readers first"


def test_it_gives_up_in_time() -> None:
    late = changed(lambda c: c["escalation"]["handled"].update(intake=3))
    assert settle(lambda service: late[service], 0).differences
