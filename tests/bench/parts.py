"""Where the time of one event goes inside a process: each step alone, in microseconds, without Kafka or PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import orjson
from aiokafka.partitioner import DefaultPartitioner
from pydantic import TypeAdapter

from services.escalation import domain as escalation
from services.followup import domain as followup
from services.intake.adapters import ADAPTERS
from services.intake.reading import default_rules, read_text
from services.records import domain as records
from services.records import ledger
from shared.calendar import durations
from shared.clock import utc_now
from shared.contracts import ids
from shared.contracts.codec import decode, encode_headers, read_data, write_data
from shared.contracts.envelope import Event
from shared.contracts.topics import EVENTS
from shared.policy.complaint import ComplaintFacts, citation
from shared.postgres import outbox
from shared.postgres.fold import from_event
from shared.postgres.inputs import Input
from shared.telemetry import tracing
from tests.bench.events import Maker, as_records, policy_of, read_back
from tests.bench.samples import Samples

ROUNDS = 7
COMPLAINT_600 = (
    "I am writing for the third time about the washing machine that was meant to come on 4 March. Your driver rang from the wrong "
    "street and drove off, and nobody has called me back since. My mother is 84, she lives with us, and five of us have been using "
    "a launderette for nine days, which I can not really afford on a carer's allowance. I was promised a new slot within two days, "
    "then an answer by Friday, and I have had neither. I am fed up with being passed from one desk to the next. Please tell me when "
    "it will be delivered, refund the delivery fee, and ask a manager to call me."
)


def parts(count: int = 500) -> dict[str, dict[str, float]]:
    """Microseconds per event of each step, the best of some rounds over `count` events."""
    rules = default_rules()
    maker = Maker(bytes(range(32)))
    made = maker.make(Samples("parts"), 0, count)
    received, decided, planned = (read_back(o) for o in (made.complaints, made.escalations, made.followups))
    submissions = maker.submissions(Samples("parts"), 0, count)
    # One thing that is in another part's total is not in the sum of its own part: `fold` holds all of them.
    return {
        "every event in": {
            "decode": each(lambda r: decode(r, r.topic), as_records(made.complaints)),
            "from_event": each(from_event, received),
            "begin_process (unsampled)": each(
                lambda e: tracing.begin_process(
                    tracing.parse(e.traceparent), "complaints", group="x", event_type=e.type, event_id=str(e.id), complaint_id=""
                ),
                received,
            ),
        },
        "every event out": {
            "event_id": each(lambda e: ids.event_id(maker.id_key, "intake", e.subject, 1), received),
            "creation (unsampled)": each(
                lambda e: tracing.creation(tracing.parse(e.traceparent), "x", event_type="", event_id="", complaint_id=""), received
            ),
            "encode_headers": each(_headers, received),
            "pack": each_of(outbox.pack, made.complaints),
            "partitioner": each(_partition, made.complaints),
        },
        "read_data": {EVENTS[events[0].type].__name__: each(_read, events) for events in (received, decided, planned)},
        "write_data": {
            type(datas[0]).__name__: each(write_data, datas)
            for datas in ([_read(e) for e in events] for events in (received, decided, planned))
        },
        **_states(made.rows),
        "intake": {
            "reading, 600 characters": each(lambda text: read_text(rules, text), [COMPLAINT_600] * len(submissions)),
            "read canonical": each(lambda i: ADAPTERS["canonical"].read(i.body.delivery), submissions),
            "decide": each(lambda i: maker.intake.decide(None, i, utc_now()), submissions),
            "fold": _fold(maker, "intake", submissions),
        },
        "escalation": {
            "decide, data read": _decide(escalation.on_event, maker, "escalation", received),
            "fold": _fold(maker, "escalation", [from_event(e) for e in received]),
            **_policy("escalation", "escalation.retail.yaml", received),
        },
        "followup": {
            "decide, data read": _decide(followup.on_event, maker, "followup", received),
            "fold, received": _fold(maker, "followup", [from_event(e) for e in received]),
            "fold, decision": _fold(maker, "followup", [from_event(e) for e in decided]),
            **_policy("followup", "followup.retail.yaml", received),
        },
        "records": {
            "decide": each(lambda e: records.on_event(None, e, utc_now()), received),
            "fold": _fold(maker, "records", [from_event(e) for e in received]),
            "payload": each(ledger.payload, received),
            "commit": each(lambda e: ledger.commit(bytes(32), e.data), received),
            "leaf and hash": each(
                lambda e: ledger.leaf_hash(ledger.leaf(e, e.time, e.subject, bytes(32))), received
            ),
        },
    }  # fmt: skip


def each(step: Callable[[Any], Any], values: Sequence[Any]) -> float:
    """Microseconds of `step(value)`, averaged over the values: the best of some rounds."""

    def all_of(given: Sequence[Any]) -> None:
        for value in given:
            step(value)

    return each_of(all_of, values)


def each_of(step: Callable[[Any], Any], values: Any) -> float:
    """Microseconds per value of `step(values)`."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        step(values)
        best = min(best, time.perf_counter() - started)
    return round(best / len(values) * 1e6, 2)


def _read(event: Event) -> Any:
    return read_data(EVENTS[event.type], event.data)


def _headers(event: Event) -> Any:
    return encode_headers(
        event_id=event.id, event_type=event.type, service=event.service, subject=event.subject, sequence=event.sequence,
        time=event.time, causation_id=event.causation_id, correlation_id=event.correlation_id, traceparent=event.traceparent,
    )  # fmt: skip


_partitioner, _six = DefaultPartitioner(), list(range(6))


def _partition(outgoing: Any) -> int:
    number: int = _partitioner(outgoing.key, _six, _six)
    return number


def _states(rows: dict[str, dict[UUID, Any]]) -> dict[str, dict[str, float]]:
    read, write = {}, {}
    for service, found in rows.items():
        states = [row.state for row in found.values()]
        json_of = TypeAdapter(type(states[0]))
        read[service] = each(json_of.validate_json, [json_of.dump_json(state) for state in states])
        write[service] = each(json_of.dump_json, states)
    return {"read state": read, "write state": write}


def _fold(maker: Maker, service: str, inputs: Sequence[Input]) -> float:
    decide = getattr(maker, service).decide
    return each_of(lambda given: maker.fold(service, decide, given), inputs)


def _decide(on_event: Any, maker: Maker, service: str, events: Sequence[Event]) -> float:
    policy = policy_of(service, f"{service}.retail.yaml")
    given = escalation.Book(policy) if service == "escalation" else policy
    now = utc_now()
    return each(lambda data: on_event(None, data, now, given), [_read(e) for e in events])


def _policy(service: str, name: str, received: Sequence[Event]) -> dict[str, float]:
    policy = policy_of(service, name)
    now = utc_now()
    facts = [ComplaintFacts().after_contact(_read(e).contact) for e in received]
    given = [f.as_of(now) for f in facts]
    ten_days = durations.parse("10d")
    return {
        "facts after_contact": each(lambda d: ComplaintFacts().after_contact(d.contact), [_read(e) for e in received]),
        "facts as_of": each(lambda f: f.as_of(now), facts),
        "policy": each(policy.decide, given),
        "citation": each(lambda r: citation(policy, r), [policy.decide(g) for g in given]),
        "durations.add 10d": each(lambda g: durations.add(g["as_of"], ten_days, policy.calendar_zone), given),
        "citation dumped": each(lambda r: orjson.dumps(r.inputs, default=str), [policy.decide(g) for g in given]),
    }
