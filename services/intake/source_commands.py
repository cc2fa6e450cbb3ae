"""`amends sources`: who may send complaints, how each is read and verified, and its secrets."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.intake.mapping_commands import MAPPED, checked
from shared.cli import Failed, WrongUse, keys, local
from shared.cli.client import AsJson, print_json
from shared.cli.database import DatabaseUrl, address, in_schema

if TYPE_CHECKING:
    from shared.cli.database import Connection
    from shared.vault import KeyStore

SERVICE, SCOPE = "intake", "intake:write"
sources = typer.Typer(
    no_args_is_help=True,
    help="Who may send complaints: with an API key, or by a webhook that is verified and read by an adapter.",
)
SecretFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the secret that the system signs with.")
]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with a token for the system's API, to fetch texts.")
]
Option = Annotated[
    list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="A setting of the adapter; repeatable.")
]
Mapping = Annotated[Path | None, typer.Option(metavar="FILE", help="Mapping file, for the adapters csv and mapped.")]
Name = Annotated[str, typer.Argument(help="Its name: part of every complaint's identity, so choose it to stay.")]

# Where the system shows the secret that it signs with; the others take one that is made here.
GIVEN_BY_SYSTEM = {
    "zendesk": "Admin Center, Apps and integrations, Webhooks, your webhook: Show secret",
    "chatwoot": "Settings, Integrations, Webhooks, your webhook: the secret (or use --auth shared-secret with older versions)",
    "intercom": "Developer Hub, your app, Basic information: Client secret",
    "front": "Settings, Developers, your app: the signing key (of a rule's webhook: the API secret)",
    "hubspot": "your app, Auth: Client secret",
    "twilio": "Console, Account info: Auth Token",
}
OPTIONS = {
    "url": "the address that the system calls, where proxies change it (HubSpot and Twilio sign it)",
    "zone": "time zone of times without one, such as Europe/Berlin",
    "api_url": "address of the system's API, to fetch texts",
    "organization_id": "Salesforce: only messages of this organization",
    "own": "e-mail: addresses and domains of the organisation, with commas; what they send is a reply",
    "recipients": "e-mail: addresses and domains whose mail the SMTP listener takes for this source, with commas",
    "topic": "Kafka topics that hold this source's payloads, with commas: read by intake",
    "stages": 'HubSpot: {"pipeline stage id": "open|waiting|resolved|closed"}',
}


@sources.command("add", epilog="Example: amends sources add zendesk-uk --adapter zendesk --secret-file secret.txt")
def add_source(
    name: Name,
    adapter: Annotated[
        str | None, typer.Option(help="How its webhook is read: zendesk, twilio, ... Without: an API key.")
    ] = None,
    secret_file: SecretFile = None,
    token_file: TokenFile = None,
    auth: Annotated[str | None, typer.Option(help="shared-secret: for systems, or versions, that do not sign.")] = None,
    option: Option = None,
    mapping: Mapping = None,
    days: Annotated[int | None, typer.Option(min=1, help="An API key expires after so many days.")] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a source: an API key for canonical JSON, or a webhook with --adapter. A secret that is made here is shown once."""
    if adapter is None:
        if secret_file or token_file or auth or option or mapping:
            raise WrongUse(
                "--secret-file, --token-file, --auth, --option and --mapping belong to a webhook: give --adapter too"
            )
        url = address(database_url)
        keys.check_name(name)
        if any(row["name"] == name for row in _rows(url)):
            raise Failed(f"there is a source named {name} already; names are never used twice")
        keys.add(url, name, {SERVICE: [SCOPE]}, days, as_json)
        return
    keys.check_name(name)
    scheme = _scheme(adapter, auth)
    if adapter == "mapped" and mapping is None:
        raise WrongUse("mapped needs --mapping FILE; draft one with: amends intake map new PAYLOAD")
    settings = _settings(option, mapping, adapter)
    secret, made = _secret(scheme, adapter, secret_file)
    token = None if token_file is None else _read(token_file)
    url = address(database_url)
    store = _key_store()

    async def keep(conn: Connection) -> None:
        import asyncpg

        from services.intake import sources as kept
        from shared.postgres import api_keys

        if any(row["name"] == name for row in await conn.fetch(api_keys.LIST)):
            raise Failed(f"there is an API key named {name} already; names are never used twice")
        async with conn.transaction():
            try:
                await kept.add(conn, name, adapter, scheme, settings)
            except asyncpg.UniqueViolationError:
                raise Failed(f"there is a source named {name} already; names are never used twice") from None
            await kept.add_secret(conn, store, name, "signing", secret)
            if token is not None:
                await kept.add_secret(conn, store, name, "token", token, live=1)

    in_schema(url, SERVICE, keep)
    _told(name, adapter, scheme, secret if made else None, as_json)


