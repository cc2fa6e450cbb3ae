"""Commands of those who run Amends: schemas, topics, keys, dead letters, one service in the foreground."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from shared.cli import WrongUse, keys
from shared.cli.client import AsJson, Client, Key, print_json
from shared.cli.database import DatabaseUrl, address, answer
from shared.http.scopes import SCOPES, SERVICES

app = typer.Typer()
topics = typer.Typer(no_args_is_help=True, help="The topics of Kafka.")
key_commands = typer.Typer(no_args_is_help=True, help="API keys of any service.")
letters = typer.Typer(no_args_is_help=True, help="Inputs that could not be handled: see why, and handle them again.")
app.add_typer(topics, name="topics")
app.add_typer(key_commands, name="keys")
app.add_typer(letters, name="dead-letters")

Service = Annotated[str | None, typer.Option("--service", help=f"One of {', '.join(SERVICES)}; default: all.")]
LetterId = Annotated[int, typer.Argument(metavar="NUMBER", help="The dead letter's number, as `list` shows it.")]
OfService = Annotated[str, typer.Option("--service", help="Whose dead letter it is.", show_default=False)]


@app.command(epilog="Example: amends serve intake   (settings: docs/reference/settings.md)")
def serve(service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")]) -> None:
    """Run one service in the foreground, with settings from the environment."""
    _known(service)
    importlib.import_module(f"services.{service}.app").main()


@app.command(epilog="Example: amends migrate --service intake")
def migrate(service: Service = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Bring the schemas up to date. Safe to run again, and by several at once."""
    from shared.postgres.migrate import migrate as apply

    url = address(database_url)
    applied = {name: answer(lambda name=name: apply(url, name)) for name in _chosen(service)}  # type: ignore[misc]
    if as_json:
        print_json(applied)
        return
    for name, files in applied.items():
        typer.echo(f"{name:<10} {', '.join(files) or 'up to date'}")


@topics.command("create", epilog="Example: amends topics create --replication 3")
def create(
    replication: Annotated[int, typer.Option(min=1, max=9, help="Copies of each record, on so many brokers.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing, kept six days. Kafka's address: AMENDS_KAFKA_*, else the local stack's.

    Ends with 1 when a topic that was there already keeps what customers said for longer.
    """
    from deploy.topics import create_topics, kept_too_long
    from shared.cli import kafka

    settings, is_local = kafka.settings()
    copies = 1 if is_local else replication
    created = kafka.answer(settings, lambda: create_topics(settings, replication=copies))
    wrong = kafka.answer(settings, lambda: kept_too_long(settings))
    if as_json:
        print_json({"created": created, "kept_too_long": wrong})
    else:
        typer.echo(f"created: {', '.join(created)}" if created else "all topics are there")
        for each in wrong:
            typer.echo(f"WRONG  {each}")
    if wrong:
        raise typer.Exit(1)


@key_commands.command("add", epilog="Example: amends keys add dashboard --service records --scope cases:read")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is. It signs commands (`by`).")],
    service: Annotated[list[str], typer.Option(help="Where it works; may be given several times.", show_default=False)],
    scope: Annotated[list[str], typer.Option(help="What it may do; may be given several times.", show_default=False)],
    days: Annotated[int | None, typer.Option(min=1, help="It expires after so many days.")] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    scopes = {_known(each): [s for s in scope if s in SCOPES[each]] for each in dict.fromkeys(service)}
    for each in scope:
        if not any(each in given for given in scopes.values()):
            there = "; ".join(f"{name}: {', '.join(SCOPES[name])}" for name in scopes)
            raise WrongUse(f"there is no scope '{each}' there; {there}")
    keys.add(address(database_url), name, scopes, days, as_json)


@key_commands.command("list", epilog="Example: amends keys list --service escalation")
def list_keys(service: Service = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show the keys, without the keys themselves."""
    keys.show(address(database_url), _chosen(service), as_json)


@key_commands.command("disable", epilog="Example: amends keys disable dashboard")
def disable_key(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    service: Service = None,
    database_url: DatabaseUrl = None,
) -> None:
    """End a key, at once and for good."""
    keys.disable(address(database_url), _chosen(service), name)


@letters.command("list", epilog="Example: amends dead-letters list --service escalation --json")
def list_letters(service: Service = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show what waits, oldest first, with the reason."""
    found = [
        {"service": name, **letter}
        for name in _chosen(service)
        for letter in Client(name, key=key).get("/v1/dead-letters?limit=1000")["dead_letters"]
    ]
    if as_json:
        print_json(found)
        return
    for letter in found:
        where = f"{letter['service']} {letter['id']}"
        typer.echo(
            f"{where:<16} {letter['parked_at'][:19]}  {letter['kind']:<10} {letter['reason']}  ({letter['reference']})"
        )
    if not found:
        typer.echo("none")


@letters.command("show", epilog="Example: amends dead-letters show 17 --service escalation")
def show_letter(number: LetterId, service: OfService, key: Key = None) -> None:
    """Show one, as JSON: where it came from and why it waits. Not its contents."""
    print_json(Client(_known(service), key=key).get(f"/v1/dead-letters/{number}"))


@letters.command("replay", epilog="Example: amends dead-letters replay 17 --service escalation")
def replay_letter(number: LetterId, service: OfService, key: Key = None, as_json: AsJson = False) -> None:
    """Handle one again, with the code of today. Ends with 1 when it was parked again."""
    answered: dict[str, Any] = Client(_known(service), key=key).post(f"/v1/dead-letters/{number}/replay")
    if as_json:
        print_json(answered)
    else:
        typer.echo(_REPLAYED[answered["outcome"]])
    if answered["outcome"] == "parked":
        raise typer.Exit(1)


@app.command(epilog="Example: amends endpoints --service escalation --json")
def endpoints(service: Service = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show where messages go (mail server, webhooks, chats), what does not answer, and what waits for it.

    Ends with 1 when an endpoint is left alone after failures in a row."""
    found = [
        {"service": name, **endpoint}
        for name in _chosen(service)
        for endpoint in Client(name, key=key).get("/v1/endpoints")["endpoints"]
    ]
    if as_json:
        print_json(found)
    for each in () if as_json else found:
        state = f"RESTING after {each['failures']} failures: {each['reason']}" if each["resting"] else "ok"
        typer.echo(f"{each['service']:<10} {each['name']:<30} {each['waiting']:>6} waiting  {state}")
    if not found and not as_json:
        typer.echo("no message was ever sent")
    if any(each["resting"] for each in found):
        raise typer.Exit(1)


_REPLAYED = {
    "handled": "handled",
    "queued": "in line: it will be handled now",
    "duplicate": "it was handled meanwhile; nothing was done",
    "parked": "it failed again and waits under a new number",
}


def _known(service: str) -> str:
    if service not in SERVICES:
        raise WrongUse(f"there is no service '{service}'; choose one of {', '.join(SERVICES)}")
    return service


def _chosen(service: str | None) -> tuple[str, ...]:
    return SERVICES if service is None else (_known(service),)
