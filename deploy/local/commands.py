"""The local stack's part of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.escalation.clock_commands import clock
from shared.cli import local

app = typer.Typer()


@app.command(epilog="Example: amends up --once --data /tmp/amends-try")
def up(
    once: Annotated[bool, typer.Option("--once", help="End when the last sample complaint is recorded.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the data live; default: $AMENDS_DATA_DIR, else .amends here.", show_default=False),
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Its clock can be put forward: amends clock advance 3d")
    ] = False,
) -> None:
    """Start a real Kafka, a real PostgreSQL and the four services here, and send the sample complaints.

    Stays up until Ctrl-C; the data stay for the next start. Logs are in the data folder.
    """
    from deploy.local.up import run

    raise typer.Exit(run(local.data_dir(data), once=once, simulated=simulated))


@clock.command(epilog="Example: amends clock advance 3d")
def advance(
    span: Annotated[str, typer.Argument(metavar="SPAN", help="How far: 90m, 12h, 3d.", show_default=False)],
) -> None:
    """Put the clock of the simulated local stack forward; what comes due on the way happens at its own time.

    Only for a stack that was started with `amends up --simulated`: no other clock can be changed.
    """
    from deploy.local import simulate

    for line in simulate.advance(local.data_dir(), span):
        typer.echo(line)
