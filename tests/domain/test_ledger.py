"""The ledger's leaves: fixed bytes that anybody can recompute from reliability's layout, and that give nothing away."""

from __future__ import annotations

import hashlib
import hmac
import struct
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.records import ledger
from services.records.domain import RecordState, on_event
from shared.contracts.codec import write_data
from shared.contracts.codes import EVENT_CODES
from shared.contracts.envelope import Event, Position
from shared.contracts.escalations import StatusChanged
from shared.contracts.topics import EVENTS

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)


def event(type_: str = StatusChanged.TYPE, data: bytes = b"{}", time: datetime = AT) -> Event:
    return Event(
        UUID(int=1),
        type_,
        "escalation",
        UUID(int=2),
        1,
        time,
        "cause",
        "story",
        "",
        "",
        data,
        Position("escalations", 0, 0),
    )


def test_a_leaf_is_the_documented_bytes() -> None:
    leaf = ledger.leaf(event(), AT, UUID(int=3), b"\x09" * 32)
    fields = struct.unpack(">4s16s16sHqq16s32s", leaf)
    micros = 1_772_443_800_123_456
    assert fields == (b"CCR1", UUID(int=1).bytes, UUID(int=2).bytes, 8, micros, micros, UUID(int=3).bytes, b"\x09" * 32)
    assert ledger.leaf_hash(leaf) == hashlib.sha256(b"\x00" + leaf).digest()


def test_the_commitment_binds_envelope_and_data() -> None:
    salt = b"s" * 32
    whole = ledger.payload(event(data=b'{"status":"resolved"}'))
    assert ledger.commit(salt, whole) == hmac.new(salt, whole, "sha256").digest()
    assert ledger.commit(salt, ledger.payload(event(data=b'{"status":"closed"}'))) != ledger.commit(salt, whole)
    assert whole.endswith(b'\n{"status":"resolved"}'), "the data exactly as they came"


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone is given
def test_times_are_exact_to_the_microsecond(time: datetime) -> None:
    seconds, micros = divmod(ledger.micros(time), 1_000_000)
    assert datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros) == time


def test_every_event_type_that_records_reads_has_a_number_and_no_two_share_one() -> None:
    written = {type_ for type_ in EVENTS if not type_.startswith("amends.dead_letter.")}
    assert written == set(EVENT_CODES)
    assert len(set(EVENT_CODES.values())) == len(EVENT_CODES)


def test_unknown_types_and_data_that_do_not_fit_are_recorded_all_the_same() -> None:
    state = on_event(None, event("amends.future.thing.v9", b"\x00not json"), AT).state
    state = on_event(state, event(StatusChanged.TYPE, b'{"status": 5}'), AT).state
    changed = StatusChanged(status="resolved", previous="open", by="anna", occurred_at=AT)
    state = on_event(state, event(data=write_data(changed)), AT).state
    assert state == RecordState(events=3, status="resolved", first_event_at=AT, last_event_at=AT)
