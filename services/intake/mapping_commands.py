"""`amends intake map`: drafting and checking mapping files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli import Failed, WrongUse

if TYPE_CHECKING:
    from services.intake.adapters.mapping import Kind

MAPPED = ("csv", "mapped")
app = typer.Typer(no_args_is_help=True, help="Mapping files: which column or path holds which field (docs/how-to/mapping.md).")


@app.command("new", epilog="Example: amends intake map new export.csv --output crm.yaml")
def new(
    payload: Annotated[Path, typer.Argument(metavar="PAYLOAD", help="What the system sends: CSV, JSON or NDJSON.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here; must not exist yet.")] = None,
) -> None:
    """Draft a mapping for a payload, guessed from its names and values. Check every line of it."""
    from services.intake import drafting
    from services.intake.submissions import Unreadable

    try:
        text = drafting.draft(payload.name, read(payload))
    except Unreadable as problem:
        raise Failed(f"{payload}: {problem.detail}") from None
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise WrongUse(f"{output} exists already; delete it first, or choose another name") from None
    except OSError as error:
        raise WrongUse(f"{output} cannot be written: {error.strerror}") from None
    typer.echo(f"{output} is written. Check it, then: amends intake try {_adapter(text)} {payload} --mapping {output}", err=True)


@app.command("check", epilog="Example: amends intake map check crm.yaml --for csv")
def check(
    mapping: Annotated[Path, typer.Argument(metavar="MAPPING", help="A mapping file.")],
    adapter: Annotated[str, typer.Option("--for", metavar="ADAPTER", help="csv or mapped.")] = "mapped",
) -> None:
    """Say everything that is wrong in a mapping file, each with its line and column."""
    checked(mapping, adapter)
    typer.echo(f"{mapping} is a valid mapping for {adapter}")


def checked(mapping: Path, adapter: str) -> str:
    """The text of a mapping file. Raises WrongUse with all its problems."""
    from services.intake.adapters.mapping import MappingRefused
    from services.intake.adapters.mapping_reader import load

    if adapter not in MAPPED:
        raise WrongUse(f"mappings are for the adapters {' and '.join(MAPPED)}, not for '{adapter}'")
    kind: Kind = "csv" if adapter == "csv" else "json"
    try:
        text = read(mapping).decode()
    except UnicodeDecodeError as error:
        raise WrongUse(f"{mapping} is not UTF-8 (byte {error.start})") from None
    try:
        load(text, kind)
    except MappingRefused as refused:
        raise WrongUse(refused.told(str(mapping))) from None
    return text


def read(file: Path) -> bytes:
    """The bytes of a file. Raises WrongUse where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None


def _adapter(text: str) -> str:
    return "csv" if "intake try csv" in text else "mapped"
