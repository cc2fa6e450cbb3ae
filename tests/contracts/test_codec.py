"""Reading Kafka records: never an exception, never content in a reason, and nothing lost of what cannot be read."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.contracts.codec import BadData, Headers, decode, encode_headers, read_data, write_data
from shared.contracts.complaints import ComplaintReceived, Contact, Money
from shared.contracts.envelope import MAX_SEQUENCE, SERVICES, Event, EventData, Undecodable
from shared.contracts.json_schema import json_schemas
from shared.contracts.topics import EVENTS
from tests.contracts import golden
from tests.contracts.golden import Record, compact
from tests.contracts.strategies import JSON, TIMES, events

SECRET = "zoe@example.org"
quick = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

VALID = golden.every()[0].record
NAMES = [name for name, _ in VALID.headers]
ODD_VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from([b"", b"\xff\xfe", b"0", b"-1", b"+1", b" 1", b"1_0", b"9" * 5_000, b"1e3", "٣".encode(), b"NaN", b"\x00"]),
    st.sampled_from([b"2026-02-30T00:00:00Z", b"2026-01-01", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-01:00"]),
    st.sampled_from([b"urn:uuid:5ea6333f4f0c972d1d4c32adce63a1e6", b"{5ea6333f-4f0c-972d-1d4c-32adce63a1e6}", b"5ea6", b"g" * 32]),
)  # fmt: skip
HEADER_NAMES = st.one_of(st.sampled_from(NAMES), st.text(max_size=10))


def with_header(name: str, value: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value if key == name else old) for key, old in VALID.headers)


def read(headers: Any, value: bytes | None = b"{}") -> Event | Undecodable:
    return decode(Record(headers, value, b"key"), "complaints")


def reason_of(headers: Any, value: bytes | None = b"{}") -> str:
    found = read(headers, value)
    assert isinstance(found, Undecodable)
    return found.reason


@quick
@given(st.lists(st.tuples(HEADER_NAMES, ODD_VALUES), max_size=15), st.one_of(st.none(), st.binary(max_size=50)))
def test_no_headers_and_no_bytes_make_it_raise(headers: list[tuple[str, Any]], value: bytes | None) -> None:
    assert isinstance(read(headers, value), Event | Undecodable)


@quick
@given(st.sampled_from(NAMES), ODD_VALUES, st.booleans())
def test_one_odd_header_is_either_read_or_kept_whole(name: str, value: Any, doubled: bool) -> None:
    headers = (*VALID.headers, (name, value)) if doubled else with_header(name, value)
    found = decode(Record(headers, VALID.value, b"key"), "complaints")
    if isinstance(found, Undecodable):
        assert (found.headers, found.value, found.key) == (headers, VALID.value, b"key")
        assert found.position == ("complaints", 4, 90_071)
    else:
        assert 1 <= found.sequence <= MAX_SEQUENCE
        assert found.time.utcoffset() is not None
        assert "\x00" not in found.type


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n.startswith("ce_") and n not in ("ce_causationid", "ce_correlationid")]
)
def test_a_missing_header_is_named(name: str) -> None:
    assert reason_of(tuple(h for h in VALID.headers if h[0] != name)) == f"header {name} is missing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", SECRET.encode()),
        ("ce_id", None),
        ("ce_type", b""),
        ("ce_type", b"amends\x00"),
        ("ce_type", b"\xff" + SECRET.encode()),
        ("ce_source", b"/amends/" + SECRET.encode()),
        ("ce_source", None),
        ("ce_time", b"2026-01-01T00:00:00"),
        ("ce_time", b"yesterday " + SECRET.encode()),
        ("ce_time", b"0001-01-01T00:00:00+14:00"),
        ("ce_subject", SECRET.encode()),
        ("ce_sequence", b"0"),
        ("ce_sequence", b"-3"),
        ("ce_sequence", b"1.0"),
        ("ce_sequence", b"%d" % (MAX_SEQUENCE + 1)),
        ("ce_sequence", b"9" * 5_000),
        ("ce_sequence", None),
        ("ce_causationid", None),
        ("tracestate", b"\xe9" + SECRET.encode()),
    ],
)
def test_a_header_that_cannot_be_trusted_makes_it_undecodable_without_quoting_it(name: str, value: Any) -> None:
    headers = with_header(name, value) if name in NAMES else (*VALID.headers, (name, value))
    reason = reason_of(headers)
    assert SECRET not in reason
    assert "9999" not in reason


def test_a_tombstone_is_undecodable() -> None:
    assert reason_of(VALID.headers, None) == "the value is null"


def test_a_null_header_of_somebody_else_does_no_harm() -> None:
    assert isinstance(read((*VALID.headers, ("x-mirror", None))), Event)


def test_an_unknown_event_type_is_an_event_all_the_same() -> None:
    found = read(with_header("ce_type", b"amends.complaint.sung.v7"), b"not even JSON")
    assert isinstance(found, Event)
    assert (found.type, found.data) == ("amends.complaint.sung.v7", b"not even JSON")


def test_a_time_of_another_zone_is_read_as_utc() -> None:
    found = read(with_header("ce_time", b"2026-01-01T01:30:00.5+02:00"))
    assert isinstance(found, Event)
    assert (found.time, found.time.tzinfo) == (datetime(2025, 12, 31, 23, 30, 0, 500_000, UTC), UTC)


WIDE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@quick
@given(
    st.uuids(), st.sampled_from([*EVENTS, "amends.new.v1"]), st.sampled_from(SERVICES), st.uuids(), st.integers(1, MAX_SEQUENCE),
    TIMES, WIDE, WIDE, WIDE, WIDE,
)  # fmt: skip
def test_an_envelope_comes_back_as_it_was_written(
    event_id: UUID,
    kind: str,
    service: str,
    subject: UUID,
    sequence: int,
    time: datetime,
    cause: str,
    correlation: str,
    parent: str,
    state: str,
) -> None:
    headers = encode_headers(
        event_id=event_id, event_type=kind, service=service, subject=subject, sequence=sequence, time=time,
        causation_id=cause, correlation_id=correlation, traceparent=parent, tracestate=state,
    )  # fmt: skip
    found = read(headers)
    assert isinstance(found, Event)
    assert (found.id, found.type, found.service, found.subject, found.sequence) == (
        event_id,
        kind,
        service,
        subject,
        sequence,
    )
    assert (found.time, found.causation_id, found.correlation_id) == (time, cause, correlation)
    assert (found.traceparent, found.tracestate) == (parent, state)
    assert headers_of(found) == headers


def headers_of(event: Event) -> Headers:
    """What today's code writes for this envelope."""
    return encode_headers(
        event_id=event.id, event_type=event.type, service=event.service, subject=event.subject, sequence=event.sequence,
        time=event.time, causation_id=event.causation_id, correlation_id=event.correlation_id,
        traceparent=event.traceparent, tracestate=event.tracestate,
    )  # fmt: skip


