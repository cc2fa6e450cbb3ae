"""The local stack's part of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import local

app = typer.Typer()


@app.command(epilog="Example: amends up --once --data /tmp/amends-try")
def up(
    once: Annotated[bool, typer.Option("--once", help="End when the last sample complaint is recorded.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the data live; default: $AMENDS_DATA_DIR, else .amends here.", show_default=False),
    ] = None,
) -> None:
    """Start a real Kafka, a real PostgreSQL and the four services here, and send the sample complaints.

    Stays up until Ctrl-C; the data stay for the next start. Logs are in the data folder.
    """
    from deploy.local.up import run

    raise typer.Exit(run(local.data_dir(data), once=once))
