"""`amends intake import`: CSV files and mailboxes into a source; can be stopped and gone on with at any time."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.text.cells import inert

if TYPE_CHECKING:
    from services.intake.importing import Load, Piece

SERVICE = "intake"
PREVIEWED = 10
PROBLEMS = ("rejected", "dead_letter", "conflict")
COLUMNS = ("item", "outcome", "kind", "complaint_id", "event_id", "reason")


def import_file(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A CSV file, a maildir, an mbox, a mail, or a folder of .eml files.")],
    source: Annotated[str, typer.Option(metavar="NAME", help="The source that it belongs to (amends sources add NAME --adapter ...).")],
    preview: Annotated[bool, typer.Option("--preview", help=f"Show what the first {PREVIEWED} would become; store nothing.")] = False,
    outcomes: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the outcome of each item goes, as CSV.")] = None,
    again: Annotated[bool, typer.Option("--again", help="From the beginning, though an earlier import was stopped or done.")] = False,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV file, where it should not be guessed.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file, where it should not be guessed.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Import a CSV file or a mailbox into a source. Stopped, it goes on where it was; importing again is harmless.

    The outcome of each row or mail is written to PATH.outcomes.csv. Exit code 1 when some could not be used.
    """
    from services.intake.adapters.mapping import CsvShape
    from services.intake.importing import open_load
    from services.intake.submissions import Unreadable

    try:
        load = open_load(path, CsvShape(delimiter=delimiter, encoding=encoding))
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from None
    except (Unreadable, LookupError) as problem:
        raise Failed(f"{path}: {getattr(problem, 'detail', problem)}") from None
    if not load.items:
        raise Failed(f"{path} holds no {'mail' if load.kind == 'mail' else 'rows'}")
    client = Client(SERVICE, url, key)
    seen = _look(client, source, load, path, show=preview, as_json=as_json)
    if preview:
        return
    state = Journal.of(path, load, source, client.url, again)
    if state.done and not as_json:
        typer.echo(f"going on after {state.done} of {load.items}", err=True)
    written = outcomes or path.with_name(path.name + ".outcomes.csv")
    _run(client, source, load, chain(seen, load.pieces), state, written)
    _tell(state, load, written, as_json)


@dataclass(slots=True)
class Journal:
    """How far an import is: kept beside the file after every request, and read when it is run again."""

    file: Path
    digest: str
    source: str
    url: str
    done: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, load: Load, source: str, url: str, again: bool) -> Journal:
        """The journal of an earlier run of the same import, or a new one."""
        made = cls(path.with_name(path.name + ".import.json"), load.digest, source, url)
        try:
            kept = json.loads(made.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return made
        same = isinstance(kept, dict) and all(kept.get(name) == getattr(made, name) for name in ("digest", "source", "url"))
        if same and not again and isinstance(kept.get("done"), int):
            made.done, made.counts = kept["done"], dict(kept.get("counts", {}))
        return made

    def keep(self) -> None:
        """Write it, whole or not at all."""
        unfinished = self.file.with_name(self.file.name + ".unfinished")
        told = {name: value for name, value in asdict(self).items() if name != "file"}
        unfinished.write_text(json.dumps(told), encoding="utf-8")
        unfinished.replace(self.file)


def _look(client: Client, source: str, load: Load, path: Path, *, show: bool, as_json: bool) -> list[Piece]:
    """What the first items would become; returns the pieces that were taken for it. Nothing is stored.

    A file that cannot be read at all ends here. Of a mailbox one mail that can be read is enough to go on.
    """
    from services.intake.trying import sentence

    taken: list[Piece] = []
    found: list[tuple[str, dict[str, Any]]] = []
    for piece in load.pieces:
        taken.append(piece)
        items = client.post(f"/v1/deliveries/{source}?preview", piece.body, content_type=piece.content_type)["items"]
        labels = piece.labels if len(items) == len(piece.labels) else piece.labels[:1] * len(items)
        found += zip(labels, items, strict=True)
        readable = any(result["outcome"] != "dead_letter" for _, result in found)
        if load.kind != "mail" or len(found) >= PREVIEWED or (readable and not show):
            break
    if not readable:
        raise Failed(f"{path}: {found[0][1]['reason']}")
    if show and as_json:
        print_json([result for _, result in found[:PREVIEWED]])
    elif show:
        for label, result in found[:PREVIEWED]:
            typer.echo(f"{label}: {sentence(result)}")
    return taken


def _run(client: Client, source: str, load: Load, pieces: Iterator[Piece], state: Journal, outcomes: Path) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    skipped = 0
    with (
        Progress(*columns, console=Console(stderr=True)) as bar,
        outcomes.open("a" if state.done else "w", newline="", encoding="utf-8") as file,
    ):
        task = bar.add_task("", total=load.items, completed=state.done)
        if not state.done:
            csv.writer(file).writerow(COLUMNS)
        for piece in pieces:
            if skipped < state.done:
                skipped += len(piece.labels)
                continue
            try:
                answer = client.post(f"/v1/deliveries/{source}", piece.body, content_type=piece.content_type)
            except Failed as problem:
                raise Failed(f"{problem} Stopped after {state.done} of {load.items}: run the same command to go on.") from None
            _note(file, piece, answer["items"], state)
            state.done += len(piece.labels)
            skipped = state.done
            state.keep()
            bar.update(task, completed=state.done)


def _note(file: TextIO, piece: Piece, items: list[dict[str, Any]], state: Journal) -> None:
    """The outcome of each item, before the journal says that they are done."""
    counts = Counter(state.counts)
    writer = csv.writer(file)
    labels = piece.labels if len(items) == len(piece.labels) else [f"{piece.labels[0]} and on"] * len(items)
    for label, item in zip(labels, items, strict=True):
        counts[item["outcome"] if item["outcome"] != "accepted" else item["kind"]] += 1
        row = {**item, "item": label}
        writer.writerow([inert(str(row.get(name, "") or "")) for name in COLUMNS])
    file.flush()
    state.counts = dict(counts)



def _tell(state: Journal, load: Load, outcomes: Path, as_json: bool) -> None:
    if as_json:
        print_json({"items": load.items, "counts": state.counts, "outcomes": str(outcomes)})
    else:
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(state.counts.items()))
        typer.echo(f"{load.items} items: {told}. Each is in {outcomes}.")
    bad = sum(state.counts.get(name, 0) for name in PROBLEMS)
    if bad:
        raise Failed(f"{bad} of {load.items} items could not be used; {outcomes} says why")
