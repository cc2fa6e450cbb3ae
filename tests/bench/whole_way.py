"""The whole way, from a request to the last ledger row: how much is sustained, and how long one complaint takes.

All four services run, one replica each. First as fast as the load gets answers, to see about where the end is; then at a
given rate, lower and lower until what is accepted and not yet recorded no longer grows; that rate for `seconds`; and a
fifth of it, for the latencies.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from shared.contracts import ids
from tests.bench import sampler
from tests.bench.bed import SERVICES, Bed, bed, tell
from tests.bench.cost import Machine, resident_mb
from tests.bench.events import SOURCE
from tests.bench.load import Plan
from tests.bench.samples import Samples
from tests.harness.cluster import Cluster

WRITERS = ("intake", "escalation", "followup")
LIST = 100
CONNECTIONS = {1: 64, LIST: 8}
SETTLE_S = 1.5  # at the start of a run, before anything is judged
GROWTH_S = 0.2  # the backlog may grow by this much of the load between the first and the last third: noise
STEPS = 8
DRAIN_S = 60.0
LOW = 0.2
SAVES = ("amends_save_duration_seconds_sum", "amends_save_duration_seconds_count")
# From one ledger index on: when each complaint was recorded, which is when the first event of the last writer was.
RECORDED = """
select complaint_id, extract(epoch from max(recorded_at))::float8 from (
    select complaint_id, service, min(recorded_at) as recorded_at
    from ledger_payload join ledger_leaf using (idx) where idx >= $1 and service = any($2) group by complaint_id, service
) as first group by complaint_id having count(*) = cardinality($2)
"""
ROWS = "select size from ledger_head"
STILL_S = 0.5  # for so long nothing came into the ledger: everything that follows from the load is there


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load, worked off. Times in seconds since 1970."""

    plan: Plan
    started: float
    ended: float
    drained: float
    requests: list[tuple[int, float, float]]
    recorded: dict[Any, float]
    cpu: dict[str, float]
    machine: dict[str, float]
    save_s: float

    @property
    def complaints(self) -> int:
        return len(self.requests) * self.plan.per_request

    @property
    def accepted_s(self) -> float:
        """Complaints accepted a second, from SETTLE_S after the start to the end of the load."""
        first = self.started + SETTLE_S
        answered = sum(1 for _, _, at in self.requests if first < at <= self.ended)
        return answered * self.plan.per_request / (self.ended - first)

    def backlog(self, points: int = 9) -> list[int]:
        """How many were accepted and not yet recorded, at even distances from SETTLE_S after the start to the end."""
        answers = sorted(at for _, _, at in self.requests)
        rows = sorted(self.recorded.values())
        first = self.started + SETTLE_S
        times = [first + (self.ended - first) * n / (points - 1) for n in range(points)]
        return [bisect_right(answers, t) * self.plan.per_request - bisect_right(rows, t) for t in times]

    def recorded_s(self) -> float:
        """Complaints recorded a second, from SETTLE_S after the start to the end of the load."""
        rows = sorted(self.recorded.values())
        first = self.started + SETTLE_S
        return (bisect_right(rows, self.ended) - bisect_right(rows, first)) / (self.ended - first)

    def lags(self, points: int = 90) -> list[float]:
        """The backlog in seconds of this load."""
        return [waiting / max(1.0, self.accepted_s) for waiting in self.backlog(points)]

    @property
    def growth_s(self) -> float:
        """By how many seconds of load the backlog of the last third is larger than that of the first."""
        lags = self.lags()
        third = len(lags) // 3
        return fmean(lags[-third:]) - fmean(lags[:third])

    @property
    def steady(self) -> bool:
        """Everything that was due was accepted, and the backlog did not grow."""
        return self.accepted_s >= 0.98 * self.plan.rate and self.growth_s <= GROWTH_S


