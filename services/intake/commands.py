"""Intake's part of the command line: sending complaints, and who may send them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services.intake.import_commands import import_file
from services.intake.mapping_commands import app as mapping_commands
from services.intake.mapping_commands import checked
from services.intake.repeat_commands import app as repeats
from services.intake.source_commands import sources
from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Url, print_json

SERVICE = "intake"
app = typer.Typer()
app.add_typer(sources, name="sources")
app.add_typer(repeats, name="repeats")
intake = typer.Typer(no_args_is_help=True, help="Try what intake reads, draft mappings, read again what it could not.")
app.add_typer(intake, name="intake")
intake.add_typer(mapping_commands, name="map")
intake.command("import", epilog="Example: amends intake import complaints.csv --source crm-export --preview")(import_file)


@app.command(epilog="Example: amends send deploy/samples/complaints.json")
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Canonical JSON: one item, a list, or one a line.")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send complaints from a file to intake. Sending a file again is harmless: each item counts once, by its event_id."""
    body = _bytes(file)
    answered: dict[str, Any] = Client(SERVICE, url, key).post("/v1/complaints", body, content_type=_media_type(body))
    refused = [item for item in answered["items"] if item["outcome"] in ("rejected", "conflict")]
    if as_json:
        print_json(answered)
    else:
        for number, item in enumerate(answered["items"]):
            about = item.get("detail") or f"complaint {item['complaint_id']}"
            typer.echo(f"{item['outcome']:<10} {item['event_id'] or f'item {number}'}: {about}")
    if refused:
        raise Failed(f"{len(refused)} of {len(answered['items'])} items were refused")


def _media_type(body: bytes) -> str:
    """One object per line is NDJSON; one object over several lines is not."""
    import orjson

    if body.lstrip()[:1] != b"{":
        return "application/json"
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return "application/x-ndjson"
    return "application/json"


@intake.command("try", epilog="Example: amends intake try zendesk ticket_created.json --headers headers.txt --json")
def try_file(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The adapter: zendesk, twilio, email, csv, ...")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One delivery, as the system sends it.")],
    headers: Annotated[Path | None, typer.Option(metavar="FILE", help="Its headers, `Name: value` lines.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Mapping file, for csv, mapped (and `own:` for email).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a delivery would become, as if nothing were stored yet. Needs no running stack; nothing is kept."""
    from services.intake import trying
    from services.intake.adapters import ADAPTERS

    if source not in ADAPTERS:
        raise WrongUse(f"there is no adapter '{source}'; there are: {', '.join(sorted(ADAPTERS))}")
    if mapping is None and source == "mapped":
        raise WrongUse("mapped needs --mapping FILE; draft one with: amends intake map new PAYLOAD")
    options = {} if mapping is None else {"mapping": checked(mapping, source) if source != "email" else _text(mapping)}
    given = {} if headers is None else _header_lines(_text(headers))
    results = trying.judge(source, trying.delivery_of(source, _bytes(file), given, options))
    for result in results if source in trying.ROW_BY_ROW else [trying.summary(results)]:
        if as_json:
            typer.echo(json.dumps(result, ensure_ascii=False))
        else:
            typer.echo(trying.sentence(result))
    failed = sum(result["outcome"] in trying.FAILED for result in results)
    if failed:
        raise Failed(f"{failed} of {len(results)} items could not be used")


@intake.command("eval", epilog="Example: amends intake eval labelled.csv --json")
def evaluate_reading(
    labelled: Annotated[
        Path,
        typer.Argument(
            metavar="LABELLED.csv",
            help="Columns text, language, heat, threats, support_needs, repeated, wanted, escalation, category; several values by "
            "`;`, `none` for read and none; an empty cell is not scored.",
        ),
    ],
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Reading rules, with lexicons beside them; default: those of the service."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well the reading rules read: precision and recall per label."""
    from services.intake import evaluate
    from services.intake.reading import default_rules
    from shared.policy.problems import PolicyRefused
    from shared.text.reading.rules import rules_of

    try:
        result = evaluate.evaluate(rules_of(rules) if rules else default_rules(), evaluate.rows_of(labelled))
    except (evaluate.UnreadableLabels, PolicyRefused) as error:
        raise WrongUse(str(error)) from None
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        typer.echo(evaluate.table(result))


@intake.command("replay", epilog="Example: amends intake replay --all")
def replay(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="[NUMBER]...", help="Dead letters, as `amends dead-letters list` shows them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All deliveries and submissions that are parked.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Read again what could not be read, after a fix: by the adapter, mapping and settings of today."""
    if bool(numbers) == everything:
        raise WrongUse("give the numbers of dead letters, or --all")
    client = Client(SERVICE, url, key)
    parked = client.get("/v1/dead-letters?limit=1000")["dead_letters"]
    known = {letter["id"]: letter["reason"] for letter in parked if letter["kind"] == "submission"}
    unknown = [number for number in numbers or () if number not in known]
    if unknown:
        raise Failed(
            f"intake has no parked submission {', '.join(map(str, unknown))}; see: amends dead-letters list --service intake"
        )
    results = []
    for number in numbers or sorted(known):
        outcome = client.post(f"/v1/dead-letters/{number}/replay")["outcome"]
        results.append({"id": number, "outcome": outcome, "reason": known[number]})
        if not as_json:
            typer.echo(f"{number}: {outcome} (it was parked: {known[number]})")
    if as_json:
        print_json(results)
    elif not results:
        typer.echo("nothing is parked")


def _header_lines(text: str) -> dict[str, str]:
    """`Name: value` lines as a mapping with lower-case names. A request line at the top is passed over."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip() or (number == 1 and " HTTP/" in line):
            continue
        if not colon or not name.strip() or " " in name.strip():
            raise WrongUse(f"line {number} of the headers is no `Name: value` line")
        found.setdefault(name.strip().lower(), value.strip())
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None


def _text(file: Path) -> str:
    try:
        return _bytes(file).decode()
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8") from None
