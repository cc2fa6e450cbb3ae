"""`amends records erase|hold|access|retention`: what people do with the record itself. Each is an event."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from services.records.story import plain, tell
from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json

POLL_S = 0.3
MATTERS = ("ombudsman", "court", "regulator", "police", "insurance", "product_recall")  # shared.contracts.privacy.Matter, not loaded here

app = typer.Typer()
ComplaintId = Annotated[UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the record and must not name the person.", show_default=False)]


@app.command(epilog="Example: amends records erase 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --reason 'request DSR-114'")
def erase(
    complaint_id: ComplaintId,
    reason: Reason,
    regime: Annotated[str | None, typer.Option(help="Whose rule asks for it, e.g. 'GDPR Art. 17'.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until every service has confirmed.")] = 60.0,
    when_due: Annotated[
        bool, typer.Option("--when-due", help="Only note that the customer asks for it: `retention --apply` erases it when the rules do.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Erase a complaint for good: its key is destroyed, every service deletes what it has and confirms it.

    The ledger keeps the proof that events happened, nothing of what they said. Ends with 1 when it is on hold, or when a
    service has not confirmed in time (it will; ask again with: amends records erase ... or see /v1/complaints/ID/erasure).
    """
    client = Client("records", url, key)
    if when_due:
        noted = client.post(f"/v1/complaints/{complaint_id}/erasure", _json({"reason": reason}))
        if as_json:
            print_json(noted)
        else:
            typer.echo("noted: amends records retention --apply erases it when its rules let it")
        return
    found = client.get(f"/v1/complaints/{complaint_id}/erasure")
    if found["erased_at"] is None:
        client.post(f"/v1/complaints/{complaint_id}/erase", _json({"reason": reason, "regime": regime}))
    deadline = time.monotonic() + wait
    told: set[str] = set()
    while True:
        found = client.get(f"/v1/complaints/{complaint_id}/erasure")
        for service in sorted(found["confirmed"].keys() - told):
            told.add(service)
            if not as_json:
                typer.echo(f"{service}: deleted")
        if not found["waiting"] or time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    if as_json:
        print_json(found)
    if found["waiting"]:
        raise Failed(f"not confirmed within {wait:g} s: {', '.join(found['waiting'])}; is it running?")
    if not as_json:
        typer.echo("erased: every service has confirmed. Kafka forgets within its six days; backups by your own rules")


