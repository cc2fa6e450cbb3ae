"""Each service's hop at full speed: its inputs are there already, then one real process works them off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson

from services.intake import store
from shared.contracts.topics import TOPIC_OF, topics_followed_by
from tests.bench.bed import ID_KEY, Bed, bed, tell
from tests.bench.cost import Machine, resident_mb
from tests.bench.events import MASTER_KEYS, WAY, Made, Maker
from tests.bench.samples import Samples
from tests.harness.cluster import Cluster

EVERY_S = 0.1
STALLED_S = 60.0
CHUNK = 1_000
PASSTHROUGH_S = 120.0
HANDLED = "amends_events_handled_total"
SENT = "amends_relay_events_sent_total"
SUBMISSIONS = "amends_submissions_total"
ALL_SENT = "select not exists (select from outbox)"
Seed = Callable[[Bed, str], Awaitable[None]]
_supply: dict[str, list[Made]] = {}


class Reading(NamedTuple):
    """How far a service is at a time (seconds of `perf_counter`), and the CPU seconds of every process since it began."""

    at: float
    handled: float
    sent: float
    cpu: dict[str, float]


def supply(complaints: int, name: str) -> list[Made]:
    """Complaints and all that follows from them, in chunks: made once a run, for making them takes longer than handling them."""
    samples, maker = Samples(name), Maker(ID_KEY)
    made = _supply.setdefault(name, [])
    while len(made) * CHUNK < complaints:
        tell(f"making complaints {len(made) * CHUNK:,} to {(len(made) + 1) * CHUNK:,} of {name}")
        made.append(maker.make(samples, len(made) * CHUNK, CHUNK, last=WAY[-2]))
    return made[: -(-complaints // CHUNK)]


async def limit(cluster: Cluster, folder: Path, *, events: int, rounds: int) -> dict[str, Any]:
    """The raw passthrough on the inputs of all rounds of escalation's hop: best and median of as many."""
    tell(f"limit: {rounds} rounds of {events * rounds} events")
    async with bed(cluster, folder) as made:
        chunks = [chunk for number in range(rounds) for chunk in supply(events, f"hop-{number}")]
        events = len(chunks) * CHUNK
        for chunk in chunks:
            await made.send(chunk.complaints)
        results = []
        for number in range(rounds):
            results.append(await _passthrough(made, events, number))
    middle = median(result["events_s"] for result in results)
    found = next(result for result in results if result["events_s"] == middle) if rounds % 2 else results[0]
    return {**found, "rounds": [round(result["events_s"]) for result in results]}


async def _passthrough(made: Bed, events: int, number: int) -> dict[str, Any]:
    child = made.run_module(
        "tests.bench.passthrough",
        made.cluster.kafka_bootstrap, made.prefix + "complaints", made.prefix + "escalations", str(events),
        name=f"passthrough-{number}",
    )  # fmt: skip
    deadline = time.monotonic() + PASSTHROUGH_S
    while child.alive and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    if child.returncode != 0:
        raise RuntimeError(f"the passthrough failed (status {child.returncode}):\n" + "\n".join(child.last_lines()))
    result: dict[str, Any] = orjson.loads(child.last_lines(1)[0])
    return result


