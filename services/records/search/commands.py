"""`amends records search|unattended|rebuild`: find complaints, take them out as CSV or Parquet, make the index again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.cli.database import DatabaseUrl, address, in_schema
from shared.text.cells import inert

app = typer.Typer()
PAGE = 500
COLUMNS = (
    "complaint_id", "changed_at", "received_at", "status", "tier", "team", "owner", "cause", "channel", "source", "severity", "heat",
    "next_due", "missed", "remedy", "resolution", "outcome",
)  # fmt: skip
Text = Annotated[str | None, typer.Argument(help='Words, "phrases", -without.', show_default=False)]


@app.command(epilog='Example: amends records search "melted handle" --status open --clock overdue --csv late.csv')
def search(
    text: Text = None,
    status: Annotated[list[str] | None, typer.Option(help="open, waiting, resolved or closed; may be given several times.")] = None,
    tier: Annotated[list[int] | None, typer.Option(help="May be given several times.")] = None,
    team: Annotated[str | None, typer.Option(help="Of this team.")] = None,
    cause: Annotated[str | None, typer.Option(help="The category.")] = None,
    source: Annotated[str | None, typer.Option(help="The source.")] = None,
    clock: Annotated[str | None, typer.Option(help="overdue, due (with --due-before) or quiet.")] = None,
    due_before: Annotated[str | None, typer.Option(help="A time, e.g. 2026-12-01T00:00Z.")] = None,
    received_from: Annotated[str | None, typer.Option(help="A time.")] = None,
    received_before: Annotated[str | None, typer.Option(help="A time.")] = None,
    heat: Annotated[str | None, typer.Option(help="calm, frustrated, angry or abusive.")] = None,
    language: Annotated[str, typer.Option(help="The language of the words.")] = "en",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write them to this file; all of them unless --limit is given.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet (needs the extra 'parquet').")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Find complaints, the last changed first."""
    asked = {
        "text": text, "status": status or [], "tier": tier or [], "team": team, "cause": cause, "source": source, "clock": clock,
        "due_before": due_before, "received_from": received_from, "received_before": received_before, "heat": heat,
        "language": language,
    }  # fmt: skip
    asked = {name: value for name, value in asked.items() if value not in (None, [])}
    most = None if (csv_file or parquet) and limit == 50 else limit
    found = _pages(Client("records", url, key), asked, most)
    if csv_file is not None:
        typer.echo(f"{_write_csv(csv_file, found)} complaints in {csv_file}")
    elif parquet is not None:
        typer.echo(f"{_write_parquet(parquet, found)} complaints in {parquet}")
    elif as_json:
        print_json(list(found))
    else:
        _list(found)


@app.command(epilog="Example: amends records unattended --json")
def unattended(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List open complaints that have no owner or no next event. Ends with 1 when there is one."""
    found = Client("records", url, key).get("/v1/unattended")["complaints"]
    if as_json:
        print_json(found)
    else:
        _list(iter(found))
    if found:
        raise typer.Exit(1)


@app.command(epilog="Example: amends records rebuild")
def rebuild(database_url: DatabaseUrl = None) -> None:
    """Make the search index again from the ledger; the old one answers until the new one takes its place."""
    import sys

    from services.records.ledger_commands import own_case_keys
    from services.records.search.projector import rebuild as again

    keys = own_case_keys()
    if keys is None:
        raise WrongUse("the payloads are sealed: name the file with the master keys in AMENDS_MASTER_KEY_FILE")

    def tell(done: int, size: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{done} of {size} events", err=True, nl=False)

    done = in_schema(address(database_url), "records", lambda conn: again(conn, keys, tell))
    typer.echo(f"{done} events read; the index is new")


def _pages(client: Client, asked: dict[str, Any], most: int | None) -> Iterator[dict[str, Any]]:
    after, given = None, 0
    while most is None or given < most:
        size = PAGE if most is None else min(PAGE, most - given)
        page = client.post("/v1/search", json.dumps({**asked, "limit": size, "after": after}).encode())
        yield from page["complaints"]
        given += len(page["complaints"])
        after = page["next"]
        if after is None:
            return


def _write_csv(file: Path, found: Iterator[dict[str, Any]]) -> int:
    count = 0
    try:
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(COLUMNS)
            for each in found:
                writer.writerow([inert(cell) if isinstance(cell := each[name], str) else cell for name in COLUMNS])
                count += 1
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}") from None
    return count


def _write_parquet(file: Path, found: Iterator[dict[str, Any]]) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise WrongUse("Parquet needs the extra 'parquet': pip install 'amends[parquet]'") from None
    whole = {"tier": pa.int32(), "severity": pa.int32(), "missed": pa.bool_()}
    schema = pa.schema([(name, whole.get(name, pa.string())) for name in COLUMNS])
    table = pa.Table.from_pylist([{name: each[name] for name in COLUMNS} for each in found], schema=schema)
    try:
        pq.write_table(table, file)
    except OSError as error:
        raise Failed(f"{file}: {error.strerror or 'cannot be written'}") from None
    return int(table.num_rows)


def _list(found: Iterator[dict[str, Any]]) -> None:
    none = True
    for each in found:
        none = False
        due = f"next {each['next_due'][:16].replace('T', ' ')}" if each["next_due"] else "nothing comes next"
        who = each["owner"] or each["team"] or "nobody"
        late = ", OVERDUE" if each["missed"] else ""
        typer.echo(f"{each['complaint_id']}  {each['status']:<9} tier {each['tier'] or '-'}  {each['cause']:<18} {who:<16} {due}{late}")
    if none:
        typer.echo("none")
