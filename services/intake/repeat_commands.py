"""`amends repeats`: complaints that may be one, and the word on them of whoever looked."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from shared.cli.client import AsJson, Client, Key, Url, print_json

SERVICE = "intake"
app = typer.Typer(no_args_is_help=True, help="Complaints that may repeat another of the same customer: merge or dismiss.")
ComplaintId = Annotated[UUID, typer.Argument(metavar="ID", help="The complaint that may repeat another.", show_default=False)]
Why = Annotated[str | None, typer.Option(help="Why, for the record.", show_default=False)]
Once = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="TEXT", help="The same key again does nothing twice. Default: a new one."),
]
_ID = "5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40"
_OF = "0b7a7cf3-55c4-4a1b-8a40-3f5d3fb6a9d1"
PAGE = 200


@app.command("list", epilog="Example: amends repeats list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what nobody has decided on yet, the newest first."""
    client = Client(SERVICE, url, key)
    found: list[dict[str, Any]] = []
    after = ""
    while len(found) < limit:
        page = client.get(f"/v1/repeats?limit={min(PAGE, limit - len(found))}{after}")
        found += page["repeats"]
        if page["next"] is None:
            break
        after = f"&before={page['next']}"
    if as_json:
        print_json(found)
        return
    for each in found:
        alike = "too few words" if each["similarity"] is None else f"{each['similarity']:.0%} of the words"
        sort = "same category" if each["same_category"] else "another category"
        known = ", ".join(each["matched"])
        typer.echo(f"{each['complaint_id']} may be {each['of']} of {each['opened_at'][:10]}: same {known}; {sort}; {alike}")
    if not found:
        typer.echo("no complaint is suspected to repeat another")


@app.command(epilog=f'Example: amends repeats merge {_ID} --into {_OF} --reason "same order"')
def merge(
    complaint_id: ComplaintId,
    into: Annotated[UUID, typer.Option(metavar="ID", help="The complaint that stays.", show_default=False)],
    reason: Why = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that two complaints are one; what comes for the first from now on belongs to the other."""
    answer = Client(SERVICE, url, key).command(complaint_id, "merge", {"into": str(into), "reason": reason}, once)
    _tell(answer, f"merged into {into}", as_json)


@app.command(epilog=f"Example: amends repeats unmerge {_ID}")
def unmerge(
    complaint_id: ComplaintId, reason: Why = None, once: Once = None, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Undo a merge: the complaint stands for itself again."""
    _tell(Client(SERVICE, url, key).command(complaint_id, "unmerge", {"reason": reason}, once), "stands for itself again", as_json)


@app.command(epilog=f'Example: amends repeats dismiss {_ID} --reason "two orders"')
def dismiss(
    complaint_id: ComplaintId, reason: Why = None, once: Once = None, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Say that the two are two. It is not proposed again."""
    _tell(Client(SERVICE, url, key).command(complaint_id, "not-a-repeat", {"reason": reason}, once), "is no repeat", as_json)


def _tell(answer: Any, done: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{answer['complaint_id']} {done}")
