"""Measures Amends on this machine: `python -m tests.bench` (or `make bench`). `--help` explains the parts."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from deploy.local.processes import Interrupted, StartFailed, interrupts
from tests.bench import (
    checkins,
    clocks,
    hops,
    imports,
    large,
    ledger,
    reload,
    rollback,
    sampler,
    search,
    webhooks,
    whole_way,
)
from tests.bench.bed import SERVICES, servers, tell
from tests.bench.parts import parts
from tests.bench.policies import policies
from tests.bench.report import table
from tests.harness.cluster import Cluster

QUICK_S = 6.0
PROBE_S, SHORT_PROBE_S = 6.0, 3.0
PARTS = (
    "limit", "hops", "whole_way", "rss", "parts", "adapters", "hooks",
    "policy", "reload", "ledger", "csv", "checkins", "clocks", "search", "large",
)
DEFAULT = PARTS[:-2]
EXAMPLES = """\
parts:
  limit      raw aiokafka: consume, parse, dump, produce the events that intake emits
  hops       each service alone, its inputs there already: transactions and sending included
  whole_way  all four services: the rate from HTTP to ledger that lasts, and the time that one complaint takes
  rss        resident memory of the services after that (alone: after a short load)
  adapters   reading what each system sends: CPU per complaint, without Kafka and PostgreSQL
  hooks      signed webhooks against one process of intake: how many a second, and the latency at half of that
  parts      steps inside a process, without Kafka and PostgreSQL
  policy     decisions beside the same rules as plain Python functions, and a backtest of 300,000 recorded decisions
             (--complaints 1000000: a million)
  reload     time of a decision while a new version of the policy, with 50 rules more, comes into force every 2 s;
             and how long a rollback takes until three processes have confirmed it
  ledger     saving into the ledger beside plain COPY, the tree, verifying, proving, bytes on disk
  csv        a CSV file of 100,000 rows, from the command to Kafka
  checkins   50,000 check-ins that come due in one minute: handed out by one process, then by two (--complaints: how many
             others are pending, up to 1,000,000; without it 200,000); then 5,000 among 10,000, 100,000 and 1,000,000 others
  clocks     one business-time computation, working all clocks out again, and how late timers fire: 100,000 open complaints
             with five clocks each (--complaints 1000000: a million)
  search     every kind of search over 1,000,000 complaints (--complaints), and the index rebuilt from 200,000 events
             (--events); about 4 minutes and 4 GB of disk; only when it is asked for
  large      the hops with 1,000,000 complaints in the database, beside the same on empty tables. About 8 minutes and
             4 GB of disk; only when it is asked for

In a run of everything, and with --quick, csv, checkins, clocks and policy have less data than in one of their own.

examples:
  python -m tests.bench                                    everything but search and large, about 8 minutes
  python -m tests.bench --quick --json bench.json          the same with little data, for a first look
  python -m tests.bench --part whole_way --seconds 60      the rate must last for 60 seconds
  python -m tests.bench --part hops --service escalation   one service's hop, and the limit it is compared with
  python -m tests.bench --part hops --service records --profile   where its time goes
  python -m tests.bench --part large --service intake      one service with large tables

A run on a machine that does other things too says little: `others took` tells how many cores they had.
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, help="only this part (hops: with the limit that it is compared with)")
    parser.add_argument("--service", choices=SERVICES, help="only this service's hop (parts hops and large)")
    parser.add_argument(
        "--events", type=int, help="inputs of each round of a hop (default 10,000); of search: events of the rebuild (200,000)"
    )
    parser.add_argument(
        "--rounds", type=int, help="rounds of each hop, of which the middle one counts (default 3; quick 1)"
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="run hops, whole_way, hooks, csv or checkins under a sampling profiler, and show where the time goes",
    )
    parser.add_argument("--seconds", type=float, help="how long the whole way must hold its rate (default 20; quick 6)")
    parser.add_argument(
        "--complaints",
        type=int,
        help="how many large and clocks put into the database (default 1,000,000 and 100,000)",
    )
    parser.add_argument("--quick", action="store_true", help="little data: a first look, in less than two minutes")
    parser.add_argument("--json", metavar="FILE", help="write the results there, too")
    given = parser.parse_args()
    given.rebuilt = given.events or (10_000 if given.quick else search.EVENTS)
    given.events = given.events or 10_000
    given.rounds = 1 if given.profile else given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (QUICK_S if given.quick or given.part == "rss" else 20.0)
    if given.events < 5_000:
        parser.error("--events must be at least 5000: fewer are over before they can be measured")
    if given.rounds < 1 or given.seconds < QUICK_S or (given.complaints or large.VARIANTS) < large.VARIANTS:
        parser.error(f"at least 1 round, {QUICK_S:.0f} seconds and {large.VARIANTS} complaints")
    return given


