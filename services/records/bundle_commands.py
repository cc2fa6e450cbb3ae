"""`amends records export` and `check-bundle`: a case for somebody who need not trust us, made from the database, checked without."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from services.records.ledger_commands import SERVICE, WAIT_EVERY_S, own_case_keys, progress, read_keys
from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json
from shared.cli.database import DatabaseUrl, address, in_schema

if TYPE_CHECKING:
    from services.records.bundle import Recorded
    from services.records.payloads import CaseKeys
    from services.records.tree import merkle
    from services.records.tree_store import Conn, Stored
    from shared.cli.database import Connection

ROWS = """
select leaf.idx, leaf.leaf, leaf.event_id, payload.service, payload.event_type, payload.sequence, payload.salt, payload.payload
from ledger_leaf as leaf join ledger_payload as payload using (idx) where leaf.complaint_id = $1 order by leaf.idx
"""
RANGES_A_TIME = 1_000
MOST = 1 << 30  # bytes of one file
_NO_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)

app = typer.Typer()


def add_to(records: typer.Typer) -> None:
    """Put these commands into the group `records`."""
    records.registered_commands += app.registered_commands


@app.command(epilog="Example: amends records export 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 -o case.zip")
def export(
    complaint_id: Annotated[UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder, or a file ending in .zip.", show_default=False)],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a checkpoint that covers the whole case.")] = 30.0,
    url: Url = None,
    key: Key = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write a case for an ombudsman: to be read (HTML, PDF), and with a proof of each event, to be checked offline.

    It holds what people wrote: give it to nobody else. Who exports is written into the case, before, where records can be
    reached. Ends with 1 when there is no such complaint, or no checkpoint covers it yet.
    """
    if output.is_dir() and any(output.iterdir()):
        raise WrongUse(f"{output} holds other things; give a new folder, or a file ending in .zip")
    if output.exists() and not output.is_dir() and output.suffix != ".zip":
        raise WrongUse(f"{output} is a file; give a new folder, or a file ending in .zip")
    try:
        client = Client("records", url, key)
    except WrongUse:
        if url or key:
            raise
        typer.echo("note: this export is not written into the case: records' address and an API key are not given", err=True)
    else:
        client.get(f"/v1/complaints/{complaint_id}?how=export&limit=1")
    case_keys = own_case_keys()

    async def collect(conn: Connection) -> dict[str, bytes]:
        deadline = time.monotonic() + wait
        while True:
            found = await made(conn, complaint_id, case_keys)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise Failed("the case is recorded, but no checkpoint covers all of it yet: is the signer running? (amends records sign)")
            await asyncio.sleep(WAIT_EVERY_S)

    bundle = in_schema(address(database_url), SERVICE, collect)
    write(output, bundle)
    events = sum(name.endswith(".tlog-proof") for name in bundle)
    if as_json:
        print_json({"bundle": str(output), "complaint_id": str(complaint_id), "events": events})
    else:
        typer.echo(f"{output}: {events} events, each with its proof; begin with README.txt")


async def made(conn: Conn, complaint_id: UUID, case_keys: CaseKeys | None) -> dict[str, bytes] | None:
    """The files of the bundle; None while the last checkpoint does not cover the case. Raises Failed."""
    from services.records import bundle, log_export, tree_store

    async with conn.transaction(isolation="repeatable_read", readonly=True):
        events = await _events(conn, complaint_id, case_keys)
        last = await tree_store.last_checkpoint(conn)
        if last is None or last.size <= events[-1].index:
            return None
        hashes = await _hashes(conn, events, last)
        vkeys = [key.vkey for key in await log_export.signers_of(conn, last.note)]
    return dict(bundle.files(complaint_id, events, hashes, last.note, vkeys))


async def _events(conn: Conn, complaint_id: UUID, case_keys: CaseKeys | None) -> list[Recorded]:
    from services.records.bundle import Recorded
    from services.records.payloads import CannotOpen, opened

    rows = await conn.fetch(ROWS, complaint_id)
    if not rows:
        raise Failed(f"nothing is recorded about a complaint {complaint_id}")
    if case_keys is None and any(row["payload"] and not row["salt"] for row in rows):
        raise Failed("the payloads are sealed: name the file with the master keys in AMENDS_MASTER_KEY_FILE")
    cipher = None if case_keys is None else (await case_keys.for_reading(conn, [complaint_id])).get(complaint_id)
    events = []
    for row in rows:
        try:
            plain = opened(cipher, UUID(bytes=row["event_id"].bytes), bytes(row["salt"]), bytes(row["payload"]))
        except CannotOpen:
            raise Failed(f"row {row['idx']} does not open: it was changed; run: amends records verify") from None
        content = (b"", None) if plain is None else (plain.salt, plain.payload)
        events.append(Recorded(row["idx"], bytes(row["leaf"]), row["event_type"], row["service"], row["sequence"], *content))
    return events


