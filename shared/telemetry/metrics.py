"""Every metric of the project: name, labels, unit and meaning in one list, from which the reference page is made.

All share REGISTRY, one per process. The first label is always `service`. A label never holds what outsiders choose
(a complaint's id, a path, a customer): each distinct value lives as long as the process.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Sequence
from typing import Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from shared.telemetry import tracing

Kind = Literal["counter", "gauge", "histogram"]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
REGISTRY = CollectorRegistry(auto_describe=True)


class Metric(NamedTuple):
    """One line of the reference. `name` is what Prometheus shows; `unit` is "" for a plain count."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str


METRICS: list[Metric] = []

# From a cached answer to the slowest thing that still counts as working, in seconds.
FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LATE_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SIZES = (1, 2, 5, 10, 25, 50, 100, 200, 500, 1000, 2000, 5000)


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    METRICS.append(Metric(f"{name}_total", "counter", ("service", *labels), "", meaning))
    return Counter(name, meaning, ("service", *labels), registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str, unit: str = "") -> Gauge:
    METRICS.append(Metric(name, "gauge", ("service", *labels), unit, meaning))
    return Gauge(name, meaning, ("service", *labels), registry=REGISTRY)


def _histogram(name: str, meaning: str, *labels: str, unit: str = "", buckets: Sequence[float]) -> Histogram:
    METRICS.append(Metric(name, "histogram", ("service", *labels), unit, meaning))
    return Histogram(name, meaning, ("service", *labels), registry=REGISTRY, buckets=buckets)


BUILD_INFO = _gauge("amends_build_info", "Always 1; the labels say what runs.", "version", "python")

SUBMISSIONS = _counter("amends_submissions", "Submissions settled, by source and outcome.", "source", "outcome")
SUBMISSIONS_OF_DAY = _gauge(
    "amends_submissions_of_day", "Submissions accepted on a day (UTC) by what became of them, pending too; of the last three days.",
    "source", "day", "outcome",
)  # fmt: skip
SUBMISSIONS_UNACCOUNTED = _gauge(
    "amends_submissions_unaccounted", "Of a day's submissions those that are nowhere: neither settled, in line nor parked.",
    "source", "day",
)  # fmt: skip
TEXT_FETCHES = _counter(
    "amends_text_fetches", "Texts asked of other systems' APIs, by source: fetched, failed, given_up.", "source", "outcome"
)
HTTP_REQUESTS = _counter(
    "amends_http_requests", "HTTP requests answered, by route template.", "method", "route", "status"
)
HTTP_DURATION = _histogram(
    "amends_http_request_duration_seconds", "Time from the request's head to the end of its answer.", "method", "route",
    unit="seconds", buckets=FAST_S,
)  # fmt: skip

EVENTS_HANDLED = _counter("amends_events_handled", "Events of other services handled and saved.", "event_type")
EVENTS_DUPLICATE = _counter("amends_events_duplicate", "Events dropped because they were handled before.")
EVENTS_HELD = _counter("amends_events_held", "Events put on hold because an earlier one was missing.")
EVENTS_WAITING = _gauge("amends_events_waiting", "Events on hold now.")
SEQUENCE_GAPS = _gauge("amends_sequence_gaps", "Holes in a complaint's sequence that are older than a minute.")
DEAD_LETTERS = _counter("amends_dead_letters", "Inputs parked because they cannot be handled.", "topic", "reason")
BATCH_EVENTS = _histogram("amends_batch_events", "Inputs in one save.", buckets=SIZES)
SAVE_DURATION = _histogram(
    "amends_save_duration_seconds", "Time of one save: load, decide, transaction.", unit="seconds", buckets=FAST_S
)
SAVE_CONFLICTS = _counter("amends_save_conflicts", "Saves rolled back because another came first; decided again.")

OUTBOX_PENDING = _gauge("amends_outbox_pending", "Outbox rows not yet acknowledged by Kafka.")
OUTBOX_OLDEST_AGE = _gauge("amends_outbox_oldest_age_seconds", "Age of the oldest outbox row.", unit="seconds")
RELAY_SENT = _counter("amends_relay_events_sent", "Events that Kafka has acknowledged.")
RELAY_FAILED = _counter("amends_relay_failures", "Sends not acknowledged; their rows are swept.")
PRODUCER_RESTARTS = _counter("amends_relay_producer_restarts", "Producers thrown away after a doubt.")

