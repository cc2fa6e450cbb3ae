"""`amends records ...` for the ledger: the public log, proofs, audits, keys. What checks needs no database."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from shared.cli import Failed, WrongUse, local
from shared.cli.client import AsJson, print_json
from shared.cli.database import DatabaseUrl, address, in_schema

if TYPE_CHECKING:
    from services.records.log_folder import Report
    from services.records.payloads import CaseKeys
    from services.records.tree import note
    from services.records.tree.checkpoint import Head
    from shared.cli.database import Connection

SERVICE = "records"
WAIT_EVERY_S = 0.2

app = typer.Typer(no_args_is_help=True, help="The ledger: export it, check it, prove what is in it.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the log.", show_default=False)]
PublicKey = Annotated[
    Path | None,
    typer.Option("--public-key", help="The log's public key(s), one a line, from a source you trust.", show_default=False),
]
Witnesses = Annotated[
    Path | None,
    typer.Option(help="Public keys of witnesses, one a line: they must have cosigned, too.", show_default=False),
]
Quorum = Annotated[
    int | None, typer.Option(min=1, help="So many of the witnesses suffice; default: all.", show_default=False)
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A checkpoint kept from before; may be given several times.", show_default=False),
]


@app.command("export-log", epilog="Example: amends records export-log /tmp/log")
def export_log(
    folder: Folder,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a checkpoint that covers what is recorded now.")] = 15.0,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the public log: checkpoint, tiles, records, key. Nothing personal is in it; anybody can check it.

    Ends with 1 when no checkpoint is signed yet. An earlier export in the same folder is brought up to date.
    """
    from services.records.log_folder import Writer

    _for_a_log(folder)

    async def write(conn: Connection) -> dict[str, Any]:
        from services.records import log_export, tree_store

        size, deadline = await tree_store.size(conn), time.monotonic() + wait
        while time.monotonic() < deadline:
            last = await tree_store.last_checkpoint(conn)
            if last is not None and last.size >= size:
                break
            await asyncio.sleep(WAIT_EVERY_S)
        try:
            return await log_export.export(conn, Writer(folder), progress("exported"))
        except OSError as error:
            if error.filename is None:  # of the connection, not of a file
                raise
            raise Failed(f"{error.filename} cannot be written: {error.strerror}") from None

    done = in_schema(address(database_url), SERVICE, write)
    if as_json:
        print_json({"folder": str(folder), **done})
    else:
        typer.echo(f"{done['size']} records, root {done['root']}, in {folder}")


