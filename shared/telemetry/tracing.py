"""W3C trace context as plain text, and the few kinds of span that Amends records.

A complaint's way is one trace: SERVER request -> `create` (kept in the outbox row and sent as the event's header) ->
`process` in the next service -> `create` of what that emits, and so on. What happens much later (a timer) or for many
complaints at once (a relay batch) is a trace of its own, linked to the spans it came from. `complaint.id` is on every
span.

A span costs 20-40 us, so spans are only made where they are recorded: an unsampled carrier, or a process without an
exporter, costs about a microsecond a step and still carries the trace id onward.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from shared.telemetry.carrier import (
    SAMPLED_DIGITS,
    VALID,
    Carrier,
    current,
    is_sampled,
    parse,
    span_id_of,
    trace_id_of,
    use,
)
from shared.telemetry.recording import Recorder, active, setup, shutdown
from shared.telemetry.spans import ATTRIBUTES, ProcessSpan, Value, allowed

__all__ = [
    "ATTRIBUTES",
    "Carrier",
    "ProcessSpan",
    "active",
    "begin_process",
    "begin_request",
    "creation",
    "current",
    "fire",
    "is_sampled",
    "parse",
    "send",
    "setup",
    "shutdown",
    "span_id_of",
    "trace_id_of",
    "use",
]  # fmt: skip


def creation(parent: Carrier | None, destination: str, *, event_type: str, event_id: str, complaint_id: str) -> Carrier:
    """The context in which one event was created: goes into its headers and is never changed again.

    Recorded as the span `create {destination}`, ended at once. Without a parent it starts a new trace.
    """
    carrier, recorder = _pass_on(parent)
    if recorder is None:
        return carrier
    span = _start(
        recorder,
        f"create {destination}",
        SpanKind.PRODUCER,
        parent,
        {
            **_messaging("create", destination),
            "messaging.message.id": event_id,
            "amends.event.id": event_id,
            "amends.event.type": event_type,
            **_complaint(complaint_id),
        },
    )
    span.end()
    return _carrier_of(span)


def begin_process(
    carrier: Carrier | None,
    destination: str,
    *,
    group: str,
    partition: int | None = None,
    offset: int | None = None,
    event_type: str,
    event_id: str,
    complaint_id: str,
    started_ns: int | None = None,
) -> ProcessSpan:
    """The handling of one event: `process {destination}`, child of the event's creation context and linked to it.

    A timer, a command or a submission is handled the same way but is no message: give it an empty `event_type`.
    `started_ns` is the time since the epoch when it began, if not now.
    """
    if carrier is not None and active() is None and VALID(carrier.traceparent):
        return ProcessSpan(carrier)  # not recorded: what comes of it hangs where this would have hung
    own, recorder = _pass_on(carrier)
    if recorder is None:
        return ProcessSpan(own)
    if event_type:
        kind = SpanKind.CONSUMER
        attributes: dict[str, Value] = {
            **_messaging("process", destination),
            "messaging.consumer.group.name": group,
            "messaging.message.id": event_id,
            "amends.event.id": event_id,
            "amends.event.type": event_type,
            **_complaint(complaint_id),
        }
        if partition is not None:
            attributes["messaging.destination.partition.id"] = str(partition)
        if offset is not None:
            attributes["messaging.kafka.offset"] = offset
    else:
        kind, attributes = SpanKind.INTERNAL, _complaint(complaint_id)
    link = _context_of(carrier) if event_type else None
    links = [] if link is None else [Link(link)]
    span = _start(recorder, f"process {destination}", kind, carrier, attributes, links, started_ns)
    return ProcessSpan(_carrier_of(span), span)


def begin_request(parent: Carrier | None, method: str, *, scheme: str = "http") -> ProcessSpan:
    """One HTTP request, SERVER. Name it by `set_route` before it ends."""
    own, recorder = _pass_on(parent)
    if recorder is None:
        return ProcessSpan(own)
    span = _start(
        recorder, method, SpanKind.SERVER, parent, {"http.request.method": method, "url.scheme": scheme}
    )  # fmt: skip
    return ProcessSpan(_carrier_of(span), span if span.is_recording() else None)


@contextmanager
def send(destination: str, carriers: Sequence[Carrier], complaint_ids: Sequence[str] = ()) -> Iterator[None]:
    """One relay batch: a trace of its own, linked to every sampled creation context. Nothing when none is sampled.

    `complaint_ids`, one for each carrier, stand on the links, so that a complaint's sends can be found.
    """
    recorder = active()
    sampled = [] if recorder is None else [i for i, carrier in enumerate(carriers) if is_sampled(carrier)]
    if not sampled or recorder is None:
        yield
        return
    links = []
    for i in sampled:
        context = _context_of(carriers[i])
        if context is not None:
            links.append(Link(context, _complaint(complaint_ids[i]) if i < len(complaint_ids) else None))
    attributes: dict[str, Value] = {
        **_messaging("send", destination),
        "messaging.batch.message_count": len(carriers),
    }
    span = _start(recorder, f"send {destination}", SpanKind.CLIENT, None, attributes, links)
    work = ProcessSpan(_carrier_of(span), span)
    try:
        yield
    except BaseException as error:
        work.end(type(error).__name__)
        raise
    work.end()


def fire(
    timer_name: str,
    set_by: Carrier | None,
    complaint_id: str,
    due_at: datetime,
    fired_at: datetime | None = None,
) -> Carrier:
    """A timer fires, perhaps days after it was set: a new trace, linked to the span that set it."""
    recorder = active()
    if recorder is None or (set_by is not None and VALID(set_by.traceparent) and not is_sampled(set_by)):
        return _new_root()
    link = _context_of(set_by)
    attributes: dict[str, Value] = {
        "timer.name": timer_name,
        "timer.due_at": due_at.isoformat(),
        **_complaint(complaint_id),
    }
    if fired_at is not None:
        attributes["timer.lag_s"] = (fired_at - due_at).total_seconds()
    links = [] if link is None else [Link(link, {"link.kind": "scheduled_by"})]
    span = _start(recorder, f"fire {timer_name}", SpanKind.INTERNAL, None, attributes, links)
    span.end()
    return _carrier_of(span)


def _pass_on(parent: Carrier | None) -> tuple[Carrier, Recorder | None]:
    """The carrier of a step that is not recorded, and the recorder when it is to be recorded instead."""
    recorder = active()
    if parent is None or VALID(parent.traceparent) is None:
        return (_new_root(), None) if recorder is None else (_ABSENT, recorder)
    traceparent = parent.traceparent
    if traceparent[54] not in SAMPLED_DIGITS:
        if recorder is None or recorder.parent_decides:
            span_id = random.getrandbits(64) or 1
            return Carrier(f"{traceparent[:36]}{span_id:016x}{traceparent[52:]}", parent.tracestate), None
    elif recorder is None:
        # Others record this trace and we do not: a span id of ours, which nobody has, would orphan what comes after us.
        return parent, None
    return _ABSENT, recorder


_ABSENT = Carrier("")


def _new_root() -> Carrier:
    ids = random.getrandbits(192)
    return Carrier(f"00-{ids >> 64 or 1:032x}-{ids & 0xFFFFFFFFFFFFFFFF or 1:016x}-00")


def _start(
    recorder: Recorder,
    name: str,
    kind: SpanKind,
    parent: Carrier | None,
    attributes: Mapping[str, Value],
    links: Sequence[Link] = (),
    start_ns: int | None = None,
) -> Span:
    parent_context = _context_of(parent)
    context = Context()  # never the ambient one: each step says itself where it hangs
    if parent_context is not None:
        context = set_span_in_context(NonRecordingSpan(parent_context), context)
    return recorder.tracer.start_span(
        name,
        context=context,
        kind=kind,
        attributes=allowed(attributes),
        links=links,
        start_time=start_ns or time.time_ns(),
    )


def _context_of(carrier: Carrier | None) -> SpanContext | None:
    if carrier is None or VALID(carrier.traceparent) is None:
        return None
    text = carrier.traceparent
    return SpanContext(
        trace_id=int(text[3:35], 16),
        span_id=int(text[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(text[53:], 16)),
        trace_state=TraceState.from_header([carrier.tracestate]) if carrier.tracestate else None,
    )


def _carrier_of(span: Span) -> Carrier:
    context = span.get_span_context()
    state = context.trace_state.to_header() if context.trace_state else ""
    return Carrier(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}", state)


def _messaging(operation: str, destination: str) -> dict[str, Value]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }


def _complaint(complaint_id: str) -> dict[str, Value]:
    return {"complaint.id": complaint_id, "messaging.message.conversation_id": complaint_id} if complaint_id else {}