CONSUMER_LAG = _gauge(
    "amends_consumer_lag_messages", "Records in a partition that are not yet handled.", "topic", "partition"
)
CONSUMER_LAG_SECONDS = _gauge(
    "amends_consumer_lag_seconds", "Age of the first record not yet handled.", "topic", "partition", unit="seconds"
)

TIMERS_FIRED = _counter("amends_timers_fired", "Timers fired.", "timer")
TIMER_LAG = _histogram(
    "amends_timer_lag_seconds", "How late a timer fired after it was due.", unit="seconds", buckets=LATE_S
)
MESSAGES = _counter(
    "amends_messages", "Attempts to send a message outside: sent, failed for good, again later, digested.", "route", "outcome"
)
ENDPOINTS_RESTING = _gauge("amends_endpoints_resting", "Endpoints left alone now after failures in a row.")
MESSAGES_WAITING = _gauge("amends_messages_waiting", "Messages not yet sent.")
DECISIONS = _counter("amends_decisions", "Policy rules that took part in a decision.", "policy", "version", "rule")
CLOCKS_MISSED = _counter("amends_clocks_missed", "Clocks that were due and not met.", "clock", "regime")
ALARMS = _counter("amends_alarms", "Complaints at the highest tier that would have had to rise.", "cause")
POLICY_VERSION = _gauge("amends_policy_version", "The version in force now.", "policy")
POLICY_FRESH = _gauge("amends_policy_fresh", "1: the end of the policy topics was seen lately.")
POLICY_REJECTED = _gauge("amends_policy_rejected", "Published versions that this process cannot run.")
SHADOW_DECISIONS = _counter(
    "amends_policy_shadow_decisions", "Decisions compared with a shadow: same, different, error.", "policy", "version", "result"
)  # fmt: skip
PROMISES = _counter("amends_promises", "Promises to customers: proposed, made, kept, broken, withdrawn.", "what")
OUTCOMES = _counter(
    "amends_outcomes", "What came of resolutions: solved, partly, not_solved, unverified.", "outcome"
)  # fmt: skip
UNATTENDED = _gauge("amends_complaints_unattended", "Open complaints with no owner or no next event; amends records unattended.")
LEDGER_ROWS = _counter("amends_ledger_rows", "Rows appended to the ledger.")
LEDGER_SIZE = _gauge("amends_ledger_size", "Records in the ledger.")
LEDGER_SIGNED = _gauge("amends_ledger_signed_size", "Records that the last checkpoint covers.")
LEDGER_REFUSED = _counter("amends_ledger_refusals", "Checkpoints that were refused: the ledger is damaged, old or forked.")
LOOP_LAG = _histogram(
    "amends_event_loop_lag_seconds", "How much too late the event loop woke up.", unit="seconds", buckets=FAST_S
)


def describe(service: str, version: str) -> None:
    """Say what runs, and add the process's own metrics (memory, CPU, open files, garbage collection)."""
    BUILD_INFO.labels(service, version, platform.python_version()).set(1)
    if "process_cpu_seconds_total" not in REGISTRY._names_to_collectors:
        ProcessCollector(registry=REGISTRY)
        GCCollector(registry=REGISTRY)


def observe(child: Histogram, value: float, carrier: tracing.Carrier | None) -> None:
    """Observe `value`; in a sampled trace with its id as the exemplar, so that a dashboard leads to the trace."""
    if tracing.is_sampled(carrier):
        child.observe(value, {"trace_id": tracing.trace_id_of(carrier)})
    else:
        child.observe(value)


async def watch_event_loop(service: str, every_s: float = 0.5) -> None:
    """Measure how late the event loop wakes up, until cancelled. Something that blocks it shows here."""
    loop, lag = asyncio.get_running_loop(), LOOP_LAG.labels(service)
    while True:
        asked = loop.time() + every_s
        await asyncio.sleep(every_s)
        lag.observe(max(0.0, loop.time() - asked))


def reference_page() -> str:
    """The text of docs/reference/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Made from `shared/telemetry/metrics.py`; do not edit. Each service shows them on `/metrics`, as OpenMetrics",
        "with exemplars (`trace_id`) when the scraper asks for it. No label holds a complaint's id or personal data.",
        "",
        "| name | kind | labels | unit | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.unit or '-'} | {m.meaning} |"
        for m in sorted(METRICS, key=lambda m: m.name)
    ]
    return "\n".join(lines) + "\n"
