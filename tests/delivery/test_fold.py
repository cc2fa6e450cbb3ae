"""The pure fold: which inputs are handled, in which order, and what follows from them."""

from __future__ import annotations

import copy
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import ids
from shared.contracts.codec import BadData, decode
from shared.contracts.decision import Decision, Due, Refused, Timer
from shared.contracts.envelope import Event, Position, Undecodable
from shared.errors import Conflict
from shared.postgres import fold, outbox
from shared.postgres.dead_letters import refuse
from shared.postgres.fold import Fold, dead_letter, envelope, from_event, from_undecodable
from shared.postgres.inputs import Input, Outgoing, Row, Work
from shared.postgres.saves import revive
from tests.delivery.parts import ID_KEY, Note, Noted, Record, subject_number

NOW = datetime(2031, 5, 5, 9, tzinfo=UTC)
WRITERS = ("intake", "escalation", "followup")
Slot = tuple[UUID, str, int]
# A test that shares two cores with a broker may stall for longer than any deadline of an example.
unhurried = settings(deadline=None)


def event(slot: Slot) -> Input:
    subject, service, sequence = slot
    return from_event(
        Event(
            ids.event_id(ID_KEY, service, subject, sequence), Noted.TYPE, service, subject, sequence, NOW, "cause", "chain",
            "", "", b"{}", Position("complaints", 0, sequence),
        )
    )  # fmt: skip


def other(kind: Any, body: Any) -> Input:
    return Input(kind, subject_number(0), body, f"{kind}/{body}", None, "cause", "chain")


