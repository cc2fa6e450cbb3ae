"""The benchmark's results as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


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
    if "ledger" in results:
        yield from _ledger(results["ledger"])
    if "search" in results:
        yield from _search(results["search"])
    if "csv" in results:
        found = results["csv"]
        yield f"CSV import of {found['rows']:,} rows ({found['file_mb']} MB), from the command until each is a complaint in Kafka"
        yield (
            f"  {found['rows_s']:>9,.0f} rows/s   {found['seconds']} s   stored at {found['stored_rows_s']:,.0f} rows/s   "
            f"intake {found['cpu_us']['intake']:.0f} us CPU/row   RSS {found['rss_mb']} MB   others {found['machine']['others']}"
        )
        yield ""
    if "checkins" in results:
        yield "check-ins that come due at once (to reach: 5,000/s a process, no double, in order)"
        for name, found in results["checkins"].items():
            yield (
                f"  {name:<16}{found['per_s']:>9,}/s   {found['due']:,} in {found['seconds']} s, {found['pending']:,} others pending   "
                f"{found['doubles']} doubles, {found['missing']} missing, {found['out_of_order']} out of order   "
                f"us CPU each: {found['cpu_us']['followup']:.0f} followup, {found['cpu_us'].get('postgres', 0):.0f} PostgreSQL"
            )
        yield ""
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
    if "adapters" in results:
        yield "normalizing and reading, from the bytes to the events, per complaint of each system (one core)"
        for adapter, found in results["adapters"].items():
            yield (
                f"  {adapter:<20}{found['us']:>8.1f} us (the adapter {found['adapter_us']:>6.1f}) {found['complaints_s']:>9,} complaints/s"
                f"   {found['ratio']:.3f} of the raw limit ({found['limit_us']:.1f} us)"
            )
        yield ""
    if "hooks" in results:
        yield "signed webhooks, one process of intake (to reach: 3,000/s, p99 below 50 ms at half of that)"
        for name, found in results["hooks"].items():
            yield (
                f"  {name:<5}{found['requests_s']:>9,.0f}/s   p50 {found['p50_ms']:.1f} ms   p99 {found['p99_ms']:.1f} ms   "
                f"{found['cpu_us']:.0f} us CPU of intake each"
            )
        yield ""
    if "policy" in results:
        yield from _policy(results["policy"])
    if "reload" in results:
        found = results["reload"]
        calm, busy = found["calm_p99_ms"], found["reloading_p99_ms"]
        yield f"escalation's policy with {found['rules']} rules more, a new version in force every 2 s (effect to stay below 50 ms)"
        yield f"  p99 of a batch of decisions: {calm:.1f} ms without, {busy:.1f} ms with reloads: {found['effect_ms']:+.1f} ms"
        yield (
            f"  {found['reloads']} reloads; above {found['above_ms']:.0f} ms: {found['reloading_above']} of {found['batches']} with "
            f"reloads, {found['calm_above']} without; others {found['others']:.1f}"
        )
        yield ""
    if "rollback" in results:
        found = results["rollback"]
        yield f"rollback, confirmed by {found['replicas']} processes (to stay below 5 s)"
        for name, what in (("confirmed", "from its first step"), ("command", "the whole command")):
            took = found[name]
            yield f"  {what:<20} median {took['median_s']:.2f} s   worst {took['worst_s']:.2f} s   ({took['rounds']} rounds)"
        yield ""
    if "clocks" in results:
        yield from _clocks(results["clocks"])
    for service, text in results.get("profile", {}).items():
        yield f"profile of {service}"
        yield text


def _clocks(found: Mapping[str, Any]) -> Iterator[str]:
    one, sweep, timers = found["computation"], found["recompute"], found["timers"]
    yield "clocks"
    yield (
        f"  one computation     median {one['median_us']:.1f} us, worst {one['worst_us']:.1f} us (to stay below 20); with its "
        f"segments {one['explained_median_us']:.1f} us"
    )
    yield (
        f"  worked out again    {sweep['unchanged_s']:,} complaints/s when nothing changes, {sweep['all_changed_s']:,} when every "
        f"one does (to reach: 3,000); {sweep['unchanged_cpu_us']} and {sweep['all_changed_cpu_us']} us CPU each"
    )
    yield (
        f"  timers              {timers['fired']:,} fired, p50 {timers['p50_ms']:.0f} ms and p99 {timers['p99_ms']:.0f} ms late (to stay "
        f"below 1,000), {timers['early']} early; {timers['flow_s']:,} new complaints/s beside {timers['complaints']:,} open ones"
    )
    yield ""


def _policy(found: Mapping[str, Any]) -> Iterator[str]:
    yield "policy, us per decision (to reach: 4 times plain Python without explanation, 10 times with)"
    yield f"  {'':<11}{'plain':>9} {'without':>9} {'with':>9} {'x without':>10} {'x with':>8} {'load ms':>8}"
    for name, each in found.items():
        if name != "backtest":
            yield (
                f"  {name:<11}{each['plain_us']:>9.2f} {each['without_explanation_us']:>9.2f} {each['with_explanation_us']:>9.2f}"
                f" {each['without_explanation_x']:>10.2f} {each['with_explanation_x']:>8.2f} {each['load_ms']:>8.1f}"
            )
    backtest = found["backtest"]
    yield (
        f"  backtest    {backtest['rows_s']:,} recorded decisions/s, {backtest['bytes_per_row']} bytes each: a million in "
        f"{backtest['million_s']} s, {backtest['million_cpu_s']} s of CPU on two processes (to reach: 60 s)"
    )
    yield ""


def _hops(part: str, hops: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    title = "one service's hop, PostgreSQL and sending included (to reach: 0.35 of the limit)"
    more = ""
    if part == "large":
        title = f"the same, {next(iter(hops.values()))['complaints']:,} complaints in the database (to reach: 0.90 of empty)"
        more = f" {'of empty':>9} {'CPU of it':>9}"
    yield title
    yield (
        f"  {'':<11}{'events/s':>9} {'of limit':>9} {'us CPU':>8} {'postgres':>9} {'kafka':>7} {'busy':>6} {'RSS MB':>7}"
        f" {'others':>7}{more}"
    )
    for service, hop in hops.items():
        ratio = f"{hop['ratio']:.2f}" if "ratio" in hop else "-"
        yield (
            f"  {service:<11}{hop['events_s']:>9,.0f} {ratio:>9} {hop['cpu_us']:>8.1f} {hop.get('postgres_cpu_us', 0):>9.1f}"
            f" {hop.get('kafka_cpu_us', 0):>7.1f} {hop['busy']:>6.2f} {hop['rss_mb']:>7.0f} {hop['machine']['others']:>7.1f}"
        ) + (f" {hop['ratio_to_empty']:>9.2f} {hop['cpu_to_empty']:>9.2f}" if more else "")
    yield ""


def _ledger(found: Mapping[str, Any]) -> Iterator[str]:
    yield "ledger (to reach: save 20,000/s and 0.3 of COPY; verify 200,000/s; a proof in 5 ms)"
    yield (
        f"  save   {found['save_events_s']:>9,.0f} events/s   {found['save_cpu_us']:.1f} us CPU/event   "
        f"{found['save_of_copy']:.2f} of plain COPY ({found['copy_events_s']:,.0f}/s)"
    )
    yield (f"  tree   {found['publish_leaves_s']:>9,.0f} leaves/s   export {found['export_leaves_s']:,.0f}/s")
    yield (
        f"  verify {found['verify_database_leaves_s']:>9,.0f} leaves/s in the database"
        f" (with payloads {found['verify_payloads_leaves_s']:,.0f}/s)   {found['verify_export_leaves_s']:,.0f}/s in an export"
    )
    sizes = found["bytes_per_event"]
    yield (
        f"  proof  {found['proof_p50_ms']:>9.2f} ms p50, {found['proof_p99_ms']:.2f} ms p99 of {found['leaves']:,} leaves   "
        f"bytes/event: payload {sizes['payload']}, its table {sizes['ledger_payload']}, leaves {sizes['ledger_leaf']}"
        f"   others {found['machine']['others']:.1f}"
    )
    yield ""


def _search(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"search, {found['complaints']:,} complaints, {found['bytes_per_complaint']:,} bytes each (to reach: p95 100 ms)"
    yield f"  {'all kinds':<32} {found['p50_ms']:>8.1f} ms p50 {found['p95_ms']:>8.1f} ms p95"
    for name, times in sorted(found["kinds"].items(), key=lambda kind: -float(kind[1]["p95_ms"])):
        yield f"  {name:<32} {times['p50_ms']:>8.1f} ms p50 {times['p95_ms']:>8.1f} ms p95"
    yield (
        f"  rebuild of {found['rebuilt_events']:,} events into {found['rebuilt_cases']:,} cases: {found['rebuild_events_s']:,.0f}/s, "
        f"{found['rebuild_cpu_us']:.0f} us CPU each"
    )
    yield ""


def _whole_way(ways: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "whole way, HTTP to ledger (to reach: 1,500/s single, 3,000/s in lists; p99 500 ms to the ledger, 50 ms to the 202)"
    yield (
        f"  {'':<8}{'complaints/s':>13} {'for':>6} {'backlog':>8}   {'at 20%:':<8} {'to ledger p50':>13} {'p99':>8}"
        f" {'to 202 p50':>11} {'p99':>8} {'others':>7}"
    )
    for name, way in ways.items():
        kept = "steady" if way["steady"] else "grows"
        yield (
            f"  {name:<8}{way['complaints_s']:>13,.0f} {way['seconds']:>4.0f} s {kept:>8}   "
            f"{way['low']['complaints_s']:>6,.0f}/s {way['p50_ms']:>10.1f} ms {way['p99_ms']:>5.1f} ms"
            f" {way['accept_p50_ms']:>8.1f} ms {way['accept_p99_ms']:>5.1f} ms {way['machine']['others']:>7.1f}"
        )
    yield "  us CPU of each complaint"
    for name, way in ways.items():
        total = sum(way["cpu_us"].values())
        yield f"  {name:<8}{total:>6.0f} = " + " + ".join(f"{who} {us:.0f}" for who, us in way["cpu_us"].items())
    yield ""