async def measure(given: argparse.Namespace, folder: Path, results: dict[str, Any]) -> None:
    """Run the parts that were asked for; puts what they find into `results`, part by part."""
    wanted = {given.part} if given.part else set(DEFAULT)
    small = given.quick or not given.part  # everything in a few minutes: the large figures of a part are its own run
    services = (given.service,) if given.service else SERVICES
    if "parts" in wanted:
        tell("parts: steps inside a process")
        results["parts"] = parts()
    if "policy" in wanted:
        tell("policy: decisions by 5, 50 and 500 rules, and a backtest")
        results["policy"] = policies(decisions=given.complaints or (50_000 if small else 300_000))
    if "adapters" in wanted:
        tell("adapters: reading what each system sends")
        results["adapters"] = webhooks.adapters()
    if wanted <= {"parts", "policy", "adapters"}:
        return
    with servers() as cluster:
        if not given.profile and wanted & {"limit", "hops"}:
            limit = await hops.limit(cluster, folder, events=given.events, rounds=given.rounds)
            results.update(limit=round(limit["events_s"], 1), limit_detail=limit)
        if "hops" in wanted:
            results["hops"] = {}
            for service in services:
                await _hop(cluster, folder, service, given, results)
        if wanted & {"whole_way", "rss"}:
            probe_s = PROBE_S if given.seconds >= 20 else SHORT_PROBE_S
            ways = await whole_way.whole_way(
                cluster, folder, seconds=given.seconds, probe_s=probe_s, profile=given.profile
            )
            sizes = [way.pop("rss_mb") for way in ways.values()]
            for name, way in ways.items():
                for service, text in way.pop("profile", {}).items():
                    results.setdefault("profile", {})[f"{service}, whole way, {name}, per complaint"] = text
            if "whole_way" in wanted:
                results["whole_way"] = ways
            if not given.profile:
                results["rss_mb"] = {service: max(size[service] for size in sizes) for service in SERVICES}
        if "hooks" in wanted:
            file = folder / "hooks.profile"
            wrapper = sampler.wrapper(file) if given.profile else ()
            results["hooks"] = await webhooks.hooks(cluster, folder, seconds=given.seconds / 2, wrapper=wrapper)
            if given.profile:
                requests = sum(results["hooks"][part]["requests"] for part in ("most", "half"))
                results.setdefault("profile", {})["hooks"] = sampler.top(orjson.loads(file.read_bytes()), requests)
        if "reload" in wanted:
            results["reload"] = await reload.reload(cluster, seconds=max(6.0, given.seconds / 2))
            results["rollback"] = await rollback.rollback(cluster, folder)
        if "ledger" in wanted:
            results["ledger"] = await ledger.ledger(cluster, folder, events=given.events, rounds=given.rounds)
        if "csv" in wanted:
            file, rows = folder / "csv.profile", 10_000 if small else 100_000
            wrapper = sampler.wrapper(file) if given.profile else ()
            results["csv"] = await imports.imports(cluster, folder, rows=rows, wrapper=wrapper)
            if given.profile:
                results.setdefault("profile", {})["csv"] = sampler.top(orjson.loads(file.read_bytes()), rows)
        if "checkins" in wanted:
            due, pending = (10_000, 20_000) if small else (checkins.DUE, given.complaints or checkins.PENDING)
            file = folder / "checkins.profile"
            wrapper = sampler.wrapper(file) if given.profile else ()
            results["checkins"] = await checkins.checkins(cluster, folder, due=due, pending=pending, wrapper=wrapper)
            if given.profile:
                results.setdefault("profile", {})["checkins"] = sampler.top(orjson.loads(file.read_bytes()), due)
        if "clocks" in wanted:
            results["clocks"] = await clocks.clocks(cluster, given.complaints or (20_000 if small else clocks.MANY))
        if "search" in wanted:
            complaints = given.complaints or (50_000 if given.quick else search.COMPLAINTS)
            results["search"] = await search.search(cluster, complaints=complaints, events=given.rebuilt)
        if "large" in wanted:
            results["large"] = await large.large(
                cluster, folder, services, events=given.events, rounds=given.rounds, complaints=given.complaints or large.COMPLAINTS
            )


async def _hop(
    cluster: Cluster, folder: Path, service: str, given: argparse.Namespace, results: dict[str, Any]
) -> None:
    file = folder / f"{service}.profile"
    wrapper = sampler.wrapper(file) if given.profile else ()
    hop = await hops.hop(cluster, folder, service, events=given.events, rounds=given.rounds, wrapper=wrapper)
    results["hops"][service] = hop
    if given.profile:
        results.setdefault("profile", {})[service] = sampler.top(orjson.loads(file.read_bytes()), hop["events"])
    else:
        hop["ratio"] = round(hop["events_s"] / results["limit"], 3)
        hop["cpu_ratio"] = round(results["limit_detail"]["cpu_us"] / hop["cpu_us"], 3)


def main() -> int:
    given = arguments()
    results: dict[str, Any] = {}
    status = 0
    with interrupts(), tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        try:
            asyncio.run(measure(given, Path(folder), results))
        except Interrupted as signal:
            print(f"bench: interrupted ({signal})", file=sys.stderr)
            status = signal.exit_code
        except (RuntimeError, StartFailed, OSError) as problem:
            print(f"bench: {problem}", file=sys.stderr)
            status = 1
    print(table(results))
    if given.json:
        Path(given.json).write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
