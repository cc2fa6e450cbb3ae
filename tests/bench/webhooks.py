"""Webhooks: what reading costs per adapter, and how many signed requests one process accepts a second."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import UUID

import orjson

from services.intake import domain, reading, sources
from services.intake.adapters import ADAPTERS
from services.intake.submissions import ContactSubmission, Delivery, Submission, keep
from services.intake.trying import delivery_of
from shared.clock import utc_now
from shared.contracts.codec import write_data
from shared.contracts.envelope import EventData
from shared.vault import read_master_keys
from tests.bench.bed import Bed, bed, tell
from tests.bench.cost import Meter
from tests.bench.load import Plan
from tests.bench.parts import ROUNDS
from tests.harness.cluster import Cluster
from tests.intake.test_payloads import cases

SOURCE, SECRET = "bench-zendesk", "a signing secret of the bench"
CONNECTIONS = 128


def adapters(count: int = 300) -> dict[str, dict[str, float]]:
    """Of each adapter, from the bytes to the events: microseconds of CPU for a complaint, what of it is reading the text, complaints a
    second by one core, and the ratio to the raw limit of this run: to parse the same bytes, hash them, and write the same events."""
    found = {}
    for adapter in ADAPTERS:
        deliveries = [
            delivery_of(adapter, case.body, case.headers, {})
            for case in cases()
            if case.adapter == adapter and case.expect["outcome"] == "complaint"
        ]
        if deliveries:
            work = [deliveries[number % len(deliveries)] for number in range(count)]
            events = {delivery.id: [event for item in _read(delivery) for event in _decided(delivery, *item)] for delivery in deliveries}
            limit = min(_cpu_us(work, partial(_limit, events)) for _ in range(ROUNDS))
            without = min(_cpu_us(work, _read) for _ in range(ROUNDS))
            us = min(_cpu_us(work, _normalized) for _ in range(ROUNDS))
            found[adapter] = {
                "us": round(us, 1), "adapter_us": round(without, 1), "complaints_s": round(1e6 / us), "limit_us": round(limit, 1),
                "ratio": round(limit / us, 3),
            }  # fmt: skip
    return found


def _cpu_us(work: Sequence[Delivery], step: Callable[[Delivery], object]) -> float:
    started = time.process_time()
    for delivery in work:
        step(delivery)
    return (time.process_time() - started) / len(work) * 1e6


def _read(delivery: Delivery) -> list[tuple[int, Submission]]:
    """What the adapter makes of the bytes."""
    items = ADAPTERS[delivery.source].read(delivery)
    return [(number, keep(item, delivery, number, delivery.source)) for number, item in enumerate(items)]


def _decided(delivery: Delivery, number: int, submission: Submission) -> Sequence[EventData]:
    if isinstance(submission, ContactSubmission):
        submission = ContactSubmission(submission.identity, reading.read(submission.contact))
    return domain.decide(None, submission, delivery, number, delivery.received_at).events


def _normalized(delivery: Delivery) -> None:
    for number, submission in _read(delivery):
        for event in _decided(delivery, number, submission):
            write_data(event)


def _limit(events: Mapping[UUID, Sequence[EventData]], delivery: Delivery) -> None:
    """What nobody can leave out: the bytes in, their hash, the events' bytes out."""
    if delivery.body[:1] in (b"{", b"["):
        orjson.loads(delivery.body)
    hashlib.sha256(delivery.body).digest()
    for event in events[delivery.id]:
        write_data(event)


async def hooks(cluster: Cluster, folder: Path, *, seconds: float, wrapper: Sequence[str] = ()) -> dict[str, Any]:
    """Signed webhooks against one intake process: as many as it takes, then the latency at half of that."""
    async with bed(cluster, folder) as made:
        conn = await made.connect("intake")
        await sources.add(conn, SOURCE, "zendesk", "zendesk", {})
        keys = read_master_keys(made.master_key_file)
        await sources.add_secret(conn, keys, SOURCE, "signing", SECRET)
        await conn.close()
        made.start("intake", wrapper=wrapper)
        await made.ready("intake")
        await _load(made, folder, "warm", 0, 2.0)
        tell("hooks: as many as it takes")
        most = await _load(made, folder, "most", 0, seconds)
        tell(f"hooks: {most['requests_s']:,.0f}/s; now at half of that")
        half = await _load(made, folder, "half", most["requests_s"] / 2, seconds)
        await made.stop()
    return {"most": most, "half": half}


async def _load(made: Bed, folder: Path, name: str, rate: float, seconds: float) -> dict[str, Any]:
    file = folder / f"hooks-{name}.json"
    plan = Plan(
        made.ports["intake"],
        SECRET,
        f"{name}-{int(utc_now().timestamp())}-",
        1,
        CONNECTIONS,
        rate,
        seconds,
        str(file),
        rate > 0,
        SOURCE,
    )
    child = made.run_module("tests.bench.load", plan.json(), name=f"hooks-{name}")
    meter = Meter({"intake": made.children["intake"].pid})
    while child.alive:
        made.check("intake")
        await asyncio.sleep(0.05)
    if child.returncode:
        raise RuntimeError("the load failed:\n" + "\n".join(child.last_lines()))
    done = orjson.loads(file.read_bytes())
    if done["refused"]:
        raise RuntimeError(f"webhooks were refused (status, requests): {done['refused']}")
    waited = sorted(answered - due for _, due, answered in done["done"])
    told = {
        "requests": len(waited),
        "requests_s": round(len(waited) / (done["ended"] - done["started"]), 1),
        "p50_ms": round(median(waited) * 1000, 2),
        "p99_ms": round(quantiles(waited, n=100)[98] * 1000, 2),
    }
    return told | {"cpu_us": round(meter.read()["intake"] / len(waited) * 1e6, 1)}
