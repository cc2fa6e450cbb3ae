"""What intake reads: canonical JSON, NDJSON and CloudEvents; and what each submission becomes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.adapters import ADAPTERS
from services.intake.domain import OUTCOMES, decide
from services.intake.submissions import (
    ContactSubmission,
    Delivery,
    Item,
    Rejection,
    ReplySubmission,
    SetAside,
    StatusSubmission,
    Unreadable,
)
from shared.contracts.complaints import ComplaintReceived, ContactAdded
from shared.text.characters import clean
from tests.domain.examples import START

ITEM: dict[str, Any] = {
    "event_id": "m-1",
    "record_id": "T-1",
    "text": "Der Wasserkocher ist undicht.",
    "customer": {"phones": ["030 123"]},
}


def read(body: Any, content_type: str = "application/json", adapter: str = "canonical", **headers: str) -> list[Item]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    delivery = Delivery(
        UUID(int=1), "shop-eu", START, content_type, {name.replace("_", "-"): v for name, v in headers.items()}, data
    )
    return list(ADAPTERS[adapter].read(delivery))


def test_a_contact_keeps_the_customers_words_and_says_what_was_assumed() -> None:
    (item,) = read(ITEM | {"priority": "urgent"})
    assert isinstance(item, ContactSubmission)
    assert item.contact.text == "Der Wasserkocher ist undicht."
    assert item.contact.source.instance == "shop-eu", "the source is the key's name, whatever the sender says"
    assert (item.contact.occurred_at, item.contact.occurred_at_quality) == (START, "receipt_time")
    assert (item.contact.severity, item.contact.priority_source) == (4, "urgent")
    assert item.contact.customer.phones[0].raw == "030 123"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"kind": "reply"}, ReplySubmission),
        ({"author_kind": "agent"}, ReplySubmission),
        ({"author_kind": "bot"}, SetAside),
        ({"author_kind": "system"}, SetAside),
        ({"author_kind": "representative"}, ContactSubmission),
    ],
)
def test_who_wrote_decides_what_it_is(change: dict[str, str], kind: type) -> None:
    assert isinstance(read(ITEM | change)[0], kind)


def test_a_status_needs_no_text() -> None:
    (item,) = read({"kind": "status", "event_id": "s-1", "record_id": "T-1", "status": "resolved", "by": "agent-7"})
    assert isinstance(item, StatusSubmission)
    assert (item.status, item.by) == ("resolved", "agent-7")


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"event_id": None}, "event_id", "must be text"),
        ({"event_id": ""}, "event_id", "must have at least 1"),
        ({"event_id": "a\nb"}, "event_id", "no control characters"),
        ({"record_id": "x" * 256}, "record_id", "at most 255"),
        ({"txt": "typo"}, "txt", "custom"),
        ({"customer": {"emial": "x"}}, "customer.emial", "custom"),
        ({"occurred_at": "2026-03-02T09:30:00"}, "occurred_at", "must have a zone"),
        ({"occurred_at": "pigeon"}, "occurred_at", "must be a time such as"),
        ({"channel": "pigeon"}, "channel", "must be 'email'"),
        ({"severity": 6}, "severity", "less than or equal to 5"),
        ({"text": "x" * 100_001}, "text", "at most 100000"),
        ({"money_claimed": {"amount": "12.50", "currency": "pounds"}}, "money_claimed.currency", "as in EUR"),
    ],
)
def test_a_wrong_field_is_named_and_its_content_is_not_repeated(change: dict[str, Any], field: str, word: str) -> None:
    (item,) = read(ITEM | change)
    assert isinstance(item, Rejection)
    assert item.field == field
    assert word in item.reason
    assert "pigeon" not in item.reason


def test_one_bad_item_does_not_spoil_the_list() -> None:
    items = read([ITEM, {"event_id": "m-2"}, "no object", ITEM | {"event_id": "m-3"}])
    assert [type(item) for item in items] == [ContactSubmission, Rejection, Rejection, ContactSubmission]


def test_ndjson_is_a_list_with_a_line_each() -> None:
    body = orjson.dumps(ITEM) + b"\n\n" + orjson.dumps(ITEM | {"event_id": "m-2"}) + b"\n"
    assert len(read(body, "application/x-ndjson")) == 2
    with pytest.raises(Unreadable, match=r"^line 3: .*\(column \d+\)"):
        read(orjson.dumps(ITEM) + b"\n\n{oops\n", "application/x-ndjson")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "not JSON"),
        (b'{"text": "\xff"}', 400, "not UTF-8"),
        ('{"text": "é"}'.encode("utf-16"), 400, "not UTF-8"),
        (b"[" * 5000, 400, "not JSON"),
        (orjson.dumps([{}] * 1001), 413, "1001"),
    ],
)
def test_a_body_that_cannot_be_read_says_where(body: bytes, status: int, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as caught:
        read(body)
    assert caught.value.status == status


def test_the_same_item_in_another_order_and_spacing_is_the_same_content() -> None:
    (one,) = read(b'{"event_id": "m-1", "record_id": "T-1", "text": "x"}')
    (two,) = read(b'{"text":"x","record_id":"T-1","event_id":"m-1"}')
    (other,) = read(b'{"text":"y","record_id":"T-1","event_id":"m-1"}')
    assert isinstance(one, ContactSubmission)
    assert isinstance(two, ContactSubmission)
    assert isinstance(other, ContactSubmission)
    assert one.identity == two.identity
    assert one.identity.sha256 != other.identity.sha256


EVENT = {
    "specversion": "1.0",
    "id": "9",
    "source": "/crm",
    "type": "com.example.complaint",
    "time": "2026-03-01T10:00:00Z",
    "subject": "T-9",
}


def test_cloudevents_in_all_three_modes_give_the_same_submission() -> None:
    data = {"text": "It leaks."}
    (structured,) = read({**EVENT, "data": data}, "application/cloudevents+json", "cloudevents")
    (batched,) = read([{**EVENT, "data": data}], "application/cloudevents-batch+json", "cloudevents")
    binary_headers = {f"ce_{name}": value for name, value in EVENT.items()}
    (binary,) = read(data, "application/json", "cloudevents", **binary_headers)
    assert isinstance(structured, ContactSubmission)
    assert structured.identity == batched.identity == binary.identity  # type: ignore[union-attr]
    assert structured.identity.event_id == "/crm#9"
    assert structured.contact.source.record_id == "T-9"
    assert structured.contact.occurred_at.isoformat() == "2026-03-01T10:00:00+00:00"


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion", "data"])
def test_a_cloudevent_without_a_required_attribute_is_rejected_not_given_a_random_one(missing: str) -> None:
    event = {**EVENT, "data": {"text": "x"}}
    del event[missing]
    (item,) = read(event, "application/cloudevents+json", "cloudevents")
    assert isinstance(item, Rejection)
    assert item.field == missing


def test_plain_json_without_ce_headers_is_no_cloudevent() -> None:
    with pytest.raises(Unreadable) as caught:
        read(ITEM, "application/json", "cloudevents")
    assert caught.value.status == 415


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-ndjson"]))
def test_reading_never_fails_otherwise(body: bytes, content_type: str) -> None:
    try:
        items = read(body, content_type)
    except Unreadable:
        return
    assert all(isinstance(item, Rejection) for item in items)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ITEM, "tags", "kind", "customer", "custom"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_gives_submissions_or_rejections(value: Any) -> None:
    for item in read(value):
        assert isinstance(item, Rejection | ContactSubmission | ReplySubmission | StatusSubmission | SetAside)


def test_text_that_grows_by_normalizing_is_cut_and_says_so() -> None:
    (item,) = read(ITEM | {"text": "\u0958" * 60_000, "subject": "\u0958" * 600})
    assert isinstance(item, ContactSubmission)
    assert (len(item.contact.text), item.contact.text_status) == (100_000, "truncated")
    assert len(item.contact.subject or "") == 998


@given(st.text())
def test_cleaning_keeps_every_printable_character(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert "\x00" not in cleaned
    if text.isascii() and text.isprintable():
        assert cleaned == text


def test_the_first_contact_is_the_complaint_and_later_ones_belong_to_it() -> None:
    (item,) = read(ITEM)
    assert not isinstance(item, Rejection)
    delivery = Delivery(UUID(int=1), "shop-eu", START, "application/json", {}, b"")
    first = decide(None, item, delivery, 0, START)
    second = decide(first.state, item, delivery, 0, START)
    assert isinstance(first.events[0], ComplaintReceived)
    assert isinstance(second.events[0], ContactAdded)
    assert (second.state.received, second.state.contacts) == (True, 2)


def test_every_submission_has_one_outcome() -> None:
    delivery = Delivery(UUID(int=1), "shop-eu", START, "application/json", {}, b"")
    variants = [
        ITEM,
        ITEM | {"kind": "reply"},
        ITEM | {"author_kind": "bot"},
        {"kind": "status", "event_id": "s", "record_id": "T", "status": "open"},
    ]
    found = []
    for variant in variants:
        (item,) = read(variant)
        assert not isinstance(item, Rejection)
        (event,) = decide(None, item, delivery, 0, START).events
        found.append(OUTCOMES[event.TYPE])
    assert found == ["complaint", "reply", "set_aside", "status"]