class Way:
    """The services on one bed, and one load after the other against them."""

    def __init__(self, made: Bed, per_request: int) -> None:
        self._made = made
        self._per_request = per_request
        self._name = "single requests" if per_request == 1 else f"lists of {per_request}"
        self._runs = 0
        self._rows = 0  # of the ledger, after the last run
        self.complaints = 0  # recorded so far

    async def start(self, profiles: Mapping[str, Path]) -> None:
        for service in SERVICES:
            wrapper = sampler.wrapper(profiles[service]) if service in profiles else ()
            self._made.start(service, wrapper=wrapper)
        for service in SERVICES:
            await self._made.ready(service)

    async def run(self, rate: float, seconds: float, *, random_gaps: bool = False) -> Run:
        """Put this load on, and wait until all of it is recorded. Raises RuntimeError if anything was refused or lost."""
        made = self._made
        self._runs += 1
        name = f"load-{self._per_request}-{self._runs}"
        file = made.folder / f"{name}.json"
        plan = Plan(
            port=made.ports["intake"], key=made.key, prefix=f"{secrets.token_hex(3)}", per_request=self._per_request,
            connections=CONNECTIONS[self._per_request], rate=rate, seconds=seconds, file=str(file), random_gaps=random_gaps,
        )  # fmt: skip
        how = f"{rate:,.0f} complaints/s" if rate else "as fast as it is answered"
        tell(f"whole way, {self._name}: {how} for {seconds:.0f} s")
        saves = await asyncio.to_thread(made.counter, "records", *SAVES)
        load = made.run_module("tests.bench.load", plan.json(), name=name)
        meter, machine = made.meter(load=load.pid), Machine()
        while load.alive:
            await asyncio.sleep(0.5)
            cpu = meter.read()
            busy = machine.read(sum(cpu.values()))
            for service in SERVICES:
                made.check(service)
        if load.returncode:
            raise RuntimeError("the load failed:\n" + "\n".join(load.last_lines()))
        done = orjson.loads(file.read_bytes())
        if done["refused"]:
            raise RuntimeError(f"the load was refused (status, requests): {done['refused']}")
        complaints = self._per_request * len(done["done"])
        drained, recorded = await self._drained(complaints)
        self.complaints += complaints
        last = await asyncio.to_thread(made.counter, "records", *SAVES)
        cpu["load"] = done["cpu_s"]
        return Run(
            plan=plan, started=done["started"], ended=done["ended"], drained=drained, cpu=cpu, machine=busy,
            requests=[tuple(request) for request in done["done"]], recorded=recorded,
            save_s=(last[0] - saves[0]) / max(1.0, last[1] - saves[1]),
        )  # fmt: skip

    async def _drained(self, complaints: int) -> tuple[float, dict[Any, float]]:
        """Wait until so many more complaints are in the ledger and nothing comes into it any more.

        Returns when the last row came, and when each complaint was recorded.
        """
        conn = await self._made.connect("records")
        try:
            rows, moved, last = -1, time.monotonic(), time.time()
            while time.monotonic() - moved < DRAIN_S:
                for service in SERVICES:
                    self._made.check(service)
                if (now := await conn.fetchval(ROWS)) != rows:
                    rows, moved, last = now, time.monotonic(), time.time()
                elif time.monotonic() - moved > STILL_S:
                    recorded = {row[0]: row[1] for row in await conn.fetch(RECORDED, self._rows, WRITERS)}
                    if len(recorded) >= complaints:
                        self._rows = rows
                        return last, recorded
                await asyncio.sleep(0.05)
        finally:
            await conn.close()
        raise RuntimeError(f"nothing was recorded for {DRAIN_S:.0f} s, and complaints are missing in the ledger")

    async def highest(self, seconds: float) -> tuple[Run, float]:
        """A first run without a rate, and the rate at which all of it was worked off."""
        run = await self.run(0.0, seconds)
        return run, run.complaints / (run.drained - run.started)

    async def sustained(self, rate: float, seconds: float, probe_s: float) -> tuple[Run, int]:
        """The highest rate that lasts: short runs up or down from `rate` to find it, then full ones, down until one is steady.

        Returns the last run, steady or not, and how many there were.
        """
        lasted: float | None = None
        length = probe_s
        for step in range(1, STEPS):
            run = await self.run(rate, length)
            tell(
                f"whole way, {self._name}: accepted {run.accepted_s:,.0f}/s, recorded {run.recorded_s():,.0f}/s, "
                f"backlog {run.backlog(5)}, {run.growth_s:+.2f} s; others took {run.machine['others']:.1f} cores"
            )
            if length == seconds:
                if run.steady:
                    return run, step
                rate *= 0.95
            elif run.steady:
                lasted, rate = rate, 1.1 * rate
            elif lasted is None:
                rate = min(0.95 * rate, max(0.8 * rate, run.recorded_s()))
                length = seconds if step > STEPS // 2 else probe_s
            else:
                rate, length = lasted, seconds
        return await self.run(lasted or rate if length < seconds else rate, seconds), STEPS


