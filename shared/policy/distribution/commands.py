"""`amends policy publish|activate|rollback`: change what is in force, without a deployment. Talks to Kafka directly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from shared.calendar import durations
from shared.cli import Failed, Stop, WrongUse, kafka
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.cli.progress import Counter
from shared.clock import utc_now
from shared.config import KafkaSettings
from shared.contracts.policies import EVER, Activation, VersionPublished
from shared.policy import commands as documents
from shared.policy.backtest import run
from shared.policy.backtest.report import Report
from shared.policy.backtest.source import from_records
from shared.policy.distribution import actions, topics
from shared.policy.distribution.actions import Request
from shared.policy.distribution.line import Versioned
from shared.policy.distribution.records import Records
from shared.policy.distribution.replicas import Behind, await_replicas
from shared.policy.distribution.topics import Written
from shared.policy.distribution.versions import load_version, published_beside
from shared.policy.evaluate import Policy

app = typer.Typer()

Id = Annotated[
    str, typer.Argument(metavar="POLICY", help="The policy's id, such as escalation.retail.", show_default=False)
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the change.", show_default=False)]

WAIT_S = 15.0


@app.command(epilog="Example: amends policy publish escalation.yaml")
def publish(file: documents.File, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Publish a document as a version of its policy: for ever, and not in force yet. Refused unless it is valid and all
    its tests pass."""
    policy, text, parts = documents.checked(file, as_json)
    where, _ = kafka.settings()
    by = _person(policy.service, url, key)
    written = _write(where, policy.service, lambda records: actions.publish(records, policy, text, by, utc_now(), parts))
    if as_json:
        about = {"policy": policy.id, "version": policy.version, "digest": policy.digest, "service": policy.service}
        print_json({"published": bool(written), **about, "by": by})
        return
    what = f"{policy.id} version {policy.version} ({policy.digest[:19]})"
    typer.echo(f"{what} is published; activate it with: amends policy activate {policy.id} {policy.version} --reason ..."
               if written else f"{what} was published before; nothing to do")  # fmt: skip


