"""`amends policy explain|replay`: what was decided by policy, why, and whether it would be decided the same again."""

from __future__ import annotations

from collections import Counter as Tally
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from services.records.commands import ComplaintId
from services.records.commands import read as read_timeline
from shared.cli import WrongUse, kafka
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.cli.progress import Counter
from shared.policy import decisions
from shared.policy.decisions import Decision
from shared.policy.distribution import topics
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy
from shared.policy.problems import PolicyRefused
from shared.policy.replay import citations, differences

app = typer.Typer()
SHOWN = 20  # differing decisions that are printed; --json has all


@app.command(epilog="Example: amends policy explain 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40")
def explain(complaint_id: ComplaintId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Every decision about a complaint: the version that was in force, the rules that matched, the inputs that decided."""
    timeline = read_timeline(Client("records", url, key), complaint_id)["timeline"]
    found = [
        {"at": event["occurred_at"], "event": event["type"], "service": event["service"], **_cited(dict(citation))}
        for event in timeline
        for citation in citations(event["data"])
    ]
    if as_json:
        print_json({"complaint_id": str(complaint_id), "decisions": found})
        return
    for each in found:
        at = datetime.fromisoformat(each["at"]).astimezone()
        marks = [name.replace("_", " ") for name in ("degraded", "late", "policy_lag") if each.get(name)]
        by = f"{each['policy']} version {each['version']} ({each['digest'][:19]}, activation {each['activation']})"
        typer.echo(f"{at:%a %d %b %Y %H:%M:%S}  {each['event']} by {by}{', ' + ', '.join(marks) if marks else ''}")
        typer.echo(f"    rules    {', '.join(each['rules']) or 'none matched: the default'}")
        for name in ("inputs", "outcome"):
            for path, value in (each[name] or {}).items():
                typer.echo(f"    {name:<8} {path} = {value}")
    if not found:
        typer.echo("no decision by policy is recorded for this complaint yet")


@app.command(epilog="Example: amends policy replay --since 2026-11-01T00:00:00+00:00 --json")
def replay(
    since: Annotated[str | None, typer.Option(help="Only decisions from then on (ISO time); default: all.")] = None,
    policy: Annotated[str | None, typer.Option(help="Only decisions by this policy.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make every recorded decision again, from the version and the facts that it cites. Ends with 1 if any differs.

    Decisions recorded without their facts, or whose version is published nowhere, are counted, not compared.
    """
    where, _ = kafka.settings()
    versions = kafka.answer(where, lambda: topics.read_all(where)).versions
    texts = {(v.policy, v.version, v.digest): v.text for v in versions.values()}
    run = Replay(texts, policy)
    counter = Counter("ledger rows")
    for page in decisions.pages(Client("records", url, key), since=_time(since), read=counter.read):
        for decision in page:
            run.add(decision)
    counter.done()
    if as_json:
        print_json(run.as_json())
    else:
        for each in run.differing[:SHOWN]:
            what = ", ".join(d["what"] for d in each["differences"])
            typer.echo(f"DIFFERS  complaint {each['complaint']}, ledger row {each['row']}: {what} ({each['policy']} "
                       f"version {each['version']})")  # fmt: skip
        if len(run.differing) > SHOWN:
            typer.echo(f"... and {len(run.differing) - SHOWN} more; --json has all")
        skipped = "".join(f"; {count} {why}" for why, count in run.skipped.items())
        typer.echo(f"{run.same + len(run.differing)} decisions replayed: {run.same} the same, {len(run.differing)} differ{skipped}")
    raise typer.Exit(1 if run.differing else 0)


class Replay:
    """A replay as far as it has come. `texts` are the published documents by policy, version and digest."""

    def __init__(self, texts: dict[tuple[str, int, str], str], only: str | None = None) -> None:
        self._texts = texts
        self._only = only
        self._policies: dict[tuple[str, int, str], Policy | None] = {}
        self.same = 0
        self.differing: list[dict[str, Any]] = []
        self.skipped: Tally[str] = Tally()

    def add(self, decision: Decision) -> None:
        """Replay one decision."""
        if self._only is not None and decision["policy"] != self._only:
            return
        if decision.get("facts") is None:
            self.skipped["were recorded without facts"] += 1
            return
        policy = self._policy((decision["policy"], decision["version"], decision["digest"]))
        if policy is None:
            self.skipped["cite a version that is not published"] += 1
        elif found := differences(policy, decision):
            about = ("complaint", "row", "event", "decided_at", "policy", "version")
            self.differing.append({**{name: decision[name] for name in about}, "differences": found})
        else:
            self.same += 1

    def as_json(self) -> dict[str, Any]:
        """The result, for scripts."""
        replayed = self.same + len(self.differing)
        return {
            "replayed": replayed, "same": self.same, "different": len(self.differing), "skipped": dict(self.skipped),
            "differing": self.differing,
        }  # fmt: skip

    def _policy(self, key: tuple[str, int, str]) -> Policy | None:
        if key not in self._policies:
            self._policies[key] = None
            text = self._texts.get(key)
            if text is not None:
                try:
                    self._policies[key] = load_policy(text, origin=f"{key[0]}/{key[1]}")
                except PolicyRefused:  # by a later Amends than this
                    self._policies[key] = None
        return self._policies[key]


def _cited(citation: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy": citation["id"], "version": citation["version"], "digest": citation["digest"],
        "activation": citation.get("activation", 0), "rules": citation["rules"], "inputs": citation["inputs"],
        "outcome": citation.get("outcome"), "degraded": citation.get("degraded", False),
        "late": citation.get("late", False), "policy_lag": citation.get("policy_lag", False),
    }  # fmt: skip


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"--since: '{text[:40]}' is not a time such as 2026-11-01T00:00:00+00:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