SCHEMAS = {
    name.removesuffix(".json"): jsonschema_rs.validator_for(json.loads(text)) for name, text in json_schemas().items()
}


@pytest.mark.parametrize("name", sorted(EVENTS))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_written_can_be_read_and_fits_the_published_schema(name: str, data: st.DataObject) -> None:
    event: EventData = data.draw(events(EVENTS[name]))
    written = write_data(event)
    assert read_data(EVENTS[name], written) == event
    problem = next(SCHEMAS[name].iter_errors(json.loads(written)), None)
    assert problem is None, problem


def contact(**changed: Any) -> dict[str, Any]:
    """The data of a golden complaint, changed."""
    data = next(g.data for g in golden.every() if g.name == f"{ComplaintReceived.TYPE}/nothing-optional")
    return {"contact": {**data["contact"], **changed}}


def test_unknown_fields_are_ignored_at_every_level() -> None:
    plain = read_data(ComplaintReceived, compact(contact()))
    more = contact(mood={"score": -1}, customer={"contact_preference": "any", "shoe_size": 44}) | {"later": [1]}
    assert read_data(ComplaintReceived, compact(more)) == plain


@pytest.mark.parametrize(
    ("field", "value", "read_as"),
    [("channel", "hologram", "unknown"), ("category", "sustainability", "other"), ("priority", "p0", "unknown")],
)
def test_a_value_added_to_an_open_enumeration_reads_as_its_fallback(field: str, value: str, read_as: str) -> None:
    assert getattr(read_data(ComplaintReceived, compact(contact(**{field: value}))).contact, field) == read_as


