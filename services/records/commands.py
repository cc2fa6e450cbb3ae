"""Records' part of the command line: the timeline of a complaint."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from services.records import bundle_commands, ledger_commands, privacy_commands, proof_commands, signing_commands
from services.records.search import commands as search
from services.records.story import tell
from shared.cli.client import AsJson, Client, Key, Url, print_json

app = typer.Typer()
proof_commands.add_to(ledger_commands.app)
bundle_commands.add_to(ledger_commands.app)
signing_commands.add_to(ledger_commands.app)
ledger_commands.app.add_typer(privacy_commands.app)
ledger_commands.app.add_typer(search.app)
app.add_typer(ledger_commands.app, name="records")
ComplaintId = Annotated[UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)]


@app.command(epilog="Example: amends timeline 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40")
def timeline(complaint_id: ComplaintId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """What happened to a complaint, and why, as records has it."""
    found = read(Client("records", url, key), complaint_id)
    if as_json:
        print_json(found)
        return
    tier = "" if found["tier"] is None else f", tier {found['tier']}"
    typer.echo(f"complaint {complaint_id}: {found['status']}{tier}, {found['events'] or len(found['timeline'])} events")
    day = ""
    # As it happened: records may read one topic a moment before another. The ledger's own order is in --json.
    for event in sorted(found["timeline"], key=lambda event: datetime.fromisoformat(event["occurred_at"])):
        at = datetime.fromisoformat(event["occurred_at"]).astimezone()
        if f"{at:%a %d %b %Y}" != day:
            day = f"{at:%a %d %b %Y}"
            typer.echo(f"\n{day}")
        told = tell(event)
        typer.echo(f"  {at:%H:%M:%S}.{at.microsecond // 1000:03d}  {told.what:<19} {told.text}")
        place = f"{event['service']} {event['sequence']}, ledger row {event['index']}, recorded after {event['latency_ms']:.0f} ms"
        typer.echo(f"  {'':<12}  {'':<19} ({place}, trace {event['trace_id'] or 'none'})")


def read(client: Client, complaint_id: UUID) -> dict[str, Any]:
    """The whole timeline, page by page."""
    path = f"/v1/complaints/{complaint_id}"
    found: dict[str, Any] = client.get(path)
    following = found.pop("next")
    while following is not None:
        page = client.get(f"{path}?start={following}")
        found["timeline"] += page["timeline"]
        following = page["next"]
    return found
