"""`amends handoff ...` and `amends help-now`: what agents and team leads do with a complaint that is theirs."""

from __future__ import annotations

import uuid
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.cli.client import AsJson, Client, Key, Once, Url, print_json

app = typer.Typer()
hand_off = typer.Typer(no_args_is_help=True, help="Hand-offs: what waits, and your answer to it.")
app.add_typer(hand_off, name="handoff")
ComplaintId = Annotated[uuid.UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)]
Number = Annotated[int | None, typer.Option(help="Which hand-off, as the notification says; default: the one that waits.")]


@hand_off.command("list", epilog="Example: amends handoff list --team supervisors")
def waiting(
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show the hand-offs that wait for an answer, the soonest first."""
    path = "/v1/hand-offs" + (f"?team={quote(team)}" if team else "")
    found = Client("escalation", url, key).get(path)["hand_offs"]
    if as_json:
        print_json(found)
        return
    for each in found:
        until = (each["accept_by"] or "package is put together")[:16].replace("T", " ")
        typer.echo(f"{each['complaint_id']}  {each['team']:<20} by {until}  {each['reason']}")
    if not found:
        typer.echo("none")


@hand_off.command("show", epilog="Example: amends handoff show 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40")
def show(complaint_id: ComplaintId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show who has a complaint, and everything that the next person needs."""
    found = Client("escalation", url, key).get(f"/v1/complaints/{complaint_id}/hand-off")
    if as_json:
        print_json(found)
        return
    typer.echo(f"with {found['owner'] or found['team'] or 'nobody yet'}")
    if pending := found["pending"]:
        typer.echo(f"hand-off {pending['number']} waits for {pending['team']}: {pending['reason']}")
    for name, value in (found["package"] or {}).items():
        if value not in _NOTHING:
            typer.echo(f"  {name.replace('_', ' ')}: {_said(value)}")


@hand_off.command("accept", epilog="Example: amends handoff accept 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40")
def accept(
    complaint_id: ComplaintId,
    number: Number = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take a complaint that was handed to your team."""
    _do("hand-offs/accept", complaint_id, {"number": number}, once, Client("escalation", url, key), as_json)


@hand_off.command("refuse", epilog='Example: amends handoff refuse 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --reason "Not our product"')
def refuse(
    complaint_id: ComplaintId,
    reason: Annotated[str, typer.Option(help="Why; the next team reads it.", show_default=False)],
    number: Number = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Do not take it; it moves on."""
    command = {"reason": reason, "number": number}
    _do("hand-offs/refuse", complaint_id, command, once, Client("escalation", url, key), as_json)


@hand_off.command("ask", epilog='Example: amends handoff ask 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --team legal --reason "Asks for damages"')
def ask(
    complaint_id: ComplaintId,
    team: Annotated[str, typer.Option(help="The team of the directory.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; for the team.", show_default=False)],
    tell: Annotated[
        bool | None,
        typer.Option(
            "--tell-customer/--no-tell-customer",
            help="Tell the customer who has it, once it is accepted. Default: as the policy says.",
            show_default=False,
        ),
    ] = None,
    customer_reason: Annotated[
        str | None, typer.Option(help="Why, in words for the customer. Default: a sentence of the template.")
    ] = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Hand a complaint to a team."""
    command = {"team": team, "reason": reason, "tell_customer": tell, "customer_reason": customer_reason}
    _do("hand-offs", complaint_id, command, once, Client("escalation", url, key), as_json)


@app.command("help-now", epilog='Example: amends help-now 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --kind threat --what "Threatens to come by"')
def help_now(
    complaint_id: ComplaintId,
    what: Annotated[str, typer.Option(help="What happened.", show_default=False)],
    kind: Annotated[str, typer.Option(help="abuse, threat, self_harm, discrimination or other.")] = "abuse",
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Hand an abusive or threatening contact to a lead at once."""
    _do("help", complaint_id, {"what": what, "kind": kind}, once, Client("escalation", url, key), as_json)


_NOTHING: tuple[Any, ...] = (None, "", [])


def _said(value: Any) -> str:
    """A value of the package in a line."""
    if isinstance(value, list):
        return "; ".join(_said(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items() if each not in _NOTHING)
    return str(value)


def _do(
    name: str, complaint_id: uuid.UUID, body: dict[str, Any], once: str | None, client: Client, as_json: bool
) -> None:
    done = client.command(complaint_id, name, body, once)
    if as_json:
        print_json(done)
        return
    has = done["owner"] or done["team"] or "nobody yet"
    waits = f"; hand-off {done['hand_off']} waits for an answer by {done['accept_by'] or 'soon'}" if done["hand_off"] else ""
    typer.echo(f"tier {done['tier']}, with {has}{waits}")