@app.command("fetch-log", epilog="Example: amends records fetch-log https://complaints.example.com/log /tmp/log")
def fetch_log(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the log is served.", show_default=False)],
    folder: Folder,
    key: Annotated[str | None, typer.Option("--key", help="API key, if the log wants one; else $AMENDS_API_KEY.")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a public log from its server, to be checked: amends records verify --from DIR --public-key FILE.

    Into the folder of an earlier copy it fetches what is new. The earlier checkpoint stays there, so `verify` also finds a log
    that does not continue it.
    """
    import httpx2

    from services.records import log_fetching
    from services.records.tree.checkpoint import encode

    if not url.startswith(("http://", "https://")):
        raise WrongUse(f"the address of a log begins with http:// or https://, not '{url}'")
    _for_a_log(folder)
    key = key or os.environ.get("AMENDS_API_KEY")
    try:
        with httpx2.Client(
            base_url=url.rstrip("/") + "/", timeout=log_fetching.TIMEOUT_S, headers={"authorization": f"Bearer {key}"} if key else {}
        ) as client:
            head = log_fetching.fetch(client, folder, progress("fetched", "tiles"))
    except (httpx2.InvalidURL, UnicodeError):
        raise WrongUse(f"'{url}' is no address of a log, or the key is no API key") from None
    except OSError as error:
        raise Failed(f"{folder}: {error.strerror}") from None
    if as_json:
        print_json({"folder": str(folder), "size": head.size, "root": encode(head.root)})
    else:
        typer.echo(f"{head.size} records, root {encode(head.root)}, in {folder}; nothing of it is checked yet")


def _for_a_log(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise WrongUse(f"{folder} is a file; give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "checkpoint").is_file():
        raise WrongUse(f"{folder} holds other things; give a new folder, or that of an earlier export")


def own_case_keys() -> CaseKeys | None:
    """The keys of complaints, if this machine has the master keys: AMENDS_MASTER_KEY_FILE, else the local stack's."""
    from services.records.payloads import CaseKeys
    from shared.vault import read_master_keys

    given = os.environ.get("AMENDS_MASTER_KEY_FILE")
    file = Path(given) if given else local.data_dir() / "master-keys"
    return CaseKeys(read_master_keys(file)) if given or file.is_file() else None


@app.command(epilog="Example: amends records verify --from /tmp/log --public-key log.vkey --json")
def verify(
    folder: Annotated[Path | None, typer.Option("--from", help="An exported log; default: the database.", show_default=False)] = None,
    public_key: PublicKey = None,
    checkpoint: Checkpoints = None,
    witnesses: Witnesses = None,
    quorum: Quorum = None,
    payloads: Annotated[
        bool, typer.Option("--payloads/--no-payloads", help="In the database: check what people wrote, too. Without it is faster.")
    ] = True,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check the whole ledger: every record, every hash, every signature, and that it continues what you have kept.

    Ends with 1 when anything was changed, and names the first wrong record, else the range in which it is. In the database
    every payload is checked, too; without --public-key its own list of keys is taken, which its operator could change.
    """
    from services.records import ledger_audit, log_folder

    keys = [] if public_key is None else read_keys(public_key)
    cosigners = read_witnesses(witnesses, quorum)
    if folder is not None:
        if not keys:
            raise WrongUse("--public-key is needed: an exported log cannot vouch for its own key")
        if not folder.is_dir():
            raise WrongUse(f"there is no folder {folder}")
        known = _known(checkpoint or [], keys)
        if isinstance(known, log_folder.Report):
            end(known, as_json)
        end(
            log_folder.audit(folder, keys, known, witnesses=cosigners, quorum=quorum, tell=progress("checked")), as_json
        )

    async def check(conn: Connection) -> Report:
        from services.records import tree_store
        from services.records.tree import checkpoint as checkpoints
        from services.records.tree import note

        trusted = keys or [log_folder.read_keys(key)[0] for key in await tree_store.keys(conn)]
        last = await tree_store.last_checkpoint(conn)
        if not keys and last is not None:  # the log of today; there may have been another before
            trusted = [key for key in trusted if key.name == last.origin]
        known = _known(checkpoint or [], trusted)
        if isinstance(known, log_folder.Report):
            return known
        if cosigners:
            try:
                checkpoints.open_trusted("" if last is None else last.note, trusted, cosigners, quorum)
            except note.BadNote as error:
                return log_folder.refused(str(error), "" if last is None else last.note)
        return await ledger_audit.audit(
            conn, trusted, known, case_keys=own_case_keys(), payloads=payloads, tell=progress("checked")
        )

    end(in_schema(address(database_url), SERVICE, check), as_json)


def read_witnesses(file: Path | None, quorum: int | None) -> list[note.Verifier]:
    from services.records.tree import note

    keys = [] if file is None else read_keys(file)
    if any(key.algorithm != note.COSIGNATURE for key in keys):
        raise WrongUse(f"{file} holds the key of a log; a witness's key is wanted")
    if quorum is not None and quorum > len(keys):
        raise WrongUse(f"--quorum {quorum} needs so many keys in --witnesses; there are {len(keys)}")
    return keys


def end(report: Report, as_json: bool) -> NoReturn:
    if as_json:
        print_json(report.as_json())
    else:
        if report.valid:
            typer.echo(f"valid: {report.size} records, root {report.root}")
        else:
            where = "" if report.first_bad is None else f" (first wrong record: {report.first_bad})"
            typer.echo(f"NOT valid{where}: {report.reason}")
        for each in report.notes:
            typer.echo(f"note: {each}")
    raise typer.Exit(0 if report.valid else 1)


def _known(files: Sequence[Path], keys: Sequence[note.Verifier]) -> list[Head] | Report:
    """The heads of checkpoints that were kept; a report where one is not signed by the keys."""
    from services.records import log_folder
    from services.records.tree import checkpoint, note

    heads = []
    for file in files:
        text = as_text(read_file(file))
        try:
            heads.append(checkpoint.open_trusted(text, keys)[0])
        except note.BadNote as error:
            return log_folder.refused(f"{file}: {error}", text)
    return heads


def read_keys(file: Path) -> list[note.Verifier]:
    from services.records import log_folder
    from services.records.tree import note

    try:
        return log_folder.read_keys(as_text(read_file(file)))
    except note.BadNote as error:
        raise WrongUse(f"{file} is no public key: {error}") from None


def read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None


def as_text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")  # what is no text is no key, note or proof either


def progress(verb: str, of: str = "records") -> Any:
    """Says how far it is, on the terminal, once it takes more than two seconds."""
    began = last = time.monotonic()

    def tell(done: int, size: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - began > 2 and (now - last > 2 or done >= size):
            last = now
            typer.echo(f"{verb} {done:,} of {size:,} {of}", err=True)

    return tell
