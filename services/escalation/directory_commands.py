"""`amends directory`: who deals with complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json

directory = typer.Typer(no_args_is_help=True, help="Teams, members, tiers and desks: who deals with complaints.")
app = typer.Typer()
app.add_typer(directory, name="directory")
File = Annotated[Path, typer.Argument(metavar="FILE", help="A directory (YAML).", show_default=False)]


@directory.command(epilog="Example: amends directory check services/escalation/directory.default.yaml")
def check(file: File, as_json: AsJson = False) -> None:
    """Check a directory file: every problem with its place; and warnings, such as members that nobody knows."""
    from services.escalation.directory import DirectoryRefused, read_directory

    try:
        found, warnings = read_directory(_text(file), origin=str(file))
    except DirectoryRefused as refused:
        if as_json:
            print_json({"valid": False, "problems": str(refused).splitlines(), "warnings": []})
            raise typer.Exit(1) from None
        raise Failed(str(refused)) from None
    if as_json:
        print_json({"valid": True, "problems": [], "warnings": list(warnings)})
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(f"{file}: valid ({len(found.teams)} teams, {len(found.members)} members, {len(found.tiers)} tiers)")


@directory.command(epilog="Example: amends directory put directory.yaml")
def put(file: File, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Store a directory; every replica uses it within seconds."""
    body = _text(file).encode()
    done = Client("escalation", url, key).put("/v1/directory", body, content_type="application/yaml")
    if as_json:
        print_json(done)
        return
    for warning in done["warnings"]:
        typer.echo(f"warning: {warning}")
    typer.echo(f"stored: {done['teams']} teams, {done['members']} members")


@directory.command(epilog="Example: amends directory show --json")
def show(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """What is in use now."""
    found = Client("escalation", url, key).get("/v1/directory")
    if as_json:
        print_json(found)
        return
    typer.echo(f"from {found['origin']}; fallback {found['fallback']}")
    for number, name in enumerate(found["tiers"], 1):
        teams = ", ".join(_team(each) for each in found["teams"] if each["tier"] == number) or "nobody"
        typer.echo(f"  tier {number}, {name}: {teams}")
    for warning in found["warnings"]:
        typer.echo(f"warning: {warning}")


def _team(team: dict[str, object]) -> str:
    return f"{team['id']} ({team['desk']} desk)" if team.get("desk") else str(team["id"])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WrongUse(f"there is no file {file}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None
