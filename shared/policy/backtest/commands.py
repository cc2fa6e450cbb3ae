"""`amends policy backtest`: what a candidate would have done with recorded decisions, held against its guardrails."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.cli.progress import Counter
from shared.policy.backtest import run
from shared.policy.backtest.parquet import export
from shared.policy.backtest.report import Report
from shared.policy.backtest.source import from_records
from shared.policy.commands import File, load_document
from shared.policy.evaluate import Policy

app = typer.Typer()
SHOWN = 20


@app.command(epilog="Example: amends policy backtest new.yaml --recorded decisions.jsonl --old current.yaml --json")
def backtest(
    file: File,
    recorded: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Recorded decisions, one a line; without it, those that records has."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Records' decisions of so long, such as 90d; default: the guardrails' window."
        ),
    ] = None,
    old: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The policy to compare with; without it, what was recorded.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="REASON", help="Go on although a guardrail is broken; the reason is reported.")
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make recorded decisions again with a candidate: what changes, for whom, and whether the guardrails hold.

    Ends with 1 when a guardrail is broken and no --override is given.
    """
    if override is not None and not override.strip():
        raise WrongUse("--override needs a reason")
    new = load_document(file, {"passed": False}, as_json)
    before = None if old is None else load_document(old, {"passed": False}, as_json)
    if before is not None and before.kind != new.kind:
        raise WrongUse(f"{old} is of kind {before.kind}, {file} of {new.kind}: only documents of one kind compare")
    if recorded is not None and not recorded.is_file():
        raise WrongUse(f"{recorded}: no such file")
    if recorded is not None and since is not None:
        raise WrongUse("--since goes with the decisions of records, not with --recorded")
    began = time.monotonic()
    counter = Counter("decisions")
    given = run.from_file(recorded) if recorded else from_records(new, since, Client("records", url, key))
    tally = run.run(new, before, given, counter.add)
    counter.done()
    finish(new, before, Report(new, tally), time.monotonic() - began, override, as_json)


@app.command(
    epilog="Example: amends policy export-recorded escalation.yaml --recorded decisions.jsonl -o decisions.parquet"
)
def export_recorded(
    file: File,
    recorded: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", help="Recorded decisions, one a line.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.parquet", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write recorded decisions as Parquet (needs the extra `parquet`): for DuckDB, Spark and the like.

    FILE is a policy of the service that decided: it says which facts and outcomes there are.
    """
    policy = load_document(file, {"written": 0}, as_json)
    if not recorded.is_file():
        raise WrongUse(f"{recorded}: no such file")
    counter, written, unreadable = Counter("decisions"), 0, 0
    for rows, bad in export(policy, run.from_file(recorded), output):
        counter.add(rows)
        written, unreadable = written + rows, unreadable + bad
    counter.done()
    if as_json:
        print_json({"written": written, "unreadable": unreadable, "file": str(output)})
    else:
        typer.echo(
            f"{output}: {written:,} decisions{f'; {unreadable:,} lines could not be read' if unreadable else ''}"
        )
    raise typer.Exit(1 if unreadable else 0)


def finish(
    new: Policy, old: Policy | None, report: Report, seconds: float, override: str | None, as_json: bool
) -> None:
    """Show the report and end the command: with 0 if the guardrails hold or are overridden, else with 1."""
    found = report.as_json()
    reason = None if override is None else override.strip()
    if as_json:
        about = {"policy": _about(new), "old": None if old is None else _about(old)}
        print_json({**about, **found, "override": reason, "seconds": round(seconds, 2)})
    else:
        _show(new, found, seconds)
        if not found["passed"] and reason:
            typer.echo(f"overridden: {reason}")
    raise typer.Exit(0 if found["passed"] or reason else 1)


def _about(policy: Policy) -> dict[str, Any]:
    return {"id": policy.id, "version": policy.version, "digest": policy.digest}


def _show(policy: Policy, found: dict[str, Any], seconds: float) -> None:
    decisions, changed = found["decisions"], found["changed"]
    share = f" ({100 * changed / decisions:.2f}%)" if decisions else ""
    period = found["period"] or {"from": "-", "to": "-"}
    typer.echo(
        f"{policy.id} version {policy.version}: {decisions:,} decisions from {period['from']} to {period['to']} (UTC)"
    )
    typer.echo(f"{changed:,} come out differently{share}; {found['degraded']['new']:,} cannot be made by the rules")
    for name, values in found["outcomes"].items():
        for each in [each for each in values if each["old"] != each["new"]][:SHOWN]:
            typer.echo(f"  {name}: {_value(each['old'])} -> {_value(each['new'])}  {each['count']:,}")
    for tier, load in found["load"].items():
        old, new = load["old"], load["new"]
        typer.echo(
            f"  {tier}: {old['mean_per_hour']:.1f} -> {new['mean_per_hour']:.1f} an hour, "
            f"at most {old['peak_per_hour']} -> {new['peak_per_hour']}"
        )
    for name, moves in found["deadlines"].items():
        shift = moves["mean_shift_s"] / 3600
        typer.echo(f"  {name}: {moves['earlier']:,} earlier, {moves['later']:,} later, {shift:+.1f} h on average; "
                   f"{moves['gone']:,} gone, {moves['new']:,} new")  # fmt: skip
    for remedy, sums in found["remedies"].items():
        typer.echo(f"  authority {remedy}: {sums['old']} -> {sums['new']}")
    for who, counts in found["support_needs"].items():
        typer.echo(
            f"  {who} support needs: {counts['decisions']:,}, better {counts['better']:,}, worse {counts['worse']:,}"
        )
    for each in found["promises_worse"][:SHOWN]:
        typer.echo(
            f"  promise worse: {each['complaint'] or '-'} {each['name']} {each['old_due']} -> {each['new_due'] or 'none'}"
        )
    if len(found["promises_worse"]) > SHOWN:
        typer.echo(f"  ... {len(found['promises_worse']) - SHOWN:,} more promises get worse: --json lists each")
    for fault in found["faults"]:
        typer.echo(f"  cannot be read: {fault}", err=True)
    for each in found["guardrails"]:
        typer.echo(
            f"{'held  ' if each['passed'] else 'BROKEN'}  {each['name']}: {each['measured']} (limit {each['limit']})"
        )
    typer.echo(f"{seconds:.1f} s")


def _value(value: Any) -> str:
    return "none" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
