"""`amends clock` computes a clock from a file, without a running service; `amends explain clock` tells a complaint's."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from shared.cli import WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json

clock = typer.Typer(no_args_is_help=True, help="Compute a clock from a file: when it is due, where it stands, and why.")
explain = typer.Typer(no_args_is_help=True, help="Why something is as it is.")
clocks = typer.Typer(no_args_is_help=True, help="All clocks at once.")
app = typer.Typer()
app.add_typer(clocks, name="clocks")
app.add_typer(clock, name="clock")
app.add_typer(explain, name="explain")

_EXAMPLE = (
    "Example: amends clock compute case.json --json\n\n"
    'A case: {"calendar": {"zone": "Europe/London", "weekly": {"mon": [["09:00", "17:30"]]}, "holidays": ["2026-12-25"], '
    '"country": "GB-ENG"}, "clock": {"start": "2026-03-02T09:00:00Z", "target": "3bd", "pausable": true}, '
    '"pauses": [["2026-03-03T09:00:00Z", null]], "now": "2026-03-04T12:00:00Z"}'
)


@clock.command(epilog="Example: amends clock holidays office.ics --from 2026 --to 2028")
def holidays(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An iCalendar file (.ics).", show_default=False)],
    first: Annotated[int, typer.Option("--from", min=1900, max=2200, help="First year.", show_default=False)],
    last: Annotated[int, typer.Option("--to", min=1900, max=2200, help="Last year.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """The whole days of an iCalendar file, as a policy's `calendar.holidays` takes them."""
    from shared.calendar.holiday_lists import HolidaysRefused, from_icalendar

    if last < first:
        raise WrongUse("--to is before --from")
    try:
        found = from_icalendar(_text(file), first, last)
    except HolidaysRefused as refused:
        raise WrongUse(f"{file}: {refused}") from None
    if as_json:
        print_json({"holidays": [{"date": day.isoformat(), "name": name} for day, name in found.items()]})
        return
    for day, name in found.items():
        typer.echo(f'- "{day.isoformat()}"  # {"".join(c if c.isprintable() else " " for c in name)}')


@clock.command(epilog=_EXAMPLE)
def compute(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A case (JSON); - reads standard input.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """When a clock is due, where it stands, and segment by segment why. Exit code 2: the case has a mistake."""
    from shared.calendar import clock as clocks
    from shared.calendar import segments
    from shared.calendar.calendar import TooFar
    from shared.calendar.case_file import CaseRefused, read_case

    try:
        case = read_case(_text(file))
        reading = clocks.read(case.calendar, case.start, case.target, case.pauses, case.now)
        pieces = segments.segments(case.calendar, case.start, case.target, case.pauses, case.now)
        answer: dict[str, Any] = {
            "due_at": _iso(reading.due_at),
            "state": reading.state,
            "counted_s": reading.counted_s,
            "segments": [
                {"from": _iso(each.begin), "to": _iso(each.end), "counted_s": each.counted_s, "to_count_s": each.to_count_s,
                 "why": each.why}
                for each in pieces
            ],
        }  # fmt: skip
    except (CaseRefused, TooFar) as refused:
        raise WrongUse(f"{file}: {refused}") from None
    except OverflowError:
        raise WrongUse(f"{file}: an instant lies outside of the years 1 to 9999") from None
    if as_json:
        print_json(answer)
    else:
        _show(answer, case.calendar.zone)


@explain.callback()
def _reasons() -> None:
    """Keeps `clock` a subcommand while it is the only one."""


@explain.command("clock", epilog="Example: amends explain clock 5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40 final_response")
def explain_clock(
    complaint_id: Annotated[UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which clock; none: all, in a line each.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Why a complaint's clock is due when it is: segment by segment, by which rule of which policy version."""
    path = f"/v1/complaints/{complaint_id}/clocks" + (f"/{quote(name)}" if name else "")
    found = Client("escalation", url, key).get(path)
    if as_json:
        print_json(found)
    elif name:
        typer.echo(_headline(found))
        for each in found["promised"]:
            due = _local(each["due_at"], found["zone"]) if each["due_at"] else "not known while it is paused"
            typer.echo(f"  promised  {each['target']} in {each['calendar']}, by {_rules(each)}: due {due}")
        _pieces(found["segments"], found["zone"])
    else:
        typer.echo(f"complaint {complaint_id}: {found['status']}, tier {found['tier']}")
        for each in found["clocks"]:
            typer.echo(f"  {_headline(each)}")


@clocks.callback()
def _all() -> None:
    """Keeps `recompute` a subcommand while it is the only one."""


@clocks.command(epilog="Example: amends clocks recompute")
def recompute(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Work the clocks of all open complaints out again by the policies in force now; waits until it is done.

    Not needed after an activation for all complaints: that does it by itself. No promised deadline moves later.
    """
    client = Client("escalation", url, key)
    number = client.post("/v1/clocks/recompute")["sweep"]
    while True:
        found = next(each for each in client.get("/v1/clocks/recompute")["sweeps"] if each["id"] == number)
        if found["done_at"]:
            break
        typer.echo(f"{found['seen']} complaints seen, {found['changed']} changed so far", err=True)
        time.sleep(1.0)
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{found['seen']} complaints seen, {found['changed']} have a clock that is due earlier, or a new one")


def _headline(clock: dict[str, Any]) -> str:
    due = _local(clock["due_at"], clock["zone"]) if clock["due_at"] else "not known while it is paused"
    legal = ", a legal clock" if clock["legal"] else ""
    return f"{clock['name']}: {clock['state']}, due {due} ({clock['target']} by {_rules(clock)}{legal})"


def _rules(by: dict[str, Any]) -> str:
    return f"{', '.join(by['rules'])} of {by['policy']} version {by['version']}"


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise WrongUse(f"there is no file {file}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None


def _iso(instant: int | None) -> str | None:
    from shared.calendar.zones import to_instant

    return None if instant is None else to_instant(instant).isoformat().replace("+00:00", "Z")


def _show(answer: dict[str, Any], zone: str) -> None:
    counted = "" if answer["counted_s"] is None else f", {answer['counted_s']} s counted"
    typer.echo(f"{answer['state']}, due {_local(answer['due_at'], zone) if answer['due_at'] else 'not known'}{counted}")
    _pieces(answer["segments"], zone)


def _pieces(segments: list[dict[str, Any]], zone: str) -> None:
    for each in segments:
        end = _local(each["to"], zone) if each["to"] else "open"
        counts = f"{each['counted_s']} s" if not each["to_count_s"] else f"{each['to_count_s']} s to come"
        typer.echo(f"  {_local(each['from'], zone)}  to  {end:<27}  {counts:>16}  {each['why']}")


def _local(instant: str, zone: str) -> str:
    from shared.calendar.zones import zone_info

    return f"{datetime.fromisoformat(instant).astimezone(zone_info(zone)):%a %Y-%m-%d %H:%M:%S %Z}"
