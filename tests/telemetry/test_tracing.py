"""The way of a complaint as spans: one trace, links where traces part, nothing personal, no cost when unsampled."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared.telemetry import recording, tracing
from shared.telemetry.tracing import Carrier

SAMPLED = Carrier(f"00-{'a' * 32}-{'b' * 16}-01")
UNSAMPLED = Carrier(f"00-{'a' * 32}-{'b' * 16}-00", "vendor=1")


def create(parent: Carrier | None, complaint_id: str = "c-1", destination: str = "complaints") -> Carrier:
    return tracing.creation(parent, destination, event_type="amends.x.v1", event_id="e-1", complaint_id=complaint_id)


def process(carrier: Carrier | None) -> tracing.ProcessSpan:
    return tracing.begin_process(
        carrier,
        "complaints",
        group="amends-escalation",
        partition=3,
        offset=42,
        event_type="amends.x.v1",
        event_id="e-1",
        complaint_id="c-1",
    )


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    found = [span for span in exporter.get_finished_spans() if span.name == name]
    assert len(found) == 1, [span.name for span in exporter.get_finished_spans()]
    return found[0]


def carrier_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}"


def test_one_trace_from_the_request_through_two_services(spans: InMemorySpanExporter) -> None:
    request = tracing.begin_request(None, "POST")
    created = create(request.carrier)
    request.set("http.route", "/v1/complaints")
    request.end(name="POST /v1/complaints")
    handled = process(created)
    emitted = create(handled.carrier, destination="escalations")
    handled.end()

    server, first = named(spans, "POST /v1/complaints"), named(spans, "create complaints")
    consumer, second = named(spans, "process complaints"), named(spans, "create escalations")
    assert {span.context.trace_id for span in (server, first, second, consumer)} == {server.context.trace_id}
    assert server.parent is None
    assert first.parent is not None
    assert first.parent.span_id == server.context.span_id
    assert consumer.parent is not None
    assert consumer.parent.span_id == first.context.span_id
    assert [link.context.span_id for link in consumer.links] == [first.context.span_id]
    assert second.parent is not None
    assert second.parent.span_id == consumer.context.span_id
    assert emitted.traceparent.startswith(carrier_of(second))
    assert [span.kind for span in (server, first, consumer)] == [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER]


def test_messaging_attributes(spans: InMemorySpanExporter) -> None:
    process(SAMPLED).end()
    assert dict(named(spans, "process complaints").attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "complaints",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 42,
        "messaging.consumer.group.name": "amends-escalation",
        "messaging.message.id": "e-1",
        "messaging.message.conversation_id": "c-1",
        "complaint.id": "c-1",
        "amends.event.id": "e-1",
        "amends.event.type": "amends.x.v1",
    }


def test_what_is_no_message_is_an_internal_span(spans: InMemorySpanExporter) -> None:
    tracing.begin_process(SAMPLED, "timer", group="g", event_type="", event_id="timer:x", complaint_id="c-1").end()
    span = named(spans, "process timer")
    assert span.kind is SpanKind.INTERNAL
    assert set(span.attributes or {}) == {"complaint.id", "messaging.message.conversation_id"}


def test_a_failed_handling_shows_the_kind_of_error_and_never_its_text(spans: InMemorySpanExporter) -> None:
    process(SAMPLED).end("BadData")
    process(SAMPLED).end("value 'ann@example.org' is not valid")
    first, second = spans.get_finished_spans()
    assert first.status.status_code is StatusCode.ERROR
    assert (first.attributes or {})["error.type"] == "BadData"
    assert (second.attributes or {})["error.type"] == "other"
    assert "example.org" not in second.to_json()


def test_attributes_outside_the_list_are_left_out(spans: InMemorySpanExporter) -> None:
    span = process(SAMPLED)
    span.set("customer.email", "ann@example.org")
    span.event("decision", {"policy.id": "escalation", "customer.name": "Ann Smith"})
    span.end()
    text = named(spans, "process complaints").to_json()
    assert "escalation" in text
    assert "example.org" not in text
    assert "Ann Smith" not in text


def test_a_relay_batch_is_a_trace_of_its_own_with_a_link_for_every_sampled_event(spans: InMemorySpanExporter) -> None:
    carriers = [create(None, f"c-{n}") for n in range(300)]
    before = len(spans.get_finished_spans())
    with tracing.send("complaints", [UNSAMPLED, *carriers], complaint_ids=["c-x", *(f"c-{n}" for n in range(300))]):
        pass
    sent = named(spans, "send complaints")
    assert len(spans.get_finished_spans()) == before + 1
    assert sent.parent is None
    assert sent.kind is SpanKind.CLIENT
    assert (sent.attributes or {})["messaging.batch.message_count"] == 301
    assert [tracing.trace_id_of(c) for c in carriers] == [f"{link.context.trace_id:032x}" for link in sent.links]
    assert [(link.attributes or {})["complaint.id"] for link in sent.links] == [f"c-{n}" for n in range(300)]


def test_a_send_that_fails_says_so_and_passes_the_error_on(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ConnectionError), tracing.send("complaints", [SAMPLED]):
        raise ConnectionError("broker b-7.internal")
    span = named(spans, "send complaints")
    assert (span.attributes or {})["error.type"] == "ConnectionError"
    assert "b-7" not in span.to_json()


def test_a_batch_without_sampled_events_makes_no_span(spans: InMemorySpanExporter) -> None:
    with tracing.send("complaints", [UNSAMPLED]):
        pass
    assert spans.get_finished_spans() == ()


def test_a_timer_starts_a_new_trace_linked_to_the_one_that_set_it(spans: InMemorySpanExporter) -> None:
    due = datetime(2026, 3, 1, 9, tzinfo=UTC)
    carrier = tracing.fire("progress_update", SAMPLED, "c-1", due, due + timedelta(seconds=2))
    span = named(spans, "fire progress_update")
    assert tracing.trace_id_of(carrier) != tracing.trace_id_of(SAMPLED)
    assert carrier.traceparent.startswith(carrier_of(span))
    assert span.parent is None
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ["a" * 32]
    assert (span.attributes or {})["timer.lag_s"] == 2.0
    assert (span.attributes or {})["complaint.id"] == "c-1"


def test_what_was_not_sampled_stays_so_all_the_way(spans: InMemorySpanExporter) -> None:
    created = create(UNSAMPLED)
    handled = process(created)
    fired = tracing.fire("x", handled.carrier, "c-1", datetime.now(UTC))
    handled.end("BadData")
    assert spans.get_finished_spans() == ()
    assert tracing.trace_id_of(created) == tracing.trace_id_of(handled.carrier) == "a" * 32
    assert len({tracing.span_id_of(c) for c in (UNSAMPLED, created, handled.carrier)}) == 3
    assert created.tracestate == handled.carrier.tracestate == "vendor=1"
    assert not any(tracing.is_sampled(c) for c in (created, handled.carrier, fired))


def test_without_an_exporter_ids_still_exist_and_nothing_is_recorded() -> None:
    tracing.setup("test")
    assert recording.active() is None
    first = create(None)
    assert tracing.parse(first.traceparent) == first
    assert not tracing.is_sampled(first)
    assert tracing.trace_id_of(create(first)) == tracing.trace_id_of(first)
    # Somebody else records this trace: what we pass on must still hang under a span that exists.
    assert create(SAMPLED) == SAMPLED


def test_the_standard_switches(monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracing.setup("test", exporter=spans)
    assert not tracing.is_sampled(create(None))
    assert tracing.is_sampled(create(SAMPLED))
    # A send and a timer that come out of a recorded trace are recorded with it, whatever the root sampler says.
    assert tracing.is_sampled(tracing.fire("x", SAMPLED, "c-1", datetime.now(UTC)))
    assert not tracing.is_sampled(tracing.fire("x", None, "c-1", datetime.now(UTC)))

    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    tracing.setup("test", exporter=spans)
    assert tracing.is_sampled(create(UNSAMPLED))

    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracing.setup("test", exporter=spans)
    assert recording.active() is None

    monkeypatch.delenv("OTEL_SDK_DISABLED")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracing.setup("test")
    assert recording.active() is None


class _Collector(ThreadingHTTPServer):
    received: list[ExportTraceServiceRequest]
    release: threading.Event


class _Handler(BaseHTTPRequestHandler):
    server: _Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.release.wait(20)
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[_Collector]:
    server = _Collector(("127.0.0.1", 0), _Handler)
    server.received, server.release = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


def test_spans_reach_a_collector_by_otlp(monkeypatch: pytest.MonkeyPatch, collector: _Collector) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    collector.release.set()
    tracing.setup("amends-intake")
    create(None)
    tracing.shutdown(10.0)
    (request,) = collector.received
    (resource,) = request.resource_spans
    attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert attributes["service.name"] == "amends-intake"
    assert resource.scope_spans[0].spans[0].name == "create complaints"


def test_shutdown_does_not_wait_for_a_hanging_collector(monkeypatch: pytest.MonkeyPatch, collector: _Collector) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{collector.server_port}/v1/traces")
    tracing.setup("amends-intake")
    create(None)
    started = time.monotonic()
    tracing.shutdown(0.2)
    assert time.monotonic() - started < 2.0


def test_nothing_is_read_or_started_at_import() -> None:
    code = (
        "import threading\n"
        "import shared.telemetry.tracing, shared.telemetry.metrics, shared.telemetry.health\n"
        "assert threading.active_count() == 1\n"
    )
    environment = {"PYTHONPATH": ".", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_unsampled_path_is_cheap(spans: InMemorySpanExporter) -> None:
    rounds = 5_000
    fastest = min(_time(rounds) for _ in range(5))
    # About 1.2 us here; an SDK span is 20-40 us, so this fails only when one is made.
    assert fastest / rounds < 10e-6
    assert spans.get_finished_spans() == ()


def _time(rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        create(UNSAMPLED)
    return time.perf_counter() - started
