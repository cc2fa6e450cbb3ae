"""Retention by records' policy: what is due and by which rule, what is on hold and why; erased by the command, and only that."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from deploy import cli
from services.records.privacy_commands import MATTERS
from services.records.retention import judge
from services.records.search.fold import Case, fold
from shared.contracts import ids
from shared.contracts.codec import write_data
from shared.contracts.complaints import ComplaintReceived, Customer
from shared.contracts.envelope import Event, EventData, Position
from shared.contracts.escalations import DecisionMade, RemedyAccepted, RemedyOption, StatusChanged
from shared.contracts.privacy import ErasureRequested, HoldLifted, HoldSet, Matter
from tests.domain.examples import contact
from tests.ledger.database import ID_KEY, POLICIES
from tests.records.bed import Bed, bed

__all__ = ["bed"]

CLOSED = datetime(2020, 3, 2, 9, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = POLICIES.in_force(NOW, NOW)


def received(**fields: Any) -> ComplaintReceived:
    return ComplaintReceived(contact=contact(text="It leaks.", **fields))


def status(name: Any, at: datetime = CLOSED, **why: Any) -> StatusChanged:
    return StatusChanged(status=name, previous="open", by="agent-7", occurred_at=at, **why)


def event(number: int, sequence: int, service: str, data: EventData, at: datetime = CLOSED) -> Event:
    subject = UUID(int=random.Random(number).getrandbits(128))
    return Event(
        ids.event_id(ID_KEY, service, subject, sequence), data.TYPE, service, subject, sequence, at, "", "", "", "", write_data(data),
        Position("", 0, 0),
    )  # fmt: skip


def case(*happened: tuple[str, EventData], at: datetime = CLOSED) -> Case:
    found = Case()
    for sequence, (service, data) in enumerate(happened, 1):
        found, _ = fold(found, event(1, sequence, service, data, at))
    return found


ORDINARY = case(("intake", received(category="delivery")), ("escalation", status("closed")))


@pytest.mark.parametrize(
    ("known", "rules", "afterwards", "years"),
    [
        (ORDINARY, [], "erase", 3),
        (replace(ORDINARY, tags=("legal",)), ["REC-030"], "review", 6),
        (replace(ORDINARY, regimes=("uk-fca-disp",)), ["REC-050"], "erase", 3),
        (replace(ORDINARY, child=True), ["REC-040"], "review", 18),
        (replace(ORDINARY, paid=True), ["REC-060"], "erase", 6),
        (case(("intake", received()), at=datetime(2024, 1, 1, tzinfo=UTC)), ["REC-080"], "review", 3),
    ],
)
def test_which_rule_says_how_long_and_what_then(known: Case, rules: list[str], afterwards: str, years: int) -> None:
    found = judge(POLICY, known, None, NOW)
    assert (found["rules"], found["afterwards"], found["hold"]) == (rules, afterwards, None)
    start = known.closed_at or known.last_event_at
    assert start is not None
    assert abs(found["due_at"] - start - timedelta(days=365.25 * years)) < timedelta(days=3)


def test_a_hold_wins_and_says_why() -> None:
    found = judge(POLICY, replace(ORDINARY, regimes=("uk-fca-disp",)), "order 4 O 112/26", NOW)
    assert (found["hold"], found["rules"]) == ("order 4 O 112/26", ["REC-010"])


def test_what_the_rules_ask_is_folded_from_the_events() -> None:
    decided = DecisionMade.model_validate_json(
        '{"tier": 2, "clocks": [], "policy": {"id": "e", "version": 1, "digest": "d", "rules": [], "inputs": {}}, "trigger": "x",'
        ' "as_of": "2020-03-02T09:00:00Z", "regimes": [{"id": "uk-fca-disp", "version": 1, "digest": "d", "rules": [], "inputs": {}}]}'
    )  # fmt: skip
    taken = RemedyAccepted(offer=1, option=RemedyOption(remedy="goodwill", amount={"amount": "5", "currency": "GBP"}), by="a", at=CLOSED)  # type: ignore[arg-type]
    customer = Customer(support_needs=("child",), country="GB")
    found = case(("intake", received(tags=("legal",), customer=customer)), ("escalation", decided), ("escalation", taken))
    assert (found.tags, found.regimes, found.country) == (("legal",), ("uk-fca-disp",), "GB")
    assert found.vulnerable
    assert found.child
    assert found.paid
    closed = fold(fold(found, event(1, 4, "escalation", status("resolved")))[0], event(1, 5, "escalation", status("closed")))[0]
    assert (closed.resolved_at, closed.closed_at) == (CLOSED, CLOSED)
    again = fold(closed, event(1, 6, "escalation", status("open")))[0]
    assert (again.resolved_at, again.closed_at) == (None, None)
    refunded = case(("intake", received()), ("escalation", status("resolved", remedy="Full refund")))
    assert refunded.paid


def test_what_the_customer_and_others_asked_is_folded_from_the_events() -> None:
    held = HoldSet(reason="order 4 O 112/26", by="legal", matter="court")
    known = case(("intake", received()), ("records", held), ("records", ErasureRequested(reason="DSR-114", by="privacy")))
    assert (known.matters, known.erasure_requested) == (("court",), True)
    assert judge(POLICY, known, "order 4 O 112/26", NOW)["rules"] == ["REC-010"]
    assert get_args(Matter) == MATTERS, "what the command offers"
    over = fold(known, event(1, 4, "records", HoldLifted(reason="judged", by="legal")))[0]
    assert over.matters == ()
    assert judge(POLICY, over, None, NOW)["afterwards"] != "erase", "not while it is open"
    closed = judge(POLICY, fold(over, event(1, 1, "escalation", status("closed")))[0], None, NOW)
    assert (closed["rules"], closed["afterwards"], closed["due_at"]) == (["REC-070"], "erase", CLOSED)


async def test_the_command_lists_by_rule_and_erases_only_what_a_rule_erases(bed: Bed, capsys: Any) -> None:
    def closed(number: int, at: datetime = CLOSED, **fields: Any) -> list[Event]:
        return [event(number, 1, "intake", received(**fields), at), event(number, 1, "escalation", status("closed", at), at)]

    young = datetime.now(UTC) - timedelta(days=30)
    ordinary, legal, held, late = closed(1), closed(2, tags=("legal",)), closed(3), closed(4, young)
    still_open = [event(5, 1, "intake", received())]
    await bed.record(*ordinary, *legal, *held, *late, *still_open)
    await bed.hold(held[0].subject, "order 4 O 112/26")

    told = await bed.retention(capsys, "--json")
    assert told["policy"]["id"] == "records.retail"
    assert [each["complaint_id"] for each in told["complaints"]] == [str(ordinary[0].subject)]
    assert {each["complaint_id"]: each["rules"] for each in told["review"]} == {
        str(legal[0].subject): ["REC-030"], str(still_open[0].subject): ["REC-080"],
    }  # fmt: skip
    assert [(each["complaint_id"], each["hold"]) for each in told["hold"]] == [(str(held[0].subject), "order 4 O 112/26")]
    assert (told["kept"], told["erased"]) == (1, 0)

    said = await bed.retention(capsys, "--apply")
    assert f"{ordinary[0].subject}  due 2023-03-03 by records.retail version 1, the default  erased" in said
    assert "on hold: order 4 O 112/26" in said
    assert said.endswith("1 erased, 2 for a person to look at, 1 on hold, 1 not due yet\n")
    erased = await bed.ledger.conn.fetch("select complaint_id from complaint_state where erased_at is not null")
    assert [row["complaint_id"] for row in erased] == [ordinary[0].subject]
    payload = await bed.ledger.conn.fetchval("select payload from ledger_payload where event_type = 'amends.complaint.erased.v1'")
    assert b'"regime":"records.retail/default"' in payload
    assert b"records.retail version 1, the default: 1096d after it was closed" in payload

    told = await bed.retention(capsys, "--json")
    assert (told["complaints"], told["kept"]) == ([], 1)


async def test_flags_instead_of_the_policy_and_what_was_reopened_is_left_alone(bed: Bed, capsys: Any) -> None:
    happened = [event(1, 1, "intake", received(tags=("legal",))), event(1, 1, "escalation", status("closed"))]
    await bed.record(*happened)
    told = await bed.retention(capsys, "--days", "30", "--json")
    assert [each["complaint_id"] for each in told["complaints"]] == [str(happened[0].subject)], "the policy's rules are not asked"
    assert await asyncio.to_thread(cli.run, ["records", "retention", "--regime", "x", "--url", bed.url, "--key", bed.key]) == 2

    client_url = f"/v1/complaints/{happened[0].subject}/erase"
    from shared.cli.client import Client

    await bed.record(event(1, 2, "escalation", status("open")))
    with pytest.raises(Exception, match="Not closed"):
        await asyncio.to_thread(
            Client("records", bed.url, bed.key).post, client_url, b'{"reason": "retention ended", "closed_only": true}', idempotency_key="k"
        )
    assert (await bed.retention(capsys, "--days", "30", "--json"))["complaints"] == []
