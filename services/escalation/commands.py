"""Escalation's part of the command line: what people decide about a complaint."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer

from services.escalation import clock_commands, desk_commands, directory_commands
from shared.cli.client import AsJson, Client, Key, Once, Url, print_json

app = typer.Typer()
app.add_typer(clock_commands.app)
app.add_typer(directory_commands.app)
app.add_typer(desk_commands.app)
ComplaintId = Annotated[uuid.UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.", show_default=False)]


@app.command(epilog='Example: amends resolve 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --resolution "Sent a new kettle"')
def resolve(
    complaint_id: ComplaintId,
    resolution: Annotated[str, typer.Option(help="How it was resolved.", show_default=False)],
    remedy: Annotated[str | None, typer.Option(help="What the customer got.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why nothing was offered. Default: the resolution says it.")] = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that a complaint is resolved, and how. Follow-up plans its check-in from this."""
    _do(
        "resolve",
        complaint_id,
        {"resolution": resolution, "remedy": remedy, "reason": reason},
        once,
        Client("escalation", url, key),
        as_json,
    )


@app.command(epilog="Example: amends close 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40")
def close(
    complaint_id: ComplaintId,
    reason: Annotated[str | None, typer.Option(help="Why; needed when it is not resolved.")] = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Close a complaint."""
    _do("close", complaint_id, {"reason": reason}, once, Client("escalation", url, key), as_json)


@app.command(epilog='Example: amends wait 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --reason "Asked for the serial number"')
def wait(
    complaint_id: ComplaintId,
    reason: Reason,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that it is for the customer to answer: the service's own clocks stand still, legal ones run on."""
    _do("wait", complaint_id, {"reason": reason}, once, Client("escalation", url, key), as_json)


@app.command(epilog='Example: amends reopen 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --reason "The refund did not arrive"')
def reopen(
    complaint_id: ComplaintId,
    reason: Reason,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Open a complaint again, with the same clocks."""
    _do("reopen", complaint_id, {"reason": reason}, once, Client("escalation", url, key), as_json)


@app.command(epilog='Example: amends escalate 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --desk legal --reason "They quote the law"')
def escalate(
    complaint_id: ComplaintId,
    reason: Reason,
    tier: Annotated[int | None, typer.Option(min=1, max=9, help="Default: the next one.")] = None,
    desk: Annotated[str | None, typer.Option(help="A specialist desk, such as legal or safety.")] = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a higher tier or a specialist desk."""
    command = {"reason": reason, "tier": tier, "desk": desk}
    _do("escalate", complaint_id, command, once, Client("escalation", url, key), as_json)


@app.command(epilog='Example: amends extend 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 disp_exceptional --reason "The other bank is closed"')
def extend(
    complaint_id: ComplaintId,
    extension: Annotated[str, typer.Argument(help="Its name in the regime's rules, such as disp_exceptional.", show_default=False)],
    reason: Reason,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Record that a legal limit is extended: its regime's deadlines are set anew, later ones too."""
    command = {"extension": extension, "reason": reason}
    _do("extend", complaint_id, command, once, Client("escalation", url, key), as_json)


def _do(
    name: str, subject: uuid.UUID, command: dict[str, Any], once: str | None, client: Client, as_json: bool
) -> None:
    done = client.command(subject, name, command, once)
    if as_json:
        print_json(done)
        return
    tier = "" if done.get("tier") is None else f", tier {done['tier']}"
    typer.echo(f"complaint {subject}: {done['status']}{tier}")
