"""A complaint's way through the four services, as its sender, its handlers and its auditors see it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.topics import FLOWS
from tests.flow.conftest import Running

RECEIVED = "amends.complaint.received.v1"
DECIDED = "amends.escalation.decision_made.v1"
UPDATE = "amends.followup.update_scheduled.v1"
CHANGED = "amends.escalation.status_changed.v1"
CHECK_IN = "amends.followup.check_in_scheduled.v1"
CHECK_IN_DUE = "amends.followup.check_in_due.v1"


def has(*wanted: str) -> object:
    return lambda types: not Counter(wanted) - Counter(types)


def item(number: str, **fields: object) -> dict[str, object]:
    return {"event_id": f"m-{number}", "record_id": f"T-{number}", "text": "The kettle leaks.", "channel": "email", **fields}


def test_received_decided_planned_resolved_checked_in_and_recorded_once(running: Running) -> None:
    (answer,) = running.send(item("way", tags=["injury"]))
    complaint = answer["complaint_id"]
    running.timeline(complaint, has(RECEIVED, DECIDED, UPDATE))  # type: ignore[arg-type]
    first = running.command(complaint, "resolve", {"resolution": "Sent a new one"}, **{"Idempotency-Key": "way-1"})
    again = running.command(complaint, "resolve", {"resolution": "Sent a new one"}, **{"Idempotency-Key": "way-1"})
    assert (first.status_code, again.status_code, first.json()) == (200, 200, again.json())
    other = running.command(complaint, "resolve", {"resolution": "Something else"}, **{"Idempotency-Key": "way-1"})
    assert other.status_code == 409
    events = running.timeline(complaint, has(RECEIVED, DECIDED, UPDATE, CHANGED, CHECK_IN))  # type: ignore[arg-type]
    assert Counter(event["type"] for event in events)[CHANGED] == 1
    decided = next(event for event in events if event["type"] == DECIDED)
    assert (decided["data"]["tier"], decided["data"]["policy"]["rules"]) == (3, ["ESC-010", "ESC-060"])
    assert decided["causation_id"] == next(event["id"] for event in events if event["type"] == RECEIVED)
    for service in ("intake", "escalation", "followup"):
        numbers = [event["sequence"] for event in events if event["service"] == service]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_second_contact_about_the_same_record_belongs_to_the_same_complaint(running: Running) -> None:
    (one,) = running.send(item("thread"))
    (two,) = running.send(item("thread") | {"event_id": "m-thread-2", "text": "Still leaking."})
    (again,) = running.send(item("thread") | {"event_id": "m-thread-2", "text": "Still leaking."})
    assert one["complaint_id"] == two["complaint_id"] == again["complaint_id"]
    assert (two["outcome"], again["outcome"]) == ("accepted", "duplicate")
    events = running.timeline(one["complaint_id"], has(RECEIVED, "amends.complaint.contact_added.v1"))  # type: ignore[arg-type]
    assert Counter(event["type"] for event in events)[RECEIVED] == 1


def test_what_the_customer_complained_of_before_and_what_a_person_asks_for_decide(running: Running) -> None:
    sent = []
    for number in ("first", "second", "third"):
        (answer,) = running.send(item(number, category="delivery", customer={"emails": ["again@customer.example"]}))
        events = running.timeline(answer["complaint_id"], has(RECEIVED, DECIDED))  # type: ignore[arg-type]
        sent.append(next(event["data"]["policy"] for event in events if event["type"] == DECIDED))
    assert [cited["rules"] for cited in sent] == [[], [], ["ESC-070"]]
    assert [each["category"] for each in sent[2]["facts"]["complaint"]["customer"]["history"]] == ["delivery"] * 2
    asked = running.command(answer["complaint_id"], "escalate", {"reason": "wants a manager"})
    assert asked.status_code == 200
    events = running.timeline(answer["complaint_id"], has(DECIDED, DECIDED))  # type: ignore[arg-type]
    again = [event["data"]["policy"] for event in events if event["type"] == DECIDED][1]
    assert again["rules"] == ["ESC-070", "ESC-090"]


def test_the_contact_centres_own_resolution_plans_the_check_in(running: Running) -> None:
    (one,) = running.send(item("reported"))
    running.send({"kind": "status", "event_id": "s-reported", "record_id": "T-reported", "status": "resolved", "by": "agent 7"})
    events = running.timeline(one["complaint_id"], has(CHANGED, CHECK_IN))  # type: ignore[arg-type]
    changed = next(event for event in events if event["type"] == CHANGED)
    assert (changed["data"]["status"], changed["data"]["by"]) == ("resolved", "contact-centre:shop-eu")


def test_a_timer_that_comes_due_fires_once(running: Running) -> None:
    (one,) = running.send(item("timer"))
    complaint = one["complaint_id"]
    running.timeline(complaint, has(DECIDED, UPDATE))  # type: ignore[arg-type]
    running.command(complaint, "resolve", {"resolution": "Sent a new one"})
    running.timeline(complaint, has(CHECK_IN))  # type: ignore[arg-type]

    async def make_due() -> None:
        conn = await asyncpg.connect(running.dsn, server_settings={"search_path": "followup"})
        await conn.execute("update timer set due_at = now() where complaint_id = $1", complaint)
        await conn.close()

    asyncio.run(make_due())
    events = running.timeline(complaint, has(CHECK_IN_DUE))  # type: ignore[arg-type]
    assert Counter(event["type"] for event in events)[CHECK_IN_DUE] == 1


def test_one_trace_from_the_request_to_the_ledger_row(running: Running) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    (answer,) = running.send(item("trace"), traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    events = running.timeline(answer["complaint_id"], has(RECEIVED, DECIDED, UPDATE))  # type: ignore[arg-type]
    assert {event["trace_id"] for event in events} == {trace}

    def mine() -> dict[str, set[str]]:
        # Sets: a save that is decided again after a conflict has a span for each try.
        found: dict[str, set[str]] = {}
        for span in running.otlp.spans:
            if span.trace_id == trace:
                found.setdefault(span.name, set()).add(span.service)
        return found

    wanted = {
        "POST /v1/complaints": {"amends-intake"},
        "create complaints": {"amends-intake"},
        "process complaints": {"amends-escalation", "amends-followup", "amends-records"},
        "create escalations": {"amends-escalation"},
        "process escalations": {"amends-followup", "amends-records"},
        "create followups": {"amends-followup"},
        "process followups": {"amends-escalation", "amends-records"},
    }
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and not wanted.items() <= mine().items():
        time.sleep(0.1)
    assert {name: services for name, services in mine().items() if name in wanted} == wanted

    spans = {span.span_id: span for span in running.otlp.spans}
    followups = [s for s in spans.values() if s.trace_id == trace and s.name == "process followups"]
    recorded = next(s for s in followups if s.service == "amends-records")
    way = []
    step = recorded
    while step is not None:
        way.append(step.name)
        assert step.attributes.get("complaint.id", answer["complaint_id"]) == answer["complaint_id"]
        step = spans.get(step.parent_id)  # type: ignore[assignment]
    assert way[0] == "process followups"
    assert way[-1] == "POST /v1/complaints"
    assert way[1:-1][:3] == ["create followups", "process complaints", "create complaints"]
    created = {s.span_id for s in spans.values() if s.trace_id == trace and s.name.startswith("create ")}
    read = created & {s.parent_id for s in spans.values()}
    assert len(read) == 3
    sent = {link for s in spans.values() if s.name.startswith("send ") for link in s.links}
    assert read <= sent, "what was read is linked from the batch that sent it"


def test_no_personal_data_in_logs_metrics_spans_keys_or_headers(running: Running) -> None:
    canary = "canary-7f3a"
    customer = {"name": f"{canary} Smith", "emails": [f"{canary}@example.com"], "phones": [f"+44 {canary}"], "ref": f"{canary}-ref"}
    (answer,) = running.send(
        item("pii", text=f"{canary} says hello", subject=f"{canary} subject", customer=customer)
        | {"event_id": f"<{canary}@mail.example.com>", "record_id": f"{canary}@example.com"}
    )
    bad = running.client.post(
        f"{running.services['intake'].url}/v1/complaints", json=item("pii-bad", channel=f"{canary}-channel", severity=canary)
    )
    assert bad.status_code == 422
    assert canary not in bad.text, "an error does not repeat what was sent"
    running.timeline(answer["complaint_id"], has(RECEIVED, DECIDED, UPDATE))  # type: ignore[arg-type]

    async def kafka() -> bytes:
        topics = [running.prefix + flow.topic for flow in FLOWS]
        consumer = AIOKafkaConsumer(bootstrap_servers=running.kafka, auto_offset_reset="earliest")
        await consumer.start()
        parts = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or await_partitions(topic)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        seen = b""
        while any([await consumer.position(tp) < ends[tp] for tp in parts]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    seen += (record.key or b"") + b"".join(name.encode() + value for name, value in record.headers)
        await consumer.stop()
        return seen

    def await_partitions(topic: str) -> set[int]:
        return set(range(6))

    time.sleep(0.5)  # the batch span processor sends every 0.2 s; absence can only be waited for
    assert canary.encode() not in asyncio.run(kafka())
    for log in running.folder.glob("*.log"):
        assert canary not in log.read_text(errors="replace"), log.name
    for service in running.services.values():
        assert canary not in running.client.get(f"{service.url}/metrics").text
    assert not [span for span in running.otlp.spans if canary in span.raw]


@pytest.mark.parametrize(
    ("service", "names"),
    [
        ("intake", ["amends_submissions_total", "amends_http_requests_total", "amends_outbox_pending", "amends_relay_events_sent_total"]),
        ("escalation", ["amends_events_handled_total", "amends_decisions_total", "amends_save_duration_seconds_count"]),
        ("followup", ["amends_events_handled_total", "amends_timer_lag_seconds_count"]),
        ("records", ["amends_ledger_rows_total", "faststream_received_messages_total"]),
    ],
)
def test_each_service_tells_its_health_and_figures(running: Running, service: str, names: list[str]) -> None:
    url = running.services[service].url
    live = running.client.get(f"{url}/livez")
    assert live.status_code == 200, live.text
    assert running.client.get(f"{url}/readyz").json()["status"] == "ok"
    shown = running.client.get(f"{url}/metrics").text
    for name in names:
        assert any(line.startswith(name) for line in shown.splitlines()), name
    assert running.client.get(f"{url}/openapi.json").json()["paths"]
