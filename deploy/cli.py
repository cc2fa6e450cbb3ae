"""The `amends` command line: its parts put together, and every failure as one sentence. Exit codes: 0 done, 1 problems
found or not done, 2 wrong use."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

import typer

from deploy import operate, reconcile, reference
from deploy.local import commands as local
from services.escalation import commands as escalation
from services.followup import commands as followup
from services.followup import draft_commands as drafts
from services.intake import commands as intake
from services.records import commands as records
from shared.cli import Stop

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Amends: complaint handling behind a contact centre.\n\n"
    "Addresses and keys come from options, from AMENDS_* variables, or from the local stack that `amends up` runs.",
)
for part in (local, intake, records, escalation, followup, drafts, reconcile, operate, reference):
    app.add_typer(part.app)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: amends policy validate services/escalation/policy/escalation.retail.yaml",
)
def policy(context: typer.Context) -> None:
    """Check, test, publish and activate policy documents; see what was decided by them."""
    import structlog

    from deploy.policies import app as policies  # it loads the language's front end

    if not structlog.is_configured():  # what is logged is no part of the answer
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    raise typer.Exit(policies(args=context.args, prog_name="amends policy", standalone_mode=False) or 0)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Whatever happens, no traceback: AMENDS_TRACEBACK=1 asks for one."""
    try:
        return app(args=arguments, prog_name="amends", standalone_mode=False) or 0
    except typer.TyperException as error:
        return _misused(error)
    except Stop as stop:
        return _say(str(stop), stop.code)
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", 130)
    except BrokenPipeError:  # whoever read our output has enough
        return 0
    except Exception as error:
        if os.environ.get("AMENDS_TRACEBACK"):
            raise
        return _say(_told(error), 1)


def main() -> None:
    """Entry point. What the terminal cannot write is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = run()
    try:
        sys.stdout.flush()
    except OSError:  # otherwise the interpreter complains when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _misused(error: Any) -> int:
    message: str = error.format_message()
    if message and "\n" not in message:
        path = error.ctx.command_path if getattr(error, "ctx", None) else "amends"
        return _say(f"{message.rstrip('.')} (see: {path} --help)", error.exit_code)
    typer.echo(message)  # a group without a command: its help
    return int(error.exit_code)


def _told(error: Exception) -> str:
    """An error that no command foresaw. Ours are made to be shown; others may quote data."""
    from deploy.local.processes import StartFailed
    from shared.errors import AmendsError

    if isinstance(error, AmendsError | StartFailed):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return f"unexpected {type(error).__name__}; this is a fault of Amends. AMENDS_TRACEBACK=1 shows where it happened"


def _say(sentence: str, code: int) -> int:
    with contextlib.suppress(OSError):
        typer.echo(f"amends: {sentence}", err=True)
    return code


if __name__ == "__main__":
    main()
