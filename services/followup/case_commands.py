"""`amends followup ...`: what people do and see about promises, updates, check-ins and outcomes."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import Failed, WrongUse
from shared.cli.client import AsJson, Client, Key, Once, Url, print_json

app = typer.Typer()
ComplaintId = Annotated[uuid.UUID, typer.Argument(metavar="ID", help="The complaint's id.", show_default=False)]
Promise = Annotated[str, typer.Argument(metavar="PROMISE", help="The promise's id, such as p1.", show_default=False)]
_ID = "5a6f2c9e-0d3b-4f6e-9a51-2f1c8e7d6b40"


@app.command(epilog=f'Example: amends followup promise {_ID} "Call back" --due 2026-03-06T12:00')
def promise(
    complaint_id: ComplaintId,
    what: Annotated[str, typer.Argument(help="What is promised, in words for the customer.", show_default=False)],
    due: Annotated[str, typer.Option(help="When: with a zone, or local where the customer is.", show_default=False)],
    kind: Annotated[str, typer.Option(help="callback, refund, update, delivery, document, visit or other.")] = "other",
    owner: Annotated[str, typer.Option(help="Who keeps it; default: whose key it is.", show_default=False)] = "",
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Promise something to the customer. Says so when nobody works at that time."""
    body = {"what": what, "due_at": due, "kind": kind, "owner": owner, "made_through": "cli"}
    _do("promises", complaint_id, body, once, Client("followup", url, key), as_json)


