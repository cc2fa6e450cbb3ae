"""Follow-up's part of the command line: what is planned for a complaint."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.followup import case_commands
from shared.cli.client import AsJson, Client, Key, Url, print_json

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="Plans, promises, messages and outcomes after a complaint.")
group.add_typer(case_commands.app)
app.add_typer(group, name="followup")
ComplaintId = Annotated[UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)]


@app.command(epilog="Example: amends plan 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 --json")
def plan(complaint_id: ComplaintId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """What the customer will hear next, and when."""
    found = Client("followup", url, key).get(f"/v1/complaints/{complaint_id}/plan")
    if as_json:
        print_json(found)
        return
    typer.echo(f"complaint {complaint_id}: {found['status']}")
    for name, title in (("update", "next update"), ("check_in", "check-in")):
        planned = found[name]
        if planned is None:
            typer.echo(f"  {title:<12} none")
            continue
        at = datetime.fromisoformat(planned["due_at"]).astimezone()
        typer.echo(f"  {title:<12} {at:%a %d %b %Y %H:%M}, {planned['kind'].replace('_', ' ')} by {planned['channel']}")


@group.command(name="plan", epilog="Example: amends followup plan resolved.json --json")
def plan_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="A resolved complaint.", show_default=False)],
    policy: Annotated[
        Path | None,
        typer.Option(help="A FollowUpPolicy document; else the one that FILE names, else the default.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The check-ins of a resolved complaint by policy: when, by which channel, by which rule. Needs no running service.

    FILE: {"complaint": {"resolved_at": "2026-03-02T10:00:00Z", "remedy": {"kind": "refund"}, "channel": "email",
    "customer": {"zone": "Europe/London", "quiet_hours": {"from": "21:00", "to": "08:00"}}}, "policy": "my.yaml",
    "as_of": "2026-03-02T10:00:00Z"}. Only resolved_at is required; docs/how-to/followup.md names the rest.
    """
    from services.followup import plan_command  # it loads the policy language

    raise typer.Exit(plan_command.run(file, policy, as_json))
