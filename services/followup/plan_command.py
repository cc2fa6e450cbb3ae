"""`amends followup plan`: from a file to the check-ins, for people and for scripts."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer

from services.followup import plan_file
from services.followup.domain.plan import CheckInPlan, Step, check_ins
from services.followup.plan_file import Given
from shared.calendar.durations import zone_info
from shared.cli import WrongUse
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy, PolicyResult
from shared.policy.problems import PolicyRefused

POLICY = "followup.retail.yaml"
_ONLY_IF = {"verify": None, "ask": None, "ask_again": "no answer to the first question"}


def run(file: Path, policy_file: Path | None, as_json: bool) -> int:
    """Print the plan. Returns 0; 1 where the file or its policy cannot be used. Raises WrongUse."""
    try:
        document = json.loads(_text(file))
    except RecursionError:
        raise WrongUse(f"{file}: nested too deeply") from None
    except ValueError as error:
        place = f":{error.lineno}:{error.colno}: not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise WrongUse(f"{file}{place or ': not JSON'}") from None
    try:
        policy = _policy(document, policy_file, file.parent)
    except PolicyRefused as refused:
        return _refuse(str(refused).splitlines(), as_json)
    given = plan_file.read(document, policy)
    if given.problems:
        return _refuse([f"{file}: {problem}" for problem in given.problems], as_json)
    for warning in given.warnings:
        typer.echo(f"{file}: {warning}", err=True)
    results = [policy.decide(facts) for facts in given.facts]
    for fault in (fault for result in results for fault in result.faults):
        typer.echo(f"{file}: degraded, the default was taken: {fault}", err=True)
    plan = check_ins(results, given.resolved_at, given.now, given.reach) if results else CheckInPlan()
    plan = CheckInPlan(none_because=given.none_because) if given.none_because else plan
    if as_json:
        typer.echo(json.dumps(_as_json(plan, given, policy, results), ensure_ascii=False, indent=2))
    else:
        _show(plan, given, policy)
    return 0


def _policy(document: Any, chosen: Path | None, folder: Path) -> Policy:
    """The policy of the option, of the file (a path, or a document inline), else the default one."""
    named = document.get("policy") if isinstance(document, dict) else None
    if chosen is None and named is None:
        text = (files("services.followup") / "policy" / POLICY).read_text(encoding="utf-8")
        return load_policy(text, origin=POLICY)
    if chosen is None and isinstance(named, dict):
        return _follow_up(load_policy(json.dumps(named, ensure_ascii=False), origin="policy"))
    if chosen is None and isinstance(named, str) and "\n" in named:
        return _follow_up(load_policy(named, origin="policy"))
    if chosen is None and (not isinstance(named, str) or not named.strip()):
        raise WrongUse("policy must be the path of a FollowUpPolicy document, or the document itself")
    path = chosen or folder / str(named)
    if chosen is None and not path.is_file() and Path(str(named)).is_file():
        path = Path(str(named))
    return _follow_up(load_policy(_text(path), origin=str(path)))


def _follow_up(policy: Policy) -> Policy:
    if policy.kind != "FollowUpPolicy":
        raise WrongUse(f"{policy.origin}: {policy.id} is an {policy.kind}; a FollowUpPolicy plans check-ins")
    return policy


def _as_json(plan: CheckInPlan, given: Given, policy: Policy, results: list[PolicyResult]) -> dict[str, Any]:
    zone = given.reach.zone
    return {
        "check_ins": [_step(step, zone) for step in plan.steps],
        "none_because": plan.none_because,
        "unverified_at": None if plan.unverified_at is None else _utc(plan.unverified_at),
        "zone": zone,
        "zone_from": given.zone_from,
        "language": given.locale,
        "policy": {
            "id": policy.id,
            "version": policy.version,
            "digest": policy.digest,
            "rules": list(dict.fromkeys(rule for result in results for rule in result.rules)),
            "inputs": {path: value for result in results for path, value in result.inputs.items()},
            "degraded": any(result.degraded for result in results),
        },
        "warnings": given.warnings,
    }


def _step(step: Step, zone: str) -> dict[str, Any]:
    return {
        "number": step.number,
        "kind": step.kind,
        "due_at": _utc(step.due_at),
        "local": step.due_at.astimezone(zone_info(zone)).isoformat(),
        "channel": step.channels[0] if step.channels else "any",
        "channels": list(step.channels),
        "rule": ", ".join(step.rules) or "default",
        "fact": step.fact,
        "only_if": _ONLY_IF[step.kind],
        "wanted_at": _utc(step.wanted_at),
        "moved_because": list(step.moved),
    }


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _show(plan: CheckInPlan, given: Given, policy: Policy) -> None:
    zone = zone_info(given.reach.zone)
    typer.echo(f"{policy.id} version {policy.version}; times in {given.reach.zone} (from {given.zone_from})")
    if plan.none_because:
        typer.echo(f"nobody is asked: {plan.none_because}")
    told = {"verify": "verify {}", "ask": "ask whether it is solved", "ask_again": "ask again if there was no answer"}
    for step in plan.steps:
        ways = " or ".join(step.channels) or "any channel"
        what = told[step.kind].format((step.fact or "").replace("_", " "))
        typer.echo(f"  {step.due_at.astimezone(zone):%a %d %b %Y %H:%M}  {what}, by {ways}; {', '.join(step.rules)}")
        for why in step.moved:
            typer.echo(f"  {'':21}  moved: {why}")
    if plan.unverified_at is not None:
        typer.echo(f"  {plan.unverified_at.astimezone(zone):%a %d %b %Y %H:%M}  still no answer: recorded as unverified")


def _refuse(problems: list[str], as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps({"check_ins": [], "problems": problems}, ensure_ascii=False, indent=2))
    for problem in problems:
        typer.echo(problem, err=True)
    return 1


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongUse(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except (OSError, ValueError) as error:  # a name that no file can have
        raise WrongUse(f"{str(file)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
