"""`amends records ...` for who signs: keys, the signer as a process, witnesses."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.records.ledger_commands import Folder, PublicKey, as_text, end, read_file, read_keys
from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, print_json

if TYPE_CHECKING:
    from services.records.witness import Witness

app = typer.Typer()
witness = typer.Typer(no_args_is_help=True, help="A witness of logs: run it where the log's operator has no access.")


def add_to(records: typer.Typer) -> None:
    """Put these commands into the group `records`."""
    records.registered_commands += app.registered_commands
    records.add_typer(witness, name="witness")


@app.command(epilog="Example: amends records keygen /etc/amends/ledger.key --name complaints.example.com/ledger")
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes; the public key to FILE.vkey.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="The log's name: a host of yours and a path.", show_default=False)] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Put a new key of the same log in front of those in FILE.")] = False,
    witness: Annotated[bool, typer.Option("--witness", help="A key for a witness instead of a log.")] = False,
) -> None:
    """Make a key that signs checkpoints, readable by you alone, and print its public key.

    With --rotate both keys sign for a while; when everybody has the new public key, delete the old line from FILE.
    """
    from services.records import key_files

    typer.echo(key_files.make(file, name, rotate=rotate, witness=witness))


@app.command(epilog="Example: amends records sign --key /etc/amends/ledger.key")
def sign(
    key: Annotated[
        Path | None, typer.Option(help="The signing key; else $AMENDS_RECORDS_SIGNING_KEY_FILE.", show_default=False)
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="What the signer remembers; default: beside the key.", show_default=False)
    ] = None,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between checkpoints while there is something new.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Sign what is there now, and end.")] = False,
    adopt: Annotated[
        Path | None,
        typer.Option(help="First remember this checkpoint, kept outside: when the memory was lost.", show_default=False),
    ] = None,
    public_key: PublicKey = None,
) -> None:
    """Sign the ledger's checkpoints here, instead of in the service: a user of its own then holds the key.

    Settings of the database as for `amends serve records`. It refuses a ledger that does not continue what it signed; with
    --once that ends with 1. --adopt needs --public-key, the key(s) that signed that checkpoint.
    """
    from services.records import sign_process
    from services.records.tree import note
    from shared.errors import StartRefused
    from shared.telemetry import logs

    try:
        signer = sign_process.open_signer(key, state)
        if adopt is not None:
            if public_key is None:
                raise WrongUse("--adopt needs --public-key: who signed the checkpoint?")
            head = signer.adopt(as_text(read_file(adopt)), read_keys(public_key))
            typer.echo(f"the signer goes on from {head.size} records")
        if not once:
            logs.setup("records-signer", "info")
        signed = asyncio.run(sign_process.sign(signer, once=once, every_s=every))
    except StartRefused as refusal:
        raise WrongUse(str(refusal)) from None
    except note.BadNote as error:
        raise Failed(f"{adopt}: {error}") from None
    typer.echo("nothing new to sign" if signed is None else f"signed {signed.size} records")


WitnessKey = Annotated[Path, typer.Option("--key", help="The witness's key (keygen --witness).", show_default=False)]
Logs = Annotated[Path, typer.Option("--logs", help="Public keys of the logs it watches, one a line.", show_default=False)]
Memory = Annotated[Path, typer.Option(help="A folder in which it remembers them.", show_default=False)]


@witness.command(epilog="Example: amends records witness serve --key w.key --logs logs.vkeys --memory /var/lib/witness")
def serve(
    key: WitnessKey,
    logs: Logs,
    memory: Memory,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one and tells it.")] = 0,
) -> None:
    """Cosign checkpoints over HTTP (c2sp.org/tlog-witness), until it is stopped."""
    from services.records import witness_process

    asyncio.run(witness_process.serve(_witness(key, logs, memory), host, port, typer.echo))


@witness.command("sign", epilog="Example: amends records witness sign /tmp/log --key w.key --logs logs.vkeys --memory mine")
def witness_sign(folder: Folder, key: WitnessKey, logs: Logs, memory: Memory, as_json: AsJson = False) -> None:
    """Check an exported log against what is remembered of it, and print a cosignature of its checkpoint.

    Append the line to the checkpoint: who trusts the witness then knows that nobody was shown another history. Ends with 1
    when the log was changed, forked, or is older than what was seen before.
    """
    found, signature = _witness(key, logs, memory).look(folder, int(time.time()))
    if signature is None:
        end(found, as_json)
    elif as_json:
        print_json({**found.as_json(), "cosignature": signature.line.rstrip()})
    else:
        typer.echo(signature.line, nl=False)


def _witness(key: Path, logs: Path, memory: Path) -> Witness:
    from services.records.tree import note
    from services.records.witness import Witness
    from shared.errors import StartRefused

    try:
        return Witness(note.read_signer(as_text(read_file(key))), read_keys(logs), memory)
    except (note.BadNote, StartRefused) as error:
        raise WrongUse(f"{key}: {error}") from None
