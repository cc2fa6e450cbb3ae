"""The list of metrics, the page made from it, and exemplars."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from shared.telemetry import metrics
from shared.telemetry.tracing import Carrier

SAMPLED = Carrier(f"00-{'a' * 32}-{'b' * 16}-01")
UNSAMPLED = Carrier(f"00-{'a' * 32}-{'b' * 16}-00")


def test_names_follow_the_conventions_of_prometheus() -> None:
    for metric in metrics.METRICS:
        assert re.fullmatch(r"amends_[a-z][a-z_]*", metric.name), metric
        assert metric.labels[0] == "service", metric
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric
        assert metric.name.endswith("_seconds") == (metric.unit == "seconds"), metric
        assert metric.meaning.endswith("."), metric
        assert not {"complaint_id", "complaint", "customer", "path", "url"} & set(metric.labels), metric
    names = [metric.name for metric in metrics.METRICS]
    assert len(names) == len(set(names))


def test_what_is_listed_is_what_is_shown() -> None:
    shown = {family.name for family in metrics.REGISTRY.collect() if family.name.startswith("amends_")}
    assert shown == {metric.name.removesuffix("_total") for metric in metrics.METRICS}


def test_the_reference_page_has_a_row_for_each() -> None:
    page = metrics.reference_page()
    for metric in metrics.METRICS:
        assert f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} |" in page


def test_a_sampled_trace_leaves_its_id_as_the_exemplar() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("x_seconds", "x", registry=registry, buckets=(1.0,))
    metrics.observe(histogram, 0.5, UNSAMPLED)
    metrics.observe(histogram, 0.5, None)
    assert "trace_id" not in generate_latest(registry).decode()
    metrics.observe(histogram, 0.7, SAMPLED)
    samples = [
        s for family in text_string_to_metric_families(generate_latest(registry).decode()) for s in family.samples
    ]
    exemplars = [s.exemplar for s in samples if s.exemplar is not None]
    assert [(e.labels, e.value) for e in exemplars] == [({"trace_id": "a" * 32}, 0.7)]


def test_describe_may_be_called_again() -> None:
    metrics.describe("intake", "1.0")
    metrics.describe("intake", "1.0")
    assert "process_resident_memory_bytes" in {family.name for family in metrics.REGISTRY.collect()}


async def test_a_blocked_event_loop_shows() -> None:
    def late() -> float:
        value = metrics.REGISTRY.get_sample_value("amends_event_loop_lag_seconds_sum", {"service": "lagtest"})
        return value or 0.0

    watch = asyncio.create_task(metrics.watch_event_loop("lagtest", every_s=0.01))
    await asyncio.sleep(0)
    time.sleep(0.1)  # what a blocking call does
    async with asyncio.timeout(30):
        while late() < 0.05:
            await asyncio.sleep(0.01)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