async def hop(
    cluster: Cluster,
    folder: Path,
    service: str,
    *,
    events: int,
    rounds: int = 1,
    seed: Seed | None = None,
    wrapper: Sequence[str] = (),
) -> dict[str, Any]:
    """Events a second of one service, its transactions and what it sends included: the middle one of some rounds.

    `seed` fills the database first. Each round has its own inputs; they are all there before the service starts.
    """
    results = []
    async with bed(cluster, folder) as made:
        if seed is not None:
            await seed(made, service)
        conn = await made.connect(service)
        await conn.execute("checkpoint")
        await conn.close()
        for number in range(rounds):
            expected = await preload(made, service, events, f"hop-{number}")
            tell(f"hop: {service}, {expected} events" + (f", round {number + 1} of {rounds}" if rounds > 1 else ""))
            machine = Machine()
            made.start(service, wrapper=wrapper)
            result = await _follow(made, service, expected)
            result["machine"] = machine.read(result.pop("cpu_s"))
            result["rss_mb"] = round(resident_mb(made.children[service].pid), 1)
            await made.stop()
            results.append(result)
    results.sort(key=lambda each: each["events_s"])
    return {**results[len(results) // 2], "rounds": [round(each["events_s"]) for each in results]}


async def preload(made: Bed, service: str, events: int, name: str) -> int:
    """Put about `events` inputs before a service, those of `name`. Returns how many they are."""
    before = WAY[: WAY.index(service)]
    topics = [TOPIC_OF[each] for each in before if TOPIC_OF[each] in topics_followed_by(service)]
    complaints = max(CHUNK, events // max(1, len(topics)) // CHUNK * CHUNK)
    if service == "intake":
        await _fill_inbox(made, Maker(made.id_key), Samples(name), complaints)
        return complaints
    expected = 0
    for new in supply(complaints, name):
        written = {"complaints": new.complaints, "escalations": new.escalations, "followups": new.followups}
        inputs = [event for topic in topics for event in written[topic]]
        expected += len(inputs)
        await made.send(inputs)
    return expected


async def _fill_inbox(made: Bed, maker: Maker, samples: Samples, count: int) -> None:
    conn = await made.connect("intake")
    await conn.execute("set synchronous_commit = off")
    batch: list[Any] = []
    for accepted in maker.deliveries(samples, 0, count):
        batch += accepted
        if len(batch) >= CHUNK:
            async with conn.transaction():
                await store.store(conn, MASTER_KEYS, batch)
            batch = []
    if batch:
        async with conn.transaction():
            await store.store(conn, MASTER_KEYS, batch)
    await conn.close()


async def _follow(made: Bed, service: str, expected: int) -> dict[str, Any]:
    """Watch a service work off `expected` inputs; the rate between the first and the last reading in between."""
    meter = made.meter()
    readings: list[Reading] = []
    moved = time.monotonic()
    conn = await made.connect(service)
    try:
        while not (readings and readings[-1].handled >= expected and await conn.fetchval(ALL_SENT)):
            await asyncio.sleep(EVERY_S)
            handled, sent, submissions = await asyncio.to_thread(made.counter, service, HANDLED, SENT, SUBMISSIONS)
            if service == "intake":
                handled = submissions
            if not readings or handled + sent > readings[-1].handled + readings[-1].sent:
                moved = time.monotonic()
            readings.append(Reading(time.perf_counter(), handled, sent, meter.read()))
            made.check(service)
            if time.monotonic() - moved > STALLED_S:
                raise RuntimeError(
                    f"{service} stands still at {handled:.0f} of {expected}; its log: {made.children[service].log}"
                )
    finally:
        await conn.close()
    return {**_between(readings, expected, service), "cpu_s": sum(readings[-1].cpu.values())}


def _between(readings: Sequence[Reading], expected: int, service: str) -> dict[str, Any]:
    # Worked off is what is saved and, where something follows from it, sent.
    sent = readings[-1].sent
    done = [min(each.handled, each.sent * expected / sent) if sent else each.handled for each in readings]
    started = next(number for number, count in enumerate(done) if count > 0)
    ended = next(number for number, count in enumerate(done) if count >= expected)
    # That reading stands some time after the end: the one before it, unless there are too few.
    ended -= ended - started > 8
    first, last, count = readings[started], readings[ended], done[ended] - done[started]
    if count <= 0:
        raise RuntimeError(f"{service} worked off {expected} events between two readings: take more")
    seconds = last.at - first.at
    cpu = {name: (last.cpu[name] - first.cpu[name]) / count * 1e6 for name in last.cpu}
    return {
        "events_s": round(count / seconds, 1),
        "cpu_us": round(cpu.pop(service), 1),
        **{f"{name}_cpu_us": round(value, 1) for name, value in cpu.items()},
        "busy": round((last.cpu[service] - first.cpu[service]) / seconds, 2),
        "events": expected,
        "emitted": round(readings[-1].sent),
    }
