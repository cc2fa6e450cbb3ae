"""Where recorded spans go: the OpenTelemetry SDK, set up from its own standard settings."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
    OTEL_SERVICE_NAME,
    OTEL_SPAN_LINK_COUNT_LIMIT,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, Tracer, TraceState
from opentelemetry.util.types import Attributes

log = logging.getLogger(__name__)

MAX_LINKS = 2_000  # a relay batch links every event it sends; the SDK's default of 128 would drop most of them


class Recorder(NamedTuple):
    """What makes spans. `parent_decides`: an unsampled parent means that nothing is recorded."""

    provider: TracerProvider
    tracer: Tracer
    parent_decides: bool


_recorder: Recorder | None = None


def active() -> Recorder | None:
    """What makes spans in this process; None when nothing is recorded here."""
    return _recorder


def setup(service_name: str, *, exporter: SpanExporter | None = None) -> None:
    """Start recording spans, if the standard OTEL_* settings name an OTLP endpoint; otherwise only ids are carried on.

    Call once, before any work. OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER=none, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME,
    OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_* and OTEL_EXPORTER_OTLP_* mean what OpenTelemetry says. `exporter` replaces the
    OTLP exporter and gets each span at once (for tests).
    """
    global _recorder
    if _recorder is not None:
        _recorder.provider.shutdown()
        _recorder = None
    if _flag(OTEL_SDK_DISABLED) or (exporter is None and not _endpoint_is_set()):
        return
    limits = SpanLimits() if OTEL_SPAN_LINK_COUNT_LIMIT in os.environ else SpanLimits(max_links=MAX_LINKS)
    name = os.environ.get(OTEL_SERVICE_NAME, "").strip() or service_name
    resource = Resource.create({"service.name": name, "service.namespace": "amends"})
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    parent_decides = isinstance(provider.sampler, ParentBased)
    provider.sampler = _KeepLinked(provider.sampler)
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,  # megabytes: only who needs it
        )

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    _recorder = Recorder(provider, provider.get_tracer("amends"), parent_decides)


def shutdown(timeout_s: float) -> None:
    """Send what is recorded and stop recording. Blocks `timeout_s` seconds at most, also when nobody takes it."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is None:
        return
    # The SDK's own shutdown may wait for 30 s: a daemon thread can be left behind.
    sending = threading.Thread(target=recorder.provider.shutdown, name="amends-spans", daemon=True)
    sending.start()
    sending.join(timeout_s)
    if sending.is_alive():
        log.warning("spans not sent within %s s; the rest is dropped", timeout_s)


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() == "true"


def _endpoint_is_set() -> bool:
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    if not (os.environ.get(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or os.environ.get(OTEL_EXPORTER_OTLP_ENDPOINT)):
        return False
    protocol = os.environ.get(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL) or os.environ.get(OTEL_EXPORTER_OTLP_PROTOCOL)
    if protocol and protocol != "http/protobuf":
        log.warning("OTEL_EXPORTER_OTLP_PROTOCOL=%s is not supported: spans are sent as http/protobuf", protocol)
    return True


class _KeepLinked(Sampler):
    """The configured sampler; but what starts a new trace out of a recorded one (send, timer) is always recorded."""

    def __init__(self, configured: Sampler) -> None:
        self._configured = configured

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if links and not parent_context and any(link.context.trace_flags.sampled for link in links):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._configured.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"KeepLinked{{{self._configured.get_description()}}}"
