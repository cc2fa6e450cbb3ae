"""Intake's part of the command line: sending complaints, and who may send them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import Failed, WrongUse, keys
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.cli.database import DatabaseUrl, address

SERVICE, SCOPE = "intake", "intake:write"
app = typer.Typer()
sources = typer.Typer(no_args_is_help=True, help="Who may send complaints: each source has a name and a key.")
app.add_typer(sources, name="sources")


@app.command(epilog="Example: amends send deploy/samples/complaints.json")
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Canonical JSON: one item, a list, or one a line.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send complaints from a file to intake. Sending a file again is harmless: each item counts once, by its event_id."""
    try:
        body = file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None
    answered: dict[str, Any] = Client(SERVICE, url, key).post("/v1/complaints", body, content_type=_media_type(body))
    refused = [item for item in answered["items"] if item["outcome"] in ("rejected", "conflict")]
    if as_json:
        print_json(answered)
    else:
        for number, item in enumerate(answered["items"]):
            about = item.get("detail") or f"complaint {item['complaint_id']}"
            typer.echo(f"{item['outcome']:<10} {item['event_id'] or f'item {number}'}: {about}")
    if refused:
        raise Failed(f"{len(refused)} of {len(answered['items'])} items were refused")


def _media_type(body: bytes) -> str:
    """One object per line is NDJSON; one object over several lines is not."""
    import orjson

    if body.lstrip()[:1] != b"{":
        return "application/json"
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return "application/x-ndjson"
    return "application/json"


@sources.command("add", epilog="Example: amends sources add zendesk-uk")
def add_source(
    name: Annotated[str, typer.Argument(help="Its name: part of every complaint's identity, so choose it to stay.")],
    days: Annotated[int | None, typer.Option(min=1, help="The key expires after so many days.")] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a source and show its key, this once."""
    keys.add(address(database_url), name, {SERVICE: [SCOPE]}, days, as_json)


@sources.command("list", epilog="Example: amends sources list --json")
def list_sources(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show the sources."""
    keys.show(address(database_url), [SERVICE], as_json)


@sources.command("disable", epilog="Example: amends sources disable zendesk-uk")
def disable_source(name: Annotated[str, typer.Argument(help="Its name.")], database_url: DatabaseUrl = None) -> None:
    """End a source's key. What it has sent stays."""
    keys.disable(address(database_url), [SERVICE], name)
