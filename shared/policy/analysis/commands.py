"""`amends policy diff`: what a new version changes, in the document and for complaints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import WrongUse
from shared.cli.client import AsJson, print_json
from shared.policy.analysis.difference import difference
from shared.policy.commands import load_document

app = typer.Typer()
Old = Annotated[Path, typer.Argument(metavar="OLD", help="The document as it was.", show_default=False)]
New = Annotated[Path, typer.Argument(metavar="NEW", help="The document as it is to be.", show_default=False)]


@app.command(epilog="Example: amends policy diff escalation.v1.yaml escalation.v2.yaml")
def diff(old: Old, new: New, as_json: AsJson = False) -> None:
    """Show what changed, and for each way in which decisions change a complaint that shows it.

    Every complaint is confirmed by deciding it with both documents. With the extra `prove` it says, too, whether all other
    complaints are decided as before. Ends with 0, changed or not.
    """
    before, after = (load_document(file, {}, as_json) for file in (old, new))
    if before.kind != after.kind:
        raise WrongUse(f"{old} is of kind {before.kind}, {new} of {after.kind}: only documents of one kind compare")
    found = difference(before, after)
    if as_json:
        print_json(
            {
                "old": {"id": before.id, "version": before.version, "digest": before.digest},
                "new": {"id": after.id, "version": after.version, "digest": after.digest},
                "changes": [{"path": each.path, "old": each.old, "new": each.new} for each in found.changes],
                "regions": [each.as_json() for each in found.regions],
                "complete": found.complete,
                "why_not_complete": found.why or None,
            }
        )
        return
    for change in found.changes:
        typer.echo(f"{change.path}: {_shown(change.old)} -> {_shown(change.new)}")
    for region in found.regions:
        typer.echo(f"\n{region.complaint}:\n  {region.in_words()}")
    if not found.regions:
        typer.echo("no complaint was found that is decided differently")
    everything = (
        "all other complaints are decided as before (proved)" if found.regions else "proved for every complaint"
    )
    typer.echo(f"\n{everything if found.complete else f'there may be more: {found.why}'}")


def _shown(value: Any) -> str:
    text = (
        "none"
        if value is None
        else value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
    )
    return text if len(text) <= 100 else f"{text[:97]}..."
