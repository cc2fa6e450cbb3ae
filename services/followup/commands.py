"""Follow-up's part of the command line: what is planned for a complaint."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from shared.cli.client import AsJson, Client, Key, Url, print_json

app = typer.Typer()
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