@app.command(epilog=f"Example: amends followup confirm {_ID} p1 --due 2026-03-06T12:00")
def confirm(
    complaint_id: ComplaintId,
    promise: Promise,
    due: Annotated[str | None, typer.Option(help="When, if the text names no date or another.", show_default=False)] = None,
    owner: Annotated[str, typer.Option(help="Who keeps it; default: whose key it is.", show_default=False)] = "",
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Confirm a promise that was read in what an agent wrote: from now on it binds."""
    body = {"promise": promise, "due_at": due, "owner": owner}
    _do("promises/confirm", complaint_id, body, once, Client("followup", url, key), as_json)


@app.command(epilog=f'Example: amends followup keep {_ID} p1 --evidence "call 5512, 4 minutes"')
def keep(
    complaint_id: ComplaintId,
    promise: Promise,
    evidence: Annotated[str, typer.Option(help="What shows that it was kept.", show_default=False)],
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that a promise was kept, with evidence."""
    body = {"promise": promise, "evidence": evidence}
    _do("promises/keep", complaint_id, body, once, Client("followup", url, key), as_json)


@app.command(epilog=f'Example: amends followup withdraw {_ID} p1 --reason "the customer prefers Monday"')
def withdraw(
    complaint_id: ComplaintId,
    promise: Promise,
    reason: Annotated[str, typer.Option(help="Why it binds nobody.", show_default=False)],
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Dismiss a proposed promise, or replace one in agreement with the customer."""
    body = {"promise": promise, "reason": reason}
    _do("promises/withdraw", complaint_id, body, once, Client("followup", url, key), as_json)


@app.command(epilog=f'Example: amends followup progress {_ID} --done "We asked the carrier" --next "They answer by Friday"')
def progress(
    complaint_id: ComplaintId,
    done: Annotated[str | None, typer.Option(help="What was done, in words for the customer.", show_default=False)] = None,
    next_step: Annotated[str | None, typer.Option("--next", help="What comes next.", show_default=False)] = None,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Note what the next update to the customer says."""
    if done is None and next_step is None:
        raise WrongUse("give --done, --next or both")
    _do("progress", complaint_id, {"done": done, "next_step": next_step}, once, Client("followup", url, key), as_json)


@app.command(epilog=f"Example: amends followup update-draft {_ID}")
def update_draft(complaint_id: ComplaintId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """The next progress update, as it would be sent now."""
    found = Client("followup", url, key).get(f"/v1/complaints/{complaint_id}/update-draft")
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found['subject']}\n\n{found['text']}")


@app.command(epilog=f'Example: amends followup fact {_ID} refund_booked --evidence "payment 4711"')
def fact(
    complaint_id: ComplaintId,
    fact: Annotated[str, typer.Argument(help="refund_booked, parcel_delivered, repair_done...", show_default=False)],
    evidence: Annotated[str | None, typer.Option(help="What shows it.", show_default=False)] = None,
    not_so: Annotated[bool, typer.Option("--not-so", help="It is not so.")] = False,
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a fact about the remedy is true: the customer is asked after it is proved."""
    body = {"fact": fact, "proved": not not_so, "evidence": evidence}
    _do("facts", complaint_id, body, once, Client("followup", url, key), as_json)


@app.command(epilog=f"Example: amends followup answer {_ID} partly --via phone")
def answer(
    complaint_id: ComplaintId,
    said: Annotated[str, typer.Argument(metavar="ANSWER", help="yes, partly or no.", show_default=False)],
    comment: Annotated[str | None, typer.Option(help="What the customer added.", show_default=False)] = None,
    via: Annotated[str, typer.Option(help="How they said it: phone, email, sms, chat or other.")] = "phone",
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """The customer's answer to a check-in, as an agent heard it. `no` and `partly` reopen the complaint."""
    body = {"answer": said, "comment": comment, "via": via}
    _do("answer", complaint_id, body, once, Client("followup", url, key), as_json)


@app.command(epilog=f"Example: amends followup stop-contact {_ID} died")
def stop_contact(
    complaint_id: ComplaintId,
    reason: Annotated[str, typer.Argument(help="died, asked or quiet_list.", show_default=False)],
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """The customer hears nothing more from us; what is planned is cancelled."""
    _do("contact/stop", complaint_id, {"reason": reason}, once, Client("followup", url, key), as_json)


@app.command(epilog=f'Example: amends followup allow-contact {_ID} --reason "asked for news"')
def allow_contact(
    complaint_id: ComplaintId,
    reason: Annotated[str, typer.Option(help="Why.", show_default=False)],
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """The customer may be written to again."""
    _do("contact/allow", complaint_id, {"reason": reason}, once, Client("followup", url, key), as_json)


@app.command(epilog="Example: amends followup promises --status broken")
def promises(
    status: Annotated[str, typer.Option(help="proposed, open, kept, broken or withdrawn.")] = "open",
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Promises of all complaints, the most urgent first."""
    found = Client("followup", url, key).get(f"/v1/promises?status={status}")
    if as_json:
        print_json(found)
        return
    for each in found["promises"]:
        typer.echo(f"{_due(each['due_at'])}  {each['complaint_id']}  {each['promise']:<4} {each['owner']:<16} {each['what']}")
    typer.echo(f"{len(found['promises'])} {status}")


@app.command(epilog="Example: amends followup tasks")
def tasks(url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """What people have to do: calls and letters where no message can go, facts to look up."""
    found = Client("followup", url, key).get("/v1/tasks")
    if as_json:
        print_json(found)
        return
    for each in found["tasks"]:
        typer.echo(f"{_due(each['due_at'])}  {each['complaint_id']}  {each['task']:<4} {each['what']}")
    typer.echo(f"{len(found['tasks'])} to do")


@app.command(epilog=f'Example: amends followup task-done {_ID} t1 --result "spoke to the customer"')
def task_done(
    complaint_id: ComplaintId,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id, such as t1.", show_default=False)],
    result: Annotated[str, typer.Option(help="What came of it.", show_default=False)],
    once: Once = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that a task was done."""
    _do("tasks/done", complaint_id, {"task": task, "result": result}, once, Client("followup", url, key), as_json)


@app.command(epilog="Example: amends followup outcomes --by remedy")
def outcomes(
    by: Annotated[str, typer.Option(help="team, cause, remedy or channel.")] = "team",
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """What came of the resolutions of the last 90 days."""
    found = Client("followup", url, key).get(f"/v1/outcomes?by={by}")
    if as_json:
        print_json(found)
        return
    typer.echo(f"{by:<20} {'complaints':>10} {'solved':>7} {'silent':>7} {'reopened':>8} {'promises':>8} {'repeat':>7} {'days':>6}")
    for row in found["outcomes"]:
        typer.echo(
            f"{row['name']:<20} {row['complaints']:>10} {_share(row['satisfaction']):>7} "
            f"{_share(1 - row['answer_rate']):>7} {_share(row['reopen_rate']):>8} {_share(row['promises_kept_rate']):>8} "
            f"{row['repeat_complaints']:>7} {row['median_seconds_to_resolution'] / 86_400:>6.1f}"
        )


@app.command(epilog="Example: amends followup template check_in --language de")
def template(
    name: Annotated[str, typer.Argument(help="A message, such as hand_off; or a FILE.", show_default=False)],
    language: Annotated[str, typer.Option(help="The language, such as de.")] = "en",
    values: Annotated[Path | None, typer.Option(help="A JSON file with values instead of the sample's.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Preview a message to customers, or check a template of your own. Needs no running service."""
    from services.followup.words import NAMES, TemplateRefused, Templates

    given = dict(SAMPLE)
    file = Path(name)
    try:
        if values is not None:
            given |= json.loads(values.read_text(encoding="utf-8"))
        if name in NAMES:
            words = Templates().render(name, language, given)
        elif file.is_file():
            language = file.name.split(".")[1] if file.name.count(".") > 1 else language
            words = Templates().try_out(str(file), file.read_text(encoding="utf-8"), given, language)
        else:
            raise WrongUse(f"'{name}' is no message ({', '.join(NAMES)}) and no file")
    except TemplateRefused as refused:
        raise Failed(str(refused)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON, or not UTF-8"
        raise WrongUse(f"{values or file}: {reason}") from None
    if as_json:
        print_json({"language": language, **words._asdict()})
        return
    typer.echo(f"Subject: {words.subject}\n\n{words.text}")


# What a preview shows: each value that a template can use.
SAMPLE: dict[str, Any] = {
    "again": False, "late": False, "owns_what": ["Call you back on Friday"], "fact": "refund_booked", "proved": True,
    "link": "https://care.example.com/c/...", "sender": "Customer care", "done": ["raised", "We asked the carrier"],
    "next_step": "The carrier answers by Friday", "by": "2026-03-06T12:00:00+00:00", "zone": "Europe/London", "review": True,
    "review_url": "https://reviews.example.com", "kind": "progress_update", "enclose": [], "owns": ["p1"], "number": 1,
    "team": "Legal desk", "why": "request", "said": "",
}  # fmt: skip


def _do(path: str, subject: uuid.UUID, body: dict[str, Any], once: str | None, client: Client, as_json: bool) -> None:
    done = client.command(subject, path, {name: None if value == "" else value for name, value in body.items()}, once)
    if as_json:
        print_json(done)
        return
    told = [event.removeprefix("amends.followup.").removesuffix(".v1").replace("_", " ") for event in done["events"]]
    line = f"complaint {subject}: {', '.join(told) or 'nothing new'}"
    if "promise" in done:
        line += f"; {done['promise']['id']} is {done['promise']['status']}, due {_due(done['promise']['due_at'])}"
    typer.echo(line)
    if "nobody_works" in done:
        typer.echo(f"beware: {done['nobody_works']}")


def _due(iso: str | None) -> str:
    return "no date         " if iso is None else f"{datetime.fromisoformat(iso).astimezone():%d %b %Y %H:%M}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