@app.command(epilog="Example: amends records hold 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --reason 'order 4 O 112/26'")
def hold(
    complaint_id: ComplaintId,
    reason: Reason,
    lift: Annotated[bool, typer.Option("--lift", help="End the hold instead.")] = False,
    matter: Annotated[str | None, typer.Option(help=f"What is going on elsewhere: {', '.join(MATTERS)}.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Keep a complaint from being erased (a court, a regulator, an open investigation), or end that."""
    if matter is not None and (lift or matter not in MATTERS):
        raise WrongUse(f"--matter is one of {', '.join(MATTERS)}, without --lift")
    path = f"/v1/complaints/{complaint_id}/hold" + ("/lift" if lift else "")
    done = Client("records", url, key).post(path, _json({"reason": reason, **({"matter": matter} if matter else {})}))
    if as_json:
        print_json(done)
    else:
        typer.echo("the hold has ended" if lift else "on hold: it cannot be erased until the hold is lifted")


@app.command(epilog="Example: amends records access 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --reason 'DSR-101' -o access.json")
def access(
    complaint_id: ComplaintId,
    reason: Reason,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file: .json, or .txt to be read.", show_default=False)],
    url: Url = None,
    key: Key = None,
) -> None:
    """Write everything that is held about a complaint, for the person it is about. Recorded as an event."""
    from services.records.commands import read

    if output.suffix not in (".json", ".txt"):
        raise WrongUse("the file's name ends in .json or .txt")
    client = Client("records", url, key)
    client.post(f"/v1/complaints/{complaint_id}/access", _json({"reason": reason}))
    found = read(client, complaint_id)
    try:
        if output.suffix == ".json":
            import orjson

            output.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        else:
            output.write_text("\n".join(_lines(found)) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failed(f"{output}: {error.strerror}") from None
    typer.echo(f"{output}: {len(found['timeline'])} events")


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"Complaint {found['complaint_id']}: {found['status']}"
    for event in sorted(found["timeline"], key=lambda each: str(each["occurred_at"])):
        told = tell(event)
        yield f"{event['occurred_at'][:19]}  {told.what}: {told.text}"
        data = event["data"]
        contact = data.get("contact") if isinstance(data, dict) else None  # recorded as it came: it may be anything
        if isinstance(contact, dict) and contact.get("text"):
            yield from (f"    {plain(line)}" for line in str(contact["text"]).splitlines())


@app.command(epilog="Example: amends records retention --apply")
def retention(
    days: Annotated[
        int | None, typer.Option(min=1, help="Instead of the policy: keep closed complaints so many days after their last event.")
    ] = None,
    regime: Annotated[str | None, typer.Option(help="With --days: whose rule that is; it is recorded with each erasure.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Erase what may be erased; default: only list it.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List the complaints whose time is over, by which rule of records' policy, and what is on hold and why; or erase them.

    What a rule leaves to a person ("review"), what is on hold and what is not closed is never erased by this.
    """
    if regime is not None and days is None:
        raise WrongUse("--regime goes with --days; by the policy it is the rule that is recorded")
    client = Client("records", url, key)
    before = None if days is None else (datetime.now().astimezone() - timedelta(days=days)).isoformat()
    found: dict[str, list[dict[str, Any]]] = {"erase": [], "review": [], "hold": []}
    kept, after, policy, refused = 0, None, None, 0
    while True:
        page = client.post("/v1/retention", _json({"before": before, "after": after}))
        kept, policy = kept + page["kept"], page["policy"]
        for each in page["complaints"]:
            what = _what(each)
            found[what].append(each)
            if apply and what == "erase":
                each["erased"] = _erase_due(client, each, policy, days, regime)
                refused += not each["erased"]
            if not as_json:
                typer.echo(_due_line(each, what, policy))
        after = page["next"]
        if not after:
            break
    done = len(found["erase"]) - refused if apply else 0
    if as_json:
        print_json({
            "policy": policy, "complaints": found["erase"], "review": found["review"], "hold": found["hold"], "erased": done,
            "refused": refused, "on_hold": len(found["hold"]), "kept": kept,
        })  # fmt: skip
    else:
        erased = f"{done} erased" if apply else f"{len(found['erase'])} could be erased (--apply)"
        more = f", {refused} changed meanwhile" if refused else ""
        typer.echo(f"{erased}{more}, {len(found['review'])} for a person to look at, {len(found['hold'])} on hold, {kept} not due yet")


def _what(each: dict[str, Any]) -> str:
    if each["hold"] is not None:
        return "hold"
    return "erase" if each.get("status", "closed") == "closed" and each.get("afterwards", "erase") == "erase" else "review"


def _rule(each: dict[str, Any], policy: dict[str, Any]) -> str:
    return f"{policy['id']} version {policy['version']}, {', '.join(each['rules']) or 'the default'}"


def _erase_due(client: Client, each: dict[str, Any], policy: dict[str, Any] | None, days: int | None, regime: str | None) -> bool:
    """False when it was reopened or put on hold since it was listed."""
    if policy is None:
        reason = f"retention ended: {days} days after the last event"
    else:
        reason = f"retention ended: {_rule(each, policy)}: {each['retain_for']} after it was closed"
        regime = f"{policy['id']}/{each['rules'][0] if each['rules'] else 'default'}"
    try:
        client.command(UUID(each["complaint_id"]), "erase", {"reason": reason, "regime": regime, "closed_only": True})
    except Failed as failed:
        if str(failed).startswith(("records: Not closed", "records: On hold")):
            return False
        raise
    return True


def _due_line(each: dict[str, Any], what: str, policy: dict[str, Any] | None) -> str:
    about = f"last event {each['last_event_at'][:10]}" if policy is None else f"due {each['due_at'][:10]} by {_rule(each, policy)}"
    said = {"erase": "", "review": "  for a person to look at", "hold": f"  on hold: {each['hold']}"}[what]
    if "erased" in each:
        said = "  erased" if each["erased"] else "  changed meanwhile, left alone"
    return f"{each['complaint_id']}  {about}{said}"