def test_several_new_values_at_once_are_read() -> None:
    found = read_data(ComplaintReceived, compact(contact(channel="x", category="y", author_kind="z"))).contact
    assert (found.channel, found.category, found.author_kind) == ("unknown", "other", "unknown")


@pytest.mark.parametrize(
    "changed",
    [
        {"text_status": "sung"},
        {"channel": 5},
        {"channel": "hologram", "severity": 6},
        {"customer": {"support_needs": ["unknown"]}},
    ],
)
def test_a_closed_enumeration_a_wrong_type_or_another_fault_stay_bad_data(changed: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        read_data(ComplaintReceived, compact(contact(**changed)))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"severity": SECRET}, "amends.complaint.received.v1: contact.severity: int_parsing"),
        ({"occurred_at": SECRET}, "contact.occurred_at: datetime"),
        ({"custom": {SECRET: None}}, "contact.custom.*"),
        ({"customer": {"support_needs": [SECRET]}}, "contact.customer.support_needs.0: literal_error"),
        ({"text_status": SECRET}, "contact.text_status: literal_error"),
    ],
)
def test_bad_data_names_the_place_and_the_kind_but_never_the_content(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(BadData) as caught:
        read_data(ComplaintReceived, compact(contact(**changed)))
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\xff", b"null", b"[]", b"{", b'"x"', b"[" * 100_000, b"\xef\xbb\xbf{}",
        b'{"contact":1' + b"0" * 5_000 + b"}", b'{"contact":"\\ud800"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", sorted(EVENTS))
def test_bytes_that_are_not_the_event_are_bad_data(name: str, value: bytes) -> None:
    with pytest.raises(BadData):
        read_data(EVENTS[name], value)


@quick
@given(st.sampled_from(sorted(EVENTS)), JSON)
def test_any_json_is_read_or_is_bad_data(name: str, document: Any) -> None:
    with contextlib.suppress(BadData):
        read_data(EVENTS[name], compact(document))


@quick
@given(st.dictionaries(st.sampled_from(sorted(Contact.model_fields)), JSON, max_size=6))
def test_any_json_in_any_field_of_a_contact_is_read_or_is_bad_data(changed: dict[str, Any]) -> None:
    try:
        found = read_data(ComplaintReceived, compact(contact(**changed)))
    except BadData:
        return
    assert read_data(ComplaintReceived, write_data(found)) == found


@pytest.mark.parametrize(
    ("given_amount", "written"), [("1e3", "1000"), ("1E-4", "0.0001"), ("34.90", "34.90"), ("-0.5", "-0.5")]
)
def test_an_amount_is_written_as_plain_digits(given_amount: str, written: str) -> None:
    assert json.loads(Money(amount=given_amount, currency="EUR").model_dump_json())["amount"] == written  # type: ignore[arg-type]


def test_absent_fields_are_left_out_but_a_null_input_of_a_decision_is_kept() -> None:
    degraded = next(g for g in golden.every() if g.name.endswith("/degraded"))
    event = read_data(EVENTS[degraded.type], degraded.record.value or b"")
    document = json.loads(write_data(event))
    assert "previous_tier" not in document
    assert document["policy"]["inputs"]["complaint.customer.history"] is None


@quick
@example("İ" * 64)  # as many letters as may be, twice as many in lower case
@given(st.text("İẞΣa ", max_size=70))
def test_a_tag_that_is_taken_can_be_read_again(tag: str) -> None:
    try:
        found = read_data(ComplaintReceived, compact(contact(tags=[tag])))
    except BadData:
        return
    assert read_data(ComplaintReceived, write_data(found)) == found


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_a_number_that_json_has_not_is_bad_data(number: bytes) -> None:
    value = compact(contact(custom={"order": "NUMBER"})).replace(b'"NUMBER"', number)
    with pytest.raises(BadData):
        read_data(ComplaintReceived, value)
