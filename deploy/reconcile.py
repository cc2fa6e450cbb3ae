"""`amends reconcile`: proves that nothing was lost between the services, by their own counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from shared.cli.client import AsJson, Client, Key, print_json
from shared.http.scopes import SERVICES

app = typer.Typer()
Counts = Mapping[str, Any]
Ask = Callable[[str], Counts]

ASK_EVERY_S = 0.5
# What intake makes of a submission, and the event that it becomes.
EVENT_OF = {
    "complaint": "amends.complaint.received.v1",
    "contact": "amends.complaint.contact_added.v1",
    "reply": "amends.complaint.reply_sent.v1",
    "status": "amends.complaint.status_reported.v1",
    "set_aside": "amends.submission.set_aside.v1",
    "rejected": "amends.submission.rejected.v1",
}


@dataclass(frozen=True)
class Flow:
    """What one service wrote, and what another made of it. What is missing is on its way, or lost."""

    writer: str
    reader: str
    emitted: int
    handled: int
    held: int
    parked: int

    @property
    def missing(self) -> int:
        return self.emitted - self.handled - self.held - self.parked


@dataclass(frozen=True)
class Balance:
    """The counts of all services against each other. `differences` is empty when all adds up."""

    submissions: dict[str, int]
    flows: tuple[Flow, ...]
    ledger: dict[str, int]
    dead_letters: dict[str, int]
    differences: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return {
            "adds_up": not self.differences,
            "differences": list(self.differences),
            "submissions": self.submissions,
            "flows": [{**flow.__dict__, "missing": flow.missing} for flow in self.flows],
            "ledger": self.ledger,
            "dead_letters": self.dead_letters,
        }


@app.command(epilog="Example: amends reconcile --wait 60 --json")
def reconcile(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what is on its way.")] = 30.0,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Prove that it adds up: every submission has an outcome, every event has reached every reader and the ledger.

    Ends with 1 and the difference otherwise. Under load something is always on its way: choose a quiet moment.
    """
    clients = {service: Client(service, key=key) for service in SERVICES}

    def still(differences: tuple[str, ...]) -> None:
        typer.echo(f"waiting up to {wait:g} s: {'; '.join(differences)}", err=True)

    balance = settle(lambda service: clients[service].get("/v1/reconciliation"), wait, still)
    if as_json:
        print_json(balance.as_json())
    else:
        for line in lines(balance):
            typer.echo(line)
    raise typer.Exit(1 if balance.differences else 0)


def settle(ask: Ask, wait_s: float, still: Callable[[tuple[str, ...]], None] = lambda _: None) -> Balance:
    """Count until all adds up, at most `wait_s` seconds. `still` is told once what it waits for, after a second."""
    began = time.monotonic()
    told = False
    while True:
        # Readers first: what a writer emits meanwhile then counts as on its way, never as too much.
        counts = {service: ask(service) for service in ("records", "followup", "escalation", "intake")}
        balance = compare(counts)
        passed = time.monotonic() - began
        if not balance.differences or passed >= wait_s:
            return balance
        if passed > 1.0 and not told:
            told = True
            still(balance.differences)
        time.sleep(ASK_EVERY_S)


def compare(counts: Mapping[str, Counts]) -> Balance:
    """What adds up and what does not. Pure."""
    from shared.contracts.topics import TOPIC_OF, topics_followed_by

    ledger: dict[str, dict[str, int]] = counts["records"]["ledger"]["rows"]
    flows = tuple(
        Flow(
            writer, reader, counts[writer]["emitted"],
            *(counts[reader][kind].get(writer, 0) for kind in ("handled", "held", "parked")),
        )
        for writer in SERVICES
        for reader in SERVICES
        if TOPIC_OF.get(writer) in topics_followed_by(reader)
    )  # fmt: skip
    submissions: dict[str, int] = {}
    for outcomes in counts["intake"]["submissions"].values():
        for outcome, number in outcomes.items():
            submissions[outcome] = submissions.get(outcome, 0) + number
    return Balance(
        submissions=submissions,
        flows=flows,
        ledger={service: sum(types.values()) for service, types in ledger.items()},
        dead_letters={service: counts[service]["dead_letters"] for service in SERVICES},
        differences=(
            *_of_submissions(counts["intake"], submissions, ledger.get("intake", {}), flows),
            *_of_flows(flows),
            *_of_ledger(counts["records"], ledger),
        ),
    )