@app.command(
    epilog='Example: amends policy activate escalation.retail 4 --reason "Black Friday" --at 2026-11-27T00:00:00+00:00'
)
def activate(
    policy: Id,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A published version.", show_default=False)],
    reason: Reason,
    at: Annotated[
        str | None, typer.Option(help="In force from then on (ISO time with a zone); default: in 10 s.")
    ] = None,
    in_the_past: Annotated[
        bool, typer.Option("--in-the-past", help="--at may be past: it counts for what is not decided yet.")
    ] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only evaluate it beside the one in force, and record the differences.")
    ] = False,
    canary: Annotated[
        bool, typer.Option("--canary", help="In force for the document's rollout.canary_percent of the complaints only.")
    ] = False,
    percent: Annotated[
        int | None, typer.Option(min=1, max=100, help="For so many percent instead; goes with --canary.")
    ] = None,
    for_: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="How long to shadow, such as 7d; default: the document's."),
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(metavar="WHY", help="Activate although a guardrail is breached, and why. It is recorded."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Put a published version in force, on every replica at the same moment. Refused while a running replica cannot run it.

    Where the document asks for two approvers, the first call proposes and a second one with another key approves.
    """
    if for_ is not None and not shadow:
        raise WrongUse("--for goes with --shadow")
    if percent is not None and not canary:
        raise WrongUse("--percent goes with --canary")
    if canary and shadow:
        raise WrongUse("choose one of --canary and --shadow")
    where, _ = kafka.settings()
    chosen = _published(where, policy, version)
    document = load_version(chosen.text, origin=chosen.key, beside=published_beside(chosen.parts, chosen.key))
    person = _person(chosen.service, url, key)
    if override is not None and not override.strip():
        raise WrongUse("--override needs a reason")
    share = (percent or _canary_percent(document)) if canary else None
    request = Request(person, reason, _instant(at), in_the_past, override, share)
    if shadow:
        if not isinstance(document, Policy):
            raise WrongUse(f"{document.kind} cannot be shadowed: they decide nothing. Try them on labelled texts before")
        span = for_ or (document.document.spec.rollout.shadow if document.document.spec.rollout else None)
        until = None if span is None else utc_now() + _span(span)
        _tell(_write(where, chosen.service, lambda r: actions.shadow(r, chosen, request, until, utc_now())), as_json)
        return
    _check_replicas(where, chosen)
    if isinstance(document, Policy) and document.document.spec.guardrails is not None:
        _check_guardrails(document, override)
    written = _write(where, chosen.service, lambda r: actions.activate(r, chosen, document.approvers, request, utc_now()))
    if not written and not as_json:
        typer.echo(f"{policy} version {version} is in force then anyway; nothing to do")
        return
    _tell(written, as_json)


@app.command(epilog='Example: amends policy rollback escalation.retail --reason "too many at tier 3"')
def rollback(
    policy: Id,
    reason: Reason,
    to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Back to this one; default: the one before.")
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="End the policy's shadow instead.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Go back to an older version, at once: what was activated since then is void, also what is scheduled.

    A pack that has no older version is switched off. Ends with 0 when every running replica has confirmed.
    """
    if shadow and to is not None:
        raise WrongUse("--to does not go with --shadow")
    where, _ = kafka.settings()
    chosen = _published(where, policy)
    request = Request(_person(chosen.service, url, key), reason)
    if shadow:
        written = _write(where, chosen.service, lambda r: actions.end_shadow(r, chosen, request, utc_now()))
    else:
        written = _write(where, chosen.service, lambda r: actions.roll_back(r, chosen, to, request, utc_now()))
    began = time.monotonic()
    done = [each for each in written if isinstance(each, Activation)]
    behind = _await(where, chosen.service, lambda status: status.known >= done[-1].seq)
    _tell(written, as_json, behind)
    took = time.monotonic() - began
    if behind.waiting:
        raise Failed(f"not confirmed within {WAIT_S:.0f} s by {', '.join(behind.waiting)}")
    if not as_json:
        typer.echo(f"confirmed by {behind.confirmed} of {behind.confirmed} running replicas after {took:.1f} s")


# --- steps


def _write(where: KafkaSettings, service: str, decide: Callable[[Records], Written]) -> Written:
    return kafka.answer(where, lambda: topics.write(where, service, decide))


def _published(where: KafkaSettings, policy: str, version: int | None = None) -> VersionPublished:
    return actions.published(kafka.answer(where, lambda: topics.read_all(where)), policy, version)


def _person(service: str, url: str | None, key: str | None) -> str:
    """Who does this: the name of the API key, as the service whose policy it is knows it."""
    name: str = Client(service, url, key).get("/v1/whoami")["name"]
    return name


def _await(where: KafkaSettings, service: str, done: Callable[[Any], bool]) -> Behind:
    return kafka.answer(where, lambda: await_replicas(where, service, done, WAIT_S))


def _check_replicas(where: KafkaSettings, version: VersionPublished) -> None:
    """Every running replica has compiled the version. Raises Failed with the reason of the one that cannot."""
    behind = _await(where, version.service, lambda s: s.loaded.get(version.key) == version.digest or _rejected(s, version) is not None)
    for status in behind.statuses:
        if (why := _rejected(status, version)) is not None:
            raise Failed(f"{status.key} cannot run {version.policy} version {version.version}: {why}")
    if behind.waiting:
        raise Failed(f"not loaded within {WAIT_S:.0f} s by {', '.join(behind.waiting)}; see: amends policy status")
    if not behind.statuses:
        typer.echo(f"no replica of {version.service} is running: none has tried this version", err=True)


def _check_guardrails(candidate: Policy, override: str | None) -> None:
    """What the document must not break, held against the decisions that records has. Raises Failed; an override lets pass."""
    counter = Counter("decisions")
    try:
        given = from_records(candidate, None, Client("records"))
        report = Report(candidate, run.run(candidate, None, given, counter.add))
    except Stop as stop:
        if not override:
            raise Failed(f"the guardrails cannot be tried: {str(stop).rstrip('.')}. To activate all the same: --override WHY") from None
        typer.echo(f"the guardrails could not be tried: {stop}", err=True)
        return
    counter.done()
    if report.decisions == 0:
        typer.echo("no decisions are recorded yet: the guardrails could not be tried", err=True)
        return
    broken = [verdict for verdict in report.verdicts() if not verdict.passed]
    for verdict in broken:
        typer.echo(f"guardrail {verdict.name}: {verdict.measured} (limit {verdict.limit})", err=True)
    if broken and not override:
        raise Failed("a guardrail is broken; see: amends policy backtest. To activate all the same: --override WHY")


def _canary_percent(document: Versioned) -> int:
    rollout = document.document.spec.rollout if isinstance(document, Policy) else None
    if rollout is None or not rollout.canary_percent:
        raise WrongUse(f"{document.id} version {document.version} has no rollout.canary_percent; say --percent")
    return rollout.canary_percent


def _rejected(status: Any, version: VersionPublished) -> str | None:
    return next((r.reason for r in status.rejected if (r.policy, r.version) == (version.policy, version.version)), None)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"--at: '{text[:40]}' is not a time such as 2026-11-27T08:00:00+00:00") from None
    if at.tzinfo is None:
        raise WrongUse("--at has no zone: add Z or an offset, as in 2026-11-27T08:00:00+00:00")
    return at.astimezone(UTC)


def _span(text: str) -> timedelta:
    try:
        return timedelta(seconds=durations.parse(text).length_s)
    except durations.DurationRefused as refused:
        raise WrongUse(f"--for: {refused}") from None


def _tell(written: Written, as_json: bool, behind: Behind | None = None) -> None:
    done = [each for each in written if isinstance(each, Activation)]
    if as_json:
        shown: dict[str, Any] = {"activations": [a.model_dump(mode="json", exclude_none=True) for a in done]}
        if behind is not None:
            shown |= {"confirmed": behind.confirmed, "not_confirmed": list(behind.waiting)}
        print_json(shown)
        return
    for each in done:
        typer.echo(told(each))


def told(a: Activation) -> str:
    """An activation in a sentence."""
    version, by = f"{a.policy} version {a.version}", " and ".join(a.by)
    at = "ever" if a.effective_from == EVER else f"{a.effective_from:%a %d %b %Y %H:%M:%S} UTC"
    match a.mode:
        case "proposed":
            return f"{version} is proposed by {by}; it needs a second person: the same command with another key"
        case "shadow":
            until = f" until {a.ends_at:%a %d %b %Y %H:%M}" if a.ends_at else " until it is activated or ended"
            return f"{version} is evaluated beside the one in force{until} (activation {a.seq}, by {by})"
        case "canary":
            return f"{version} counts from {at} on for {a.percent}% of the complaints (activation {a.seq}, by {by})"
        case "ended":
            return f"{a.policy}: ended activations {_numbers(a.voids)} (activation {a.seq}, by {by})"
        case _:
            voids = f"; voids activations {_numbers(a.voids)}" if a.voids else ""
            return f"{version} counts from {at} on (activation {a.seq}, by {by}){voids}"


def _numbers(seqs: Sequence[int]) -> str:
    return ", ".join(map(str, seqs))
