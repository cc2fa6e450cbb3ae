"""`amends records prove` and `check-proof`: the proof of one event, made from the database and checked without it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from services.records.ledger_commands import (
    SERVICE,
    WAIT_EVERY_S,
    Quorum,
    Witnesses,
    as_text,
    own_case_keys,
    read_file,
    read_keys,
    read_witnesses,
)  # fmt: skip
from shared.cli import Failed
from shared.cli.client import AsJson, print_json
from shared.cli.database import DatabaseUrl, address, in_schema

if TYPE_CHECKING:
    from shared.cli.database import Connection

app = typer.Typer()


def add_to(records: typer.Typer) -> None:
    """Put these commands into the group `records`."""
    records.registered_commands += app.registered_commands


@app.command(epilog="Example: amends records prove 2b9c1f0a-77aa-4b0e-9c53-0d4f3e1a2b6c -o mine.tlog-proof")
def prove(
    event_id: Annotated[UUID, typer.Argument(metavar="EVENT_ID", help="The event's id, as the timeline shows it.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the proof goes.", show_default=False)],
    payload: Annotated[
        Path | None, typer.Option(help="Where the recorded bytes go; default: beside the proof, with .payload.", show_default=False)
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a checkpoint that covers the event.")] = 30.0,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the proof that an event is in the ledger, and the recorded bytes. Both together can be checked anywhere.

    Ends with 1 when there is no such event, it was erased, or no checkpoint covers it yet.
    """
    from services.records import log_export

    deadline = time.monotonic() + wait
    case_keys = own_case_keys()

    async def find(conn: Connection) -> log_export.Proven | None:
        while True:
            found = await log_export.prove(conn, event_id, case_keys)
            if found is not None or time.monotonic() > deadline:
                return found
            await asyncio.sleep(WAIT_EVERY_S)

    found = in_schema(address(database_url), SERVICE, find)
    if found is None:
        raise Failed("the event is recorded, but no checkpoint covers it yet: is the signer running? (amends records sign)")
    payload = payload or output.with_name(output.name + ".payload")
    write_file(output, str(found.proof).encode())
    write_file(payload, found.payload)
    if as_json:
        print_json({"proof": str(output), "payload": str(payload), "index": found.proof.index, "size": found.size})
    else:
        typer.echo(f"{output}: record {found.proof.index} of {found.size}; the recorded bytes are in {payload}")


@app.command("check-proof", epilog="Example: amends records check-proof x.tlog-proof --payload x.payload --public-key log.vkey")
def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The proof.", show_default=False)],
    payload: Annotated[Path, typer.Option(help="The recorded bytes of the event.", show_default=False)],
    public_key: Annotated[Path, typer.Option("--public-key", help="The log's public key(s).", show_default=False)],
    witnesses: Witnesses = None,
    quorum: Quorum = None,
    as_json: AsJson = False,
) -> None:
    """Check a proof, offline: these bytes were recorded, at this time, in the log that this key signs. Ends with 1 if not."""
    from services.records import proofs
    from services.records.tree import checkpoint, note

    keys, cosigners = read_keys(public_key), read_witnesses(witnesses, quorum)
    proof, recorded = read_file(file), read_file(payload)
    try:
        found = proofs.check(as_text(proof), recorded, keys, cosigners, quorum)
    except note.BadNote as error:
        if as_json:
            print_json({"valid": False, "reason": str(error)})
        else:
            typer.echo(f"not proved: {error}")
        raise typer.Exit(1) from None
    shown = {
        "valid": True,
        "index": found.index,
        "size": found.head.size,
        "root": checkpoint.encode(found.head.root),
        "origin": found.head.origin,
        "event_id": str(found.event_id),
        "complaint_id": str(found.complaint_id),
        "type": found.type,
        "occurred_at": found.occurred_at.isoformat(),
        "recorded_at": found.recorded_at.isoformat(),
        "reason": "",
    }
    if as_json:
        print_json(shown)
        return
    typer.echo(f"proved: {found.type} is record {found.index} of {found.head.size} in {found.head.origin}")
    typer.echo(f"  event {found.event_id} of complaint {found.complaint_id}")
    typer.echo(f"  occurred {found.occurred_at.isoformat()}, recorded {found.recorded_at.isoformat()}")


def write_file(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}") from None
