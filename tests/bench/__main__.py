"""Measures Amends on this machine: `python -m tests.bench` (or `make bench`). `--help` explains the parts."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from deploy.local.processes import interrupts
from tests.bench import hops, sampler, whole_way
from tests.bench.bed import SERVICES, servers, tell
from tests.bench.parts import parts
from tests.bench.report import table

PARTS = ("limit", "hops", "whole_way", "rss", "parts")
QUICK_S = 6.0
EXAMPLES = """\
examples:
  python -m tests.bench                                    everything
  python -m tests.bench --quick --json bench.json          the same with little data, for a first look
  python -m tests.bench --part hops --service escalation   one service's hop, and the limit it is compared with
  python -m tests.bench --part hops --service records --profile   where its time goes
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, help="only this part (hops: with the limit that it is compared with)")
    parser.add_argument("--service", choices=SERVICES, help="only this service's hop")
    parser.add_argument("--events", type=int, help="inputs of each hop (default 60,000; quick 15,000)")
    parser.add_argument(
        "--profile", action="store_true", help="run the hops under a sampling profiler, and show where the time goes"
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long the whole way must hold its rate (default 20; quick 6)"
    )
    parser.add_argument("--quick", action="store_true", help="little data: a first look, in less than 90 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the results there, too")
    given = parser.parse_args()
    given.events = given.events or (15_000 if given.quick else 60_000)
    if given.events < 5_000:
        parser.error("--events must be at least 5000: fewer are over before they can be measured")
    return given


async def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the parts that were asked for; returns their results."""
    wanted = (given.part,) if given.part else PARTS
    services = (given.service,) if given.service else SERVICES
    results: dict[str, Any] = {}
    if "parts" in wanted:
        tell("parts: steps inside a process")
        results["parts"] = parts()
    if set(wanted) <= {"parts"}:
        return results
    with servers() as cluster:
        if not given.profile and {"limit", "hops"} & set(wanted):
            limit = await hops.limit(cluster, folder, events=given.events)
            results |= {"limit": round(limit["events_s"], 1), "limit_detail": limit}
        if "hops" in wanted:
            results["hops"] = {}
            for service in services:
                file = folder / f"{service}.profile"
                wrapper = ("-m", "tests.bench.sampler", str(file)) if given.profile else ()
                hop = await hops.hop(cluster, folder, service, events=given.events, wrapper=wrapper)
                results["hops"][service] = hop
                if given.profile:
                    profile = orjson.loads(file.read_bytes())
                    results.setdefault("profile", {})[service] = sampler.top(profile, hop["events"])
                else:
                    hop["ratio"] = round(hop["events_s"] / results["limit"], 3)
        if "whole_way" in wanted or "rss" in wanted:
            short = given.quick or "whole_way" not in wanted
            ways, memory = await whole_way.whole_way(
                cluster,
                folder,
                seconds=min(given.seconds, QUICK_S) if short else given.seconds,
                probe_s=3.0 if short else 8.0,
            )
            results |= ({"whole_way": ways} if "whole_way" in wanted else {}) | {"rss_mb": memory}
    return results


def main() -> int:
    given = arguments()
    with interrupts(), tempfile.TemporaryDirectory(prefix="amends-bench-") as folder:
        try:
            results = asyncio.run(measure(given, Path(folder)))
        except RuntimeError as problem:
            print(f"bench: {problem}", file=sys.stderr)
            return 1
    print(table(results))
    if given.json:
        Path(given.json).write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