@sources.command("list", epilog="Example: amends sources list --json")
def list_sources(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Show the sources: webhooks and API keys, never a secret."""
    url = address(database_url)
    hooks = _rows(url)
    if as_json:
        print_json(hooks + [{"service": SERVICE, **row} for row in keys.rows(url, SERVICE)])
        return
    for row in hooks:
        state = (
            "disabled" if row["disabled_at"] else f"{row['secrets']} live secret{'s' if row['secrets'] != 1 else ''}"
        )
        token = ", API token" if row["token"] else ""
        typer.echo(f"webhook    {row['name']:<24} {row['adapter']:<18} {row['auth']:<18} {state}{token}")
        if row["texts_waiting"] or row["texts_stopped"]:
            told = f"{row['texts_waiting']} texts to be fetched, {row['texts_stopped']} given up or without a token"
            typer.echo(f"           {told}{': ' if row['texts_problem'] else ''}{row['texts_problem'] or ''}")
    keys.show(url, [SERVICE], False, quiet=bool(hooks))


@sources.command("rotate", epilog="Example: amends sources rotate zendesk-uk --secret-file new-secret.txt")
def rotate(
    name: Name,
    secret_file: SecretFile = None,
    token_file: TokenFile = None,
    only: Annotated[
        bool, typer.Option("--only", help="The secret before ends at once, instead of with the next one.")
    ] = False,
    option: Option = None,
    mapping: Mapping = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give a source a new secret; the one before stays live beside it until the next rotation. Or replace its API token,
    settings or mapping."""
    settings = _settings(option, mapping)
    store = _key_store()
    new: dict[str, Any] = {}
    token = None if token_file is None else _read(token_file)

    async def change(conn: Connection) -> None:
        from services.intake import sources as kept

        row = await conn.fetchrow(kept.ONE, name)
        if row is None:
            raise Failed(f"there is no webhook source named {name} in use")
        if mapping is not None and row["adapter"] in MAPPED:
            checked(mapping, row["adapter"])
        new.update(adapter=row["adapter"], auth=row["auth"])
        async with conn.transaction():
            if settings:
                merged = {**json.loads(row["options"]), **settings}
                await conn.execute(kept.SET_OPTIONS, name, json.dumps(merged))
            if token is not None:
                await kept.add_secret(conn, store, name, "token", token, live=1)
                await conn.execute(kept.ASK_AGAIN, name)
            if secret_file is not None or not (settings or token):
                new["secret"], new["made"] = _secret(row["auth"], row["adapter"], secret_file)
                await kept.add_secret(conn, store, name, "signing", new["secret"], live=1 if only else kept.LIVE)

    in_schema(address(database_url), SERVICE, change)
    _told(name, new["adapter"], new["auth"], new["secret"] if new.get("made") else None, as_json)


@sources.command("disable", epilog="Example: amends sources disable zendesk-uk")
def disable_source(name: Annotated[str, typer.Argument(help="Its name.")], database_url: DatabaseUrl = None) -> None:
    """End a source: its key or its webhook. What it has sent stays."""
    url = address(database_url)

    async def end(conn: Connection) -> bool:
        from services.intake import sources as kept

        return await conn.fetchval(kept.DISABLE, name) is not None

    if in_schema(url, SERVICE, end):
        typer.echo(f"{name} is disabled; its webhook stops within ten seconds")
    else:
        keys.disable(url, [SERVICE], name)


def _scheme(adapter: str, auth: str | None) -> str:
    from services.intake import signatures
    from services.intake.adapters import ADAPTERS

    if adapter not in ADAPTERS:
        raise WrongUse(f"there is no adapter '{adapter}'; there are: {', '.join(sorted(ADAPTERS))}")
    if auth is not None and auth != signatures.SHARED and auth not in signatures.SCHEMES:
        raise WrongUse(f"--auth {auth}: it is {signatures.SHARED}, or one of {', '.join(sorted(signatures.SCHEMES))}")
    return signatures.scheme_of(adapter, auth)


def _secret(scheme: str, adapter: str, file: Path | None) -> tuple[str, bool]:
    """The secret, and whether it was made here."""
    import base64

    from services.intake import signatures

    if file is not None:
        secret = _read(file)
        problem = signatures.unusable(scheme, secret)
        if problem:
            raise WrongUse(f"the secret in {file} cannot be used: {problem}")
        return secret, False
    if scheme in GIVEN_BY_SYSTEM:
        raise WrongUse(
            f"{adapter} signs with a secret of its own: give --secret-file. It is found here: {GIVEN_BY_SYSTEM[scheme]}"
        )
    if scheme == "standard-webhooks":
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(), True
    return secrets.token_urlsafe(32), True


def _settings(options: list[str] | None, mapping: Path | None, adapter: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in options or ():
        name, equals, value = each.partition("=")
        if not equals or name not in OPTIONS:
            known = "; ".join(f"{known} ({meaning})" for known, meaning in OPTIONS.items())
            raise WrongUse(f"--option {each}: NAME=VALUE with a name of: {known}")
        try:
            found[name] = json.loads(value) if value[:1] in ("{", "[") else value
        except ValueError:
            raise WrongUse(f"--option {name}: the value is not JSON") from None
    if "zone" in found:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(str(found["zone"]))
        except (ValueError, OSError, LookupError):
            raise WrongUse(f"--option zone={found['zone']}: no such time zone") from None
    for name in ("url", "api_url"):
        if name in found and not str(found[name]).startswith(("https://", "http://")):
            raise WrongUse(f"--option {name} must begin with https://")
    if mapping is not None:
        found["mapping"] = checked(mapping, adapter) if adapter in MAPPED else _read(mapping, strip=False)
    return found


def _told(name: str, adapter: str, auth: str, secret: str | None, as_json: bool) -> None:
    hook = f"/v1/hooks/{name}"
    if as_json:
        print_json(
            {"name": name, "adapter": adapter, "auth": auth, "hook": hook, **({"secret": secret} if secret else {})}
        )
        return
    if secret:
        typer.echo(secret)
        typer.echo(f"The secret of {name}, shown this once: keep it safe.", err=True)
    typer.echo(f"{name} ({adapter}, verified by {auth}) sends to: POST {hook}", err=True)


def _rows(url: str) -> list[dict[str, Any]]:
    async def read(conn: Connection) -> list[dict[str, Any]]:
        from services.intake import sources as kept

        texts = {row["source"]: dict(row) for row in await conn.fetch(kept.COUNT_TEXTS)}
        live = {(row["source"], row["purpose"]): row["live"] for row in await conn.fetch(kept.COUNT_SECRETS)}
        return [
            {
                "name": row["name"],
                "adapter": row["adapter"],
                "auth": row["auth"],
                "hook": f"/v1/hooks/{row['name']}",
                "secrets": min(live.get((row["name"], "signing"), 0), kept.LIVE),
                "token": (row["name"], "token") in live,
                "texts_waiting": texts.get(row["name"], {}).get("waiting", 0),
                "texts_stopped": texts.get(row["name"], {}).get("stopped", 0),
                "texts_problem": texts.get(row["name"], {}).get("problem"),
                "options": sorted(json.loads(row["options"])),
                "created_at": row["created_at"].isoformat(),
                "disabled_at": row["disabled_at"].isoformat() if row["disabled_at"] else None,
            }
            for row in await conn.fetch(kept.LOAD)
        ]

    return in_schema(url, SERVICE, read)


def _key_store() -> KeyStore:
    """The master keys that secrets are encrypted with: $AMENDS_MASTER_KEY_FILE, else the local stack's."""
    from shared.errors import StartRefused
    from shared.vault import read_master_keys

    given = os.environ.get("AMENDS_MASTER_KEY_FILE")
    file = Path(given) if given else local.data_dir() / "master-keys"
    if not file.is_file():
        raise WrongUse(
            "secrets are encrypted: set AMENDS_MASTER_KEY_FILE to the file that intake uses, or run: make run"
        )
    try:
        return read_master_keys(file)
    except StartRefused as problem:
        raise Failed(str(problem)) from None


def _read(file: Path, *, strip: bool = True) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not text in UTF-8") from None
    text = text.strip() if strip else text
    if not text:
        raise WrongUse(f"{file} is empty")
    return text