class Memory:
    """The tables as dictionaries, and a domain that remembers what it handled and answers some of it."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Row[Any]] = {}
        self.held: dict[Slot, Event] = {}
        self.poison: set[Slot] = set()
        self.parked: list[Slot] = []
        self.sent: list[Outgoing] = []
        self.handled: dict[tuple[UUID, str], list[int]] = defaultdict(list)

    def decide(self, state: Any, item: Input, now: datetime) -> Decision[Any]:
        assert item.event is not None
        slot = (item.subject, item.event.service, item.event.sequence)
        if slot in self.poison:
            raise ValueError("customer@example.org")
        log = (*(state or ()), slot)
        return Decision(log, tuple(Noted(token=f"{len(log)}.{n}") for n in range(len(log) % 3)))

    def work(self, slots: list[Slot]) -> Work[Any]:
        loaded = {subject: copy.deepcopy(row) for subject, row in self.rows.items()}
        work: Work[Any] = Work(now=NOW)
        return Fold("records", ID_KEY, self.decide, work, dict(self.held)).run(loaded, [event(slot) for slot in slots])

    def save(self, slots: list[Slot]) -> None:
        work = self.work(slots)
        for subject, row in work.rows.items():
            self.rows[subject] = Row(row.revision + 1, row.sequence, row.seen, row.state)
        self.held |= work.hold
        for slot in work.release:
            del self.held[slot]
        self.parked += [(d.subject, d.service, d.sequence) for d in work.dead]  # type: ignore[misc]
        self.sent += [outgoing for outgoing in work.outgoing if outgoing.topic != "dead-letters"]
        for item, _ in work.handled:
            assert item.event is not None
            self.handled[item.subject, item.event.service].append(item.event.sequence)

    def replay(self) -> None:
        parked, self.parked, self.poison = self.parked, [], set()
        for slot in parked:
            self.save([slot])


slots = st.tuples(
    st.integers(0, 2).map(subject_number), st.sampled_from(WRITERS), st.integers(1, 6)
)  # fmt: skip
batches = st.lists(st.lists(slots, max_size=12), max_size=12)


def prefix(delivered: set[Slot], stream: tuple[UUID, str], poison: frozenset[Slot] | set[Slot] = frozenset()) -> int:
    """The last sequence up to which everything of the stream was delivered and can be handled."""
    last = 0
    while (*stream, last + 1) in delivered and (*stream, last + 1) not in poison:
        last += 1
    return last


def streams(delivered: set[Slot]) -> set[tuple[UUID, str]]:
    return {(subject, service) for subject, service, _ in delivered}


@unhurried
@given(batches)
def test_each_event_once_and_in_order_whatever_the_delivery(deliveries: list[list[Slot]]) -> None:
    memory = Memory()
    for batch in deliveries:
        memory.save(batch)
    delivered = {slot for batch in deliveries for slot in batch}
    for stream in streams(delivered):
        last = prefix(delivered, stream)
        assert memory.handled[stream] == list(range(1, last + 1))
        assert memory.rows[stream[0]].seen.get(stream[1], 0) == last
    waiting = {slot for slot in delivered if slot[2] > prefix(delivered, slot[:2]) + 1}
    assert set(memory.held) == waiting
    assert not memory.parked


@unhurried
@given(batches, st.sets(slots, max_size=6))
def test_poison_parks_and_what_is_behind_waits_until_it_is_replayed(deliveries: list[list[Slot]], poison: set[Slot]) -> None:
    memory = Memory()
    memory.poison = set(poison)
    for batch in deliveries:
        memory.save(batch)
    delivered = {slot for batch in deliveries for slot in batch}
    for stream in streams(delivered):
        last = prefix(delivered, stream, poison)
        assert memory.handled[stream] == list(range(1, last + 1))
        parked = {slot for slot in memory.parked if slot[:2] == stream}
        assert parked == ({(*stream, last + 1)} & delivered & poison)
        assert {s[2] for s in memory.held if s[:2] == stream} == {s[2] for s in delivered if s[:2] == stream and s[2] > last + 1}
    memory.replay()
    for stream in streams(delivered):
        assert memory.handled[stream] == list(range(1, prefix(delivered, stream) + 1))
    assert not memory.parked


@unhurried
@given(batches)
def test_numbers_without_gaps_and_ids_that_survive_a_retry(deliveries: list[list[Slot]]) -> None:
    memory = Memory()
    for batch in deliveries:
        # A retry decides again from the same rows: its events have the same ids and contents.
        first, second = memory.work(batch), memory.work(batch)
        assert [identity(outgoing) for outgoing in first.outgoing] == [identity(outgoing) for outgoing in second.outgoing]
        memory.save(batch)
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for outgoing in memory.sent:
        numbers[outgoing.key].append(int(dict(outgoing.headers)["ce_sequence"]))
    for key, sequences in numbers.items():
        assert sequences == list(range(1, len(sequences) + 1))
        assert memory.rows[UUID(bytes=key)].sequence == len(sequences)
    assert len({dict(outgoing.headers)["ce_id"] for outgoing in memory.sent}) == len(memory.sent)


@unhurried
@given(st.lists(slots, max_size=30), st.integers(1, 7))
def test_how_a_delivery_is_cut_into_batches_does_not_matter(delivered: list[Slot], size: int) -> None:
    whole, cut = Memory(), Memory()
    whole.save(delivered)
    for start in range(0, len(delivered), size):
        cut.save(delivered[start : start + size])
    assert {s: (row.state, row.seen, row.sequence) for s, row in whole.rows.items()} == {
        s: (row.state, row.seen, row.sequence) for s, row in cut.rows.items()
    }
    assert set(whole.held) == set(cut.held)
    assert [identity(outgoing) for outgoing in whole.sent] == [identity(outgoing) for outgoing in cut.sent]


def identity(outgoing: Outgoing) -> tuple[str, bytes, bytes, bytes]:
    headers = dict(outgoing.headers)
    return outgoing.topic, headers["ce_id"], headers["ce_sequence"], outgoing.value


words = st.text(max_size=20)


@unhurried
@given(st.lists(words, max_size=5), words, words)
def test_an_emitted_event_is_read_back_whole_from_the_outbox_and_kafka(tokens: list[str], causation: str, chain: str) -> None:
    subject = subject_number(1)
    work: Work[Any] = Work(now=NOW)
    decision = Decision(("state",), tuple(Noted(token=token) for token in tokens))
    item = Input("command", subject, Note(token=""), "command/1", None, causation, chain)
    Fold("escalation", ID_KEY, lambda *_: decision, work, {}).run({}, [item])
    assert outbox.unpack(outbox.pack(work.outgoing)) == work.outgoing
    for number, (outgoing, token) in enumerate(zip(work.outgoing, tokens, strict=True), 1):
        read = decode(Record("escalations", 3, 9, outgoing.key, outgoing.value, outgoing.headers), "escalations")
        assert isinstance(read, Event)
        assert (read.service, read.subject, read.sequence, read.type) == ("escalation", subject, number, Noted.TYPE)
        assert (read.causation_id, read.correlation_id, read.time) == (causation, chain, NOW)
        assert read.id == ids.event_id(ID_KEY, "escalation", subject, number)
        assert Noted.model_validate_json(read.data).token == token
        assert revive(envelope(read), read.data) == read


def one(decide: Any, *items: Input, loaded: dict[UUID, Row[Any]] | None = None) -> Work[Any]:
    return Fold("escalation", ID_KEY, decide, Work(now=NOW), {}).run(loaded or {}, list(items))


def test_what_is_held_or_parked_saves_the_row_that_it_rests_on() -> None:
    """Otherwise nobody notices that the predecessor was handled by somebody else meanwhile."""
    subject = subject_number(0)
    assert subject in one(Memory().decide, event((subject, "intake", 2))).rows
    poisoned = Memory()
    poisoned.poison = {(subject, "intake", 1)}
    assert subject in one(poisoned.decide, event((subject, "intake", 1))).rows
    assert subject in one(refuse("broken"), other("timer", Due("check-in", NOW))).rows
    seen = {subject: Row(1, 0, {"intake": 1}, ())}
    assert one(Memory().decide, event((subject, "intake", 1)), loaded=seen).empty, "a duplicate writes nothing"


def test_poison_that_comes_twice_is_parked_once() -> None:
    slot = (subject_number(0), "intake", 1)
    memory = Memory()
    memory.poison = {slot}
    work = one(memory.decide, event(slot), event(slot))
    assert len(work.dead) == 1
    assert [outgoing.topic for outgoing in work.outgoing] == ["dead-letters"]
    assert b"example.org" not in work.outgoing[0].value
    assert work.dead[0].reason == "handling failed: ValueError"


def test_an_event_that_kafka_would_not_take_is_never_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MAX_EVENT_BYTES", 1000)
    work = one(lambda *_: Decision(("s",), (Noted(token="x" * 1000),)), event((subject_number(0), "intake", 1)))
    assert "the limit is 1000" in work.dead[0].reason
    assert not work.handled
    assert work.rows[subject_number(0)].state is None


def test_only_a_command_may_be_refused() -> None:
    def decide(*_: Any) -> Refused:
        return Refused(409, "Already closed", "The complaint is closed.")

    assert one(decide, other("command", Note(token="a"))).refused
    assert one(decide, event((subject_number(0), "intake", 1))).dead[0].reason == "refused: Already closed"


@pytest.mark.parametrize("error", [Conflict("taken"), TimeoutError()])
def test_what_may_pass_is_not_parked(error: Exception) -> None:
    def decide(*_: Any) -> Any:
        raise error

    with pytest.raises(type(error)):
        one(decide, event((subject_number(0), "intake", 1)))


@pytest.mark.parametrize("error", [BadData("x: missing"), ValueError("x")])
def test_the_caller_of_a_failing_command_is_told(error: Exception) -> None:
    def decide(*_: Any) -> Any:
        raise error

    with pytest.raises(type(error)):
        one(decide, other("command", Note(token="a")))


@pytest.mark.parametrize("moved", [True, False])
def test_a_due_timer_that_its_neighbour_moved_or_cancelled_does_not_fire(moved: bool) -> None:
    fired = []

    def decide(state: Any, item: Input, now: datetime) -> Decision[Any]:
        fired.append(item.body.name)
        later = (Timer("second", NOW + timedelta(days=1)),)
        return Decision("s", timers=later if moved else (), cancel=() if moved else ("second",))

    work = one(decide, other("timer", Due("first", NOW)), other("timer", Due("second", NOW)))
    assert fired == ["first"]
    assert list(work.timers) == [(subject_number(0), "second")]


def test_a_record_that_is_no_event_is_parked_with_its_bytes_and_holds_nobody_up() -> None:
    record = Undecodable("header ce_id is missing", Position("complaints", 2, 7), b"k", (("h", None), ("g", b"\xff")), None)
    work = one(Memory().decide, from_undecodable(record), event((subject_number(0), "intake", 1)))
    assert (work.dead[0].reference, work.dead[0].reason, work.dead[0].key) == ("complaints/2/7", record.reason, b"k")
    assert work.dead[0] == dead_letter(from_undecodable(record), record.reason)
    assert len(work.handled) == 1