async def _hashes(conn: Conn, events: list[Recorded], last: Stored) -> dict[merkle.Range, bytes]:
    """Of every range that a proof needs, each read once: the proofs of one case share most of them."""
    from services.records import tree_store
    from services.records.tree import merkle

    ranges = sorted({each for event in events for each in merkle.inclusion(event.index, last.size)})
    found: dict[merkle.Range, bytes] = {}
    tell = progress("proved", "hashes")
    for at in range(0, len(ranges), RANGES_A_TIME):
        some = ranges[at : at + RANGES_A_TIME]
        found |= zip(some, await tree_store.range_hashes(conn, some), strict=True)
        tell(len(found), len(ranges))
    return found


def write(output: Path, bundle: dict[str, bytes]) -> None:
    """As a folder, or as a zip file when its name says so; nobody else on this machine may read it. Raises Failed."""
    try:
        if output.suffix == ".zip":
            unfinished = output.with_name(f".{output.name}.unfinished")
            unfinished.touch(mode=0o600)
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in bundle.items():
                    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
            unfinished.replace(output)
            return
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        (output / "proofs").mkdir(exist_ok=True)
        for name, data in bundle.items():
            (output / name).write_bytes(data)
    except OSError as error:
        raise Failed(f"{output} cannot be written: {error.strerror}") from None


@app.command("check-bundle", epilog="Example: amends records check-bundle case.zip --public-key log.vkey")
def check_bundle(
    source: Annotated[Path, typer.Argument(metavar="DIR_OR_ZIP", help="What `amends records export` wrote.", show_default=False)],
    public_key: Annotated[
        Path, typer.Option("--public-key", help="The log's public key(s), one a line, from a source you trust.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Check a bundle, offline: every event with its proof and payload, the checkpoint, and the pages to be read.

    Ends with 1 when anything is wrong, and names the first wrong event or file.
    """
    from services.records import bundle

    keys = read_keys(public_key)
    with contextlib.closing(Folder(source) if source.is_dir() else Zip(source)) as files:
        report = bundle.check(files.names, files.read, keys, progress("checked", "events"))
    if as_json:
        print_json(report.as_json())
    else:
        if report.valid:
            erased = f", {report.erased} of them erased" if report.erased else ""
            typer.echo(f"valid: complaint {report.complaint_id}, {report.events} events{erased}")
            typer.echo(f"  proved by the checkpoint of {report.size} records, root {report.root}")
        else:
            where = "" if report.first_bad is None else f" (first wrong event: record {report.first_bad})"
            typer.echo(f"NOT valid{where}: {report.file}: {report.reason}")
        for each in report.notes:
            typer.echo(f"note: {each}")
    raise typer.Exit(0 if report.valid else 1)


class Folder:
    """A bundle as a folder. What a link points to is no part of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}

    def read(self, name: str) -> bytes:
        """Raises Unreadable."""
        from services.records.bundle import Unreadable

        path = self._folder / name
        if not path.is_file() or path.is_symlink():
            raise Unreadable("is missing")
        try:
            with path.open("rb") as file:
                return file.read(MOST)
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from None

    def close(self) -> None: ...


class Zip:
    """A bundle as a zip file. Nothing of it is written anywhere."""

    def __init__(self, file: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(file)
        except _NO_ZIP:
            raise WrongUse(f"{file} is neither a folder nor a zip file that can be read") from None
        # Of two of one name it depends on the program which one is read.
        self.names = {name if times == 1 else f"{name} (twice)" for name, times in Counter(self._archive.namelist()).items()}

    def read(self, name: str) -> bytes:
        """Raises Unreadable."""
        from services.records.bundle import Unreadable

        if name not in self.names:
            raise Unreadable("is missing")
        try:
            with self._archive.open(name) as file:
                return file.read(MOST)
        except _NO_ZIP:
            raise Unreadable("cannot be read: the zip file is damaged") from None

    def close(self) -> None:
        self._archive.close()
