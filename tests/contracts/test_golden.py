"""The golden events: today's code writes them to the byte, and reads what earlier and later releases write."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest

from shared.contracts import ids
from shared.contracts.asyncapi import HEADERS
from shared.contracts.codec import decode, read_data, write_data
from shared.contracts.envelope import Event
from shared.contracts.json_schema import json_schemas
from shared.contracts.topics import DEAD_LETTERS, EVENTS
from tests.contracts import golden
from tests.contracts.golden import ID_KEY, Golden
from tests.contracts.test_codec import headers_of

SCHEMAS = json_schemas()
SUBMISSIONS = ("amends.submission.set_aside.v1", "amends.submission.rejected.v1")


def named(goldens: list[Golden]) -> Any:
    return pytest.mark.parametrize("golden", goldens, ids=[f"{g.name}.{g.kind}" for g in goldens])


def event_of(golden: Golden) -> Event:
    event = decode(golden.record, golden.topic)
    assert isinstance(event, Event), event
    return event


def test_every_event_type_has_at_least_two() -> None:
    today = Counter(g.type for g in golden.of_kind("today"))
    assert {name: today[name] for name in EVENTS if today[name] < 2} == {}


def test_no_golden_event_is_of_a_type_that_is_gone() -> None:
    assert {g.type for g in golden.every()} <= set(EVENTS)


@named(list(golden.every()))
def test_the_envelope_goes_round_to_the_byte(golden: Golden) -> None:
    event = event_of(golden)
    assert event.type == golden.type
    assert tuple(headers_of(event)) == golden.record.headers


@named(golden.of_kind("today"))
def test_the_data_go_round_to_the_byte(golden: Golden) -> None:
    event = event_of(golden)
    assert write_data(read_data(EVENTS[event.type], event.data)).decode() == (golden.record.value or b"").decode()


@named(golden.of_kind("older"))
def test_what_an_earlier_release_wrote_is_read_without_loss(golden: Golden) -> None:
    event = event_of(golden)
    written = json.loads(write_data(read_data(EVENTS[event.type], event.data)))
    assert lost(golden.data, written) == []


@named(golden.of_kind("newer"))
def test_what_a_later_release_writes_is_read(golden: Golden) -> None:
    event = event_of(golden)
    written = json.loads(write_data(read_data(EVENTS[event.type], event.data)))
    assert written["contact"]["text"] == golden.data["contact"]["text"]
    assert written["contact"]["channel"] == "unknown"


@named(golden.of_kind("today", "older"))
def test_the_data_fit_the_published_schema(golden: Golden) -> None:
    schema = json.loads(SCHEMAS[f"{golden.type}.json"])
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    assert [str(error) for error in validator.iter_errors(golden.data)] == []


@named(list(golden.every()))
def test_the_headers_fit_the_published_schema(golden: Golden) -> None:
    headers = {name: value.decode() for name, value in golden.record.headers}
    validator = jsonschema_rs.validator_for(HEADERS, validate_formats=True)
    assert [str(error) for error in validator.iter_errors(headers)] == []


@named([g for g in golden.every() if g.topic != DEAD_LETTERS])
def test_the_ids_and_the_key_are_derived_as_ever(golden: Golden) -> None:
    event = event_of(golden)
    assert event.id == ids.event_id(ID_KEY, event.service, event.subject, event.sequence)
    assert golden.record.key == event.subject.bytes
    source = (golden.data.get("contact") or golden.data).get("source")
    if source and golden.type in SUBMISSIONS:
        assert event.subject == ids.submission_id(ID_KEY, source["instance"], source["event_id"])
    elif source:
        assert event.subject == ids.complaint_id(ID_KEY, source["instance"], source["record_id"])


@named([g for g in golden.every() if g.topic == DEAD_LETTERS])
def test_the_id_of_a_dead_letter_notice_comes_from_its_reference(golden: Golden) -> None:
    event = event_of(golden)
    assert event.id == ids.keyed_id(ID_KEY, "dead-letter", golden.data["service"], golden.data["reference"])
    assert event.subject == UUID(golden.data.get("complaint_id", str(event.id)))


def lost(before: Any, after: Any, place: str = "") -> list[str]:
    """The places of `before` that `after` lacks or has otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [miss for name, value in before.items() for miss in lost(value, after.get(name), f"{place}.{name}")]
    return [] if before == after else [place]
