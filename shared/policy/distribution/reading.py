"""`amends policy list|show|status`: what is published, what is in force, and what each replica runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import typer

from shared.cli import kafka
from shared.cli.client import AsJson, print_json
from shared.clock import utc_now
from shared.contracts.policies import Activation, ReplicaStatus, VersionPublished
from shared.contracts.topics import POLICY_ACTIVATIONS, POLICY_STATUS, POLICY_VERSIONS
from shared.policy.distribution import actions, topics
from shared.policy.distribution.commands import Id, told
from shared.policy.distribution.line import SEVERAL, canaries_of, canary_at, in_force_at, slot_of, standing
from shared.policy.distribution.records import Records
from shared.policy.distribution.replicas import running

app = typer.Typer()


@app.command("list", epilog="Example: amends policy list --json")
def list_policies(as_json: AsJson = False) -> None:
    """The published policies by service: which version is in force, which are scheduled, proposed or shadowed."""
    records, now = _read(), utc_now()
    rows = [_row(records, policy, now) for policy in sorted({v.policy for v in records.versions.values()})]
    if as_json:
        print_json({"policies": rows})
        return
    for row in rows:
        state = f"version {row['in_force']} since {_day(row['since'])}" if row["in_force"] else "not in force"
        others = [
            f"{name} {', '.join(map(str, row[name]))}"
            for name in ("canary", "scheduled", "proposed", "shadow")
            if row[name]
        ]
        versions = f"{len(row['versions'])} version{'s' if len(row['versions']) > 1 else ''}"
        typer.echo(f"{row['service']:<11} {row['policy']:<28} {'; '.join([state, *others])} ({versions})")
    if not rows:
        typer.echo("none published yet; each service publishes its packaged one when it starts")


@app.command(epilog="Example: amends policy show escalation.retail --version 3")
def show(
    policy: Id,
    version: Annotated[int | None, typer.Option(help="Show this version's document.")] = None,
    as_json: AsJson = False,
) -> None:
    """The versions and activations of a policy, newest last; with --version a document as it was published."""
    records, now = _read(), utc_now()
    chosen = actions.published(records, policy, version)
    if version is not None:
        if as_json:
            print_json(chosen.model_dump(mode="json"))
        else:
            typer.echo(chosen.text, nl=not chosen.text.endswith("\n"))
            if chosen.parts:
                typer.echo(f"published with {', '.join(chosen.parts)}; --json has them, too", err=True)
        return
    versions = sorted((v for v in records.versions.values() if v.policy == policy), key=lambda v: v.version)
    history = [a for a in records.of_service(chosen.service) if a.policy == policy]
    shadows = _shadows(running(records, now), policy)
    if as_json:
        shown = {
            "versions": [v.model_dump(mode="json", exclude={"text"}) for v in versions],
            "activations": [_as_json(a, records, now) for a in history],
            "shadows": shadows,
        }
        print_json(_row(records, policy, now) | shown)
        return
    for v in versions:
        typer.echo(f"version {v.version:<4} {v.digest[:19]}  published {v.published_at:%d %b %Y %H:%M} by {v.by}")
    for a in history:
        override = f"; guardrail overridden: {a.override}" if a.override else ""
        typer.echo(f"{_state(a, records, now):<10} {told(a)}: {a.reason}{override}")
    for each in shadows:
        typer.echo(_shadow_line(each))
        for example in each["examples"][:3]:
            typer.echo(
                f"           {example['active']['outcome']} -> {example['shadow']['outcome']}  from {example['inputs']}"
            )


@app.command(epilog="Example: amends policy status --json")
def status(as_json: AsJson = False) -> None:
    """Which running replica decides by what, what it could not load and why, and what its shadows have seen.

    Ends with 1 when a replica has rejected a version or decides by another one than is in force.
    """
    records, now = _read(), utc_now()
    live = running(records, now)
    rows = [_replica(each, records, now) for each in live]
    policies = sorted({figures.policy for each in live for figures in each.shadows})
    shadows = [figures for policy in policies for figures in _shadows(live, policy)]
    wrong = any(row["rejected"] or not row["as_activated"] for row in rows)
    if as_json:
        print_json({"replicas": rows, "shadows": shadows, "ok": not wrong})
    else:
        for row in rows:
            packs = f" with {', '.join(row['packs'])}" if row["packs"] else ""
            doubts = [
                *([] if row["as_activated"] else ["NOT WHAT IS IN FORCE"]),
                *([] if row["fresh"] else ["has not seen the end of the topics lately"]),
                *(f"rejected {r['policy']} version {r['version']}: {r['reason']}" for r in row["rejected"]),
            ]
            packs += f", canary {', '.join(row['canaries'])}" if row["canaries"] else ""
            state = f"{row['policy']} version {row['version']} (activation {row['activation']}){packs}"
            typer.echo(f"{row['service']:<11} {row['replica']:<28} {'; '.join([state, *doubts])}")
        for figures in shadows:
            typer.echo(_shadow_line(figures))
        if not rows:
            typer.echo("no replica has told of itself in the last half minute")
    raise typer.Exit(1 if wrong else 0)


def _read() -> Records:
    where, _ = kafka.settings()
    every = (POLICY_VERSIONS, POLICY_ACTIVATIONS, POLICY_STATUS)
    return kafka.answer(where, lambda: topics.read_all(where, every))


def _row(records: Records, policy: str, now: datetime) -> dict[str, Any]:
    newest = actions.published(records, policy)
    slot = standing(actions.in_slot(records, newest))
    current = in_force_at(slot, now)
    mine = current is not None and current.policy == policy
    return {
        "policy": policy,
        "service": newest.service,
        "kind": newest.kind,
        "versions": sorted(v.version for v in records.versions.values() if v.policy == policy),
        "in_force": current.version if current is not None and mine else None,
        "since": current.effective_from.isoformat() if current is not None and mine else None,
        "canary": [f"{a.version} ({a.percent}%)" for a in canaries_of(slot, now) if a.policy == policy],
        "scheduled": [a.version for a in actions.scheduled(slot, now) if a.policy == policy],
        "proposed": [a.version for a in slot if a.mode == "proposed" and a.policy == policy],
        "shadow": [a.version for a in slot if a.mode == "shadow" and a.policy == policy and not _ended(a, now)],
    }


def _replica(status: ReplicaStatus, records: Records, now: datetime) -> dict[str, Any]:
    kind = _kind(status, records)
    slots: dict[str, list[Activation]] = {}
    for a in records.of_service(status.service):
        slots.setdefault(slot_of(a), []).append(a)
    canaries = [found for slot in slots.values() if (found := canary_at(slot, now)) is not None]
    due = in_force_at(slots.pop(kind, []), now)
    # Just switched: the replica's last word may be older than the activation.
    as_activated = due is None or status.activation in (0, due.seq) or due.effective_from > status.at
    for other in slots.values():
        due = in_force_at(other, now)
        if due is not None and due.effective_from <= status.at and max(a.seq for a in other) <= status.known:
            as_activated = as_activated and f"{due.policy}/{due.version}" in status.packs
    for canary in canaries:
        if canary.effective_from <= status.at and canary.seq <= status.known:
            as_activated = as_activated and f"{canary.policy}/{canary.version} {canary.percent}%" in status.canaries
    body = status.model_dump(mode="json", exclude={"shadows"})
    return body | {"as_activated": as_activated}


def _kind(status: ReplicaStatus, records: Records) -> str:
    version: VersionPublished | None = records.versions.get(f"{status.policy}/{status.version}")
    return version.kind if version else ""


def _shadows(live: Iterable[ReplicaStatus], policy: str) -> list[dict[str, Any]]:
    """The figures of a policy's shadows, of all replicas together."""
    found: dict[int, dict[str, Any]] = {}
    for figures in (f for status in live for f in status.shadows if f.policy == policy):
        about = {"policy": policy, "version": figures.version, "activation": figures.seq}
        total = found.setdefault(
            figures.seq, about | {"decisions": 0, "different": 0, "errors": 0, "differing": Counter(), "examples": []}
        )
        for name in ("decisions", "different", "errors"):
            total[name] += getattr(figures, name)
        total["differing"].update(figures.differing)
        total["examples"].extend(figures.examples)
    return [each | {"differing": dict(each["differing"].most_common())} for each in found.values()]


