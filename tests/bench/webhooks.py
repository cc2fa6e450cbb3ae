"""Webhooks: what reading costs per adapter, and how many signed requests one process accepts a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import orjson

from services.intake import domain, sources
from services.intake.adapters import ADAPTERS
from services.intake.submissions import ContactSubmission, Delivery, keep
from services.intake.trying import delivery_of
from shared.clock import utc_now
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
    """Of each adapter: microseconds of CPU for a complaint (bytes to event), and complaints a second by one core."""
    found = {}
    for adapter in ADAPTERS:
        deliveries = [
            delivery_of(adapter, case.body, case.headers, {})
            for case in cases()
            if case.adapter == adapter and case.expect["outcome"] == "complaint"
        ]
        if deliveries:
            work = [deliveries[number % len(deliveries)] for number in range(count)]
            us = min(_cpu_us(work) for _ in range(ROUNDS))
            found[adapter] = {"us": round(us, 1), "complaints_s": round(1e6 / us)}
    return found


def _cpu_us(work: Sequence[Delivery]) -> float:
    started = time.process_time()
    for delivery in work:
        _normalized(delivery)
    return (time.process_time() - started) / len(work) * 1e6


def _normalized(delivery: Delivery) -> None:
    adapter = delivery.source
    for number, item in enumerate(ADAPTERS[adapter].read(delivery)):
        submission = keep(item, delivery, number, adapter)
        if isinstance(submission, ContactSubmission):
            domain.decide(None, submission, delivery, number, delivery.received_at)


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