def _of_submissions(
    intake: Counts, submissions: dict[str, int], rows: Mapping[str, int], flows: tuple[Flow, ...]
) -> list[str]:
    found = []
    if submissions.get("pending"):
        found.append(f"intake: {submissions['pending']} submissions are not normalized yet")
    if intake["stranded"]:
        found.append(f"intake: {intake['stranded']} pending submissions are not in line to be normalized")
    on_its_way = sum(
        flow.emitted - flow.handled for flow in flows if (flow.writer, flow.reader) == ("intake", "records")
    )
    became = sum(submissions.get(outcome, 0) for outcome in EVENT_OF)
    # Merges, suspected repeats and confirmed erasures are events, too, that no submission becomes.
    emitted = intake["emitted"] - sum(rows.values()) + sum(rows.get(event, 0) for event in EVENT_OF.values())
    if not on_its_way and became != emitted:
        found.append(f"intake: {became} submissions became events, but {emitted} events were emitted")
    for outcome, event in EVENT_OF.items():
        if not on_its_way and submissions.get(outcome, 0) != rows.get(event, 0):
            found.append(f"ledger: {rows.get(event, 0)} rows of {event} for {submissions.get(outcome, 0)} submissions")
    return found


def _of_flows(flows: tuple[Flow, ...]) -> list[str]:
    found = []
    for flow in flows:
        if flow.missing > 0:
            found.append(f"{flow.writer} -> {flow.reader}: {flow.missing} of {flow.emitted} events have not arrived")
        elif flow.missing < 0:
            found.append(f"{flow.writer} -> {flow.reader}: {-flow.missing} events more than were emitted")
    return found


def _of_ledger(records: Counts, rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    found, ledger = [], records["ledger"]
    if ledger["size"] != ledger["leaves"]:
        found.append(f"ledger: its size is {ledger['size']}, but it has {ledger['leaves']} rows")
    own = sum(rows.get("records", {}).values())
    # Its own events are in it, too, but for the announcements of its checkpoints.
    if own != records["emitted"] - ledger["checkpoints"]:
        found.append(f"ledger: {own} rows of records for {records['emitted'] - ledger['checkpoints']} events of its own")
    for service in sorted({*rows, *records["handled"]} - {"records"}):
        handled, kept = records["handled"].get(service, 0), sum(rows.get(service, {}).values())
        if handled != kept:
            found.append(f"ledger: {kept} rows of {service}, but records has handled {handled} of its events")
    return found


def lines(balance: Balance) -> list[str]:
    """The balance for a person to read."""
    outcomes = ", ".join(
        f"{number} {outcome}" for outcome, number in sorted(balance.submissions.items(), key=lambda o: -o[1])
    )
    told = [f"{sum(balance.submissions.values())} submissions: {outcomes or 'none'}", ""]
    told.append(f"{'events':<26}{'emitted':>10}{'handled':>10}{'held':>8}{'parked':>8}{'missing':>9}")
    told += [
        f"{f'{f.writer} -> {f.reader}':<26}{f.emitted:>10}{f.handled:>10}{f.held:>8}{f.parked:>8}{f.missing:>9}"
        for f in balance.flows
    ]
    rows = ", ".join(f"{number} of {service}" for service, number in balance.ledger.items())
    told += ["", f"{sum(balance.ledger.values())} rows in the ledger: {rows or 'none'}"]
    waiting = ", ".join(f"{number} at {service}" for service, number in balance.dead_letters.items() if number)
    if waiting:
        told.append(f"dead letters: {waiting}; nothing of them is lost (see: amends dead-letters list)")
    told += [f"does not add up: {difference}" for difference in balance.differences] or ["it adds up"]
    return told