def _shadow_line(figures: dict[str, Any]) -> str:
    kinds = "; ".join(f"{count} x {what}" for what, count in list(figures["differing"].items())[:5])
    return (
        f"shadow     {figures['policy']} version {figures['version']}: {figures['decisions']} decisions, "
        f"{figures['different']} different, {figures['errors']} errors" + (f" ({kinds})" if kinds else "")
    )


def _as_json(a: Activation, records: Records, now: datetime) -> dict[str, Any]:
    return a.model_dump(mode="json", exclude_none=True) | {"state": _state(a, records, now)}


def _state(a: Activation, records: Records, now: datetime) -> str:
    slot = [b for b in records.of_service(a.service) if b.kind == a.kind]
    if a.kind in SEVERAL:
        slot = [b for b in slot if b.policy == a.policy]
    if a not in standing(slot):
        return "void"
    if a.mode not in ("active", "canary"):
        return "ended" if _ended(a, now) else a.mode
    if a.effective_from > now:
        return "scheduled"
    if a.mode == "canary":
        return "canary" if a == canary_at(slot, now) else "past"
    current = in_force_at(slot, now)
    return "in force" if current is not None and current.seq == a.seq else "past"


def _ended(a: Activation, now: datetime) -> bool:
    return a.ends_at is not None and a.ends_at <= now


def _day(iso: str) -> str:
    at = datetime.fromisoformat(iso)
    return "ever" if at.year == 1970 else f"{at:%d %b %Y %H:%M}"
