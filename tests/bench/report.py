"""The benchmark's results as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TARGETS = {"ratio": 0.35}


def table(results: Mapping[str, Any]) -> str:
    """The results that are there, part by part."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    if "limit" in results:
        more = results["limit_detail"]
        yield f"limit (raw aiokafka, parse and dump, {more['event_bytes']:.0f}-byte events)"
        yield f"  {results['limit']:>9,.0f} events/s   {more['cpu_us']:.1f} us CPU/event   rounds {more['rounds']}"
        yield ""
    for part in ("hops", "large"):
        if part in results:
            yield from _hops(part, results[part])
    if "whole_way" in results:
        yield from _whole_way(results["whole_way"])
    if "rss_mb" in results:
        yield "resident memory after the load (to stay below 150 MB)"
        yield "  " + "   ".join(f"{service} {size:.0f} MB" for service, size in results["rss_mb"].items())
        yield ""
    if "parts" in results:
        yield "steps inside a process, us per event"
        for group, steps in results["parts"].items():
            yield f"  {group}"
            for step, us in steps.items():
                yield f"    {step:<28}{us:8.2f}"
        yield ""
    for service, text in results.get("profile", {}).items():
        yield f"profile of {service}"
        yield text


def _hops(part: str, hops: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    seeded = part == "large"
    yield (
        "one service's hop, 1,000,000 complaints in the database"
        if seeded
        else "one service's hop, PostgreSQL and sending included"
    )
    yield (
        f"  {'':<11}{'events/s':>9} {'of limit':>9} {'us CPU':>8} {'postgres':>9} {'kafka':>7} {'busy':>6} {'RSS MB':>7}"
        + (f" {'of empty':>9}" if seeded else "")
    )
    for service, hop in hops.items():
        ratio = f"{hop['ratio']:.2f}" if "ratio" in hop else "-"
        yield (
            f"  {service:<11}{hop['events_s']:>9,.0f} {ratio:>9} {hop['cpu_us']:>8.1f} {hop.get('postgres_cpu_us', 0):>9.1f} "
            f"{hop.get('kafka_cpu_us', 0):>7.1f} {hop['busy']:>6.2f} {hop['rss_mb']:>7.0f}"
        ) + (f" {hop['of_empty']:>9.2f}" if "of_empty" in hop else "")
    yield ""


def _whole_way(ways: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "whole way, HTTP to ledger"
    for name, way in ways.items():
        yield f"  {name:<8}{way}"
    yield ""
