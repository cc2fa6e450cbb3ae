from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry import tracing


@pytest.fixture(autouse=True)
def no_otel_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests say themselves what the environment says; nothing is recorded when one ends."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    tracing.shutdown(1.0)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Record everything, into memory."""
    exporter = InMemorySpanExporter()
    tracing.setup("test", exporter=exporter)
    return exporter