async def whole_way(
    cluster: Cluster, folder: Path, *, seconds: float, probe_s: float, profile: bool = False
) -> dict[str, dict[str, Any]]:
    """Single requests, then lists. With `profile`: where the time of each service goes, of all runs together."""
    ways: dict[str, dict[str, Any]] = {}
    for name, per_request in (("single", 1), ("lists", LIST)):
        async with bed(cluster, folder) as made:
            files = {service: folder / f"{name}-{service}.profile" for service in SERVICES} if profile else {}
            way = Way(made, per_request)
            await way.start(files)
            ways[name] = await _measure(way, made, seconds, probe_s)
            ways[name]["rss_mb"] = {s: round(resident_mb(made.children[s].pid), 1) for s in SERVICES}
            await made.stop()
            if profile:
                ways[name]["profile"] = {
                    service: sampler.top(orjson.loads(file.read_bytes()), way.complaints)
                    for service, file in files.items()
                }
    return ways


async def _measure(way: Way, made: Bed, seconds: float, probe_s: float) -> dict[str, Any]:
    closed, rate = await way.highest(min(5.0, probe_s))
    full, tries = await way.sustained(rate * 1.1, seconds, probe_s)
    low = await way.run(LOW * full.accepted_s, max(2 * probe_s, seconds / 2), random_gaps=True)
    to_ledger, to_answer = _latencies(low, made.id_key)
    lasted = full.ended - full.started
    return {
        "complaints_s": round(min(full.accepted_s, full.recorded_s()), 1),
        "steady": full.steady,
        "seconds": seconds,
        "tries": tries,
        **{f"p{p}_ms": round(1000 * _percentile(to_ledger, p), 1) for p in (50, 99)},
        **{f"accept_p{p}_ms": round(1000 * _percentile(to_answer, p), 1) for p in (50, 99)},
        "low": {
            "complaints_s": round(low.accepted_s, 1),
            "seconds": low.plan.seconds,
            "complaints": low.complaints,
            "machine": low.machine,
        },
        "backlog": full.backlog(),
        "backlog_growth_s": round(full.growth_s, 2),
        "accepted_s": round(full.accepted_s, 1),
        "recorded_s": round(full.recorded_s(), 1),
        "closed": {"accepted_s": round(closed.accepted_s, 1), "worked_off_s": round(rate, 1)},
        "cpu_us": {name: round(cpu / full.complaints * 1e6, 1) for name, cpu in full.cpu.items()},
        "busy": {name: round(cpu / lasted, 2) for name, cpu in full.cpu.items()},
        "machine": full.machine,
    }


def _latencies(run: Run, id_key: bytes) -> tuple[list[float], list[float]]:
    """Seconds from when each request was due to the ledger row of each complaint, and to its answer; sorted.

    A ledger row tells when its transaction began: the mean time of such a save is added.
    """
    samples = Samples(run.plan.prefix)
    to_ledger = [
        run.recorded[ids.complaint_id(id_key, SOURCE, samples.record_id(number))] - due + run.save_s
        for first, due, _ in run.requests
        for number in range(first, first + run.plan.per_request)
    ]
    return sorted(to_ledger), sorted(at - due for _, due, at in run.requests)


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """By nearest rank."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
