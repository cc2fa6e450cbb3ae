"""The sample complaints on their way, as a contact centre would send them; one of them is shown step by step."""

from __future__ import annotations

import secrets
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from rich.text import Text

from deploy import reconcile
from deploy.local.screen import Screen
from services.records.story import tell
from shared.cli import Failed
from shared.cli.client import Client
from shared.cli.local import Local
from shared.http.scopes import SERVICES

STEP_SECONDS = 30.0
ASK_EVERY_S = 0.05
IN_ONE_REQUEST = 8
WIDE = 150
WHAT_WIDTH, MIN_TEXT = 19, 30
RESOLUTION = "Refunded the kettle, stopped its sale, and a named colleague stays in touch about the injury"
DECIDED = "amends.escalation.decision_made.v1"
UPDATE_SCHEDULED = "amends.followup.update_scheduled.v1"
CHECK_IN_SCHEDULED = "amends.followup.check_in_scheduled.v1"


def play(screen: Screen, noted: Local, *, logs: Path) -> str:
    """Send all samples, show the first one's way up to its check-in, wait until all are recorded. Returns its id.

    Raises Failed with the reason when one of the steps does not come.
    """
    clients = {service: Client(service, noted["urls"][service], noted["api_key"]) for service in SERVICES}
    first, *others = samples(secrets.token_hex(3))
    _send_others(screen, clients["intake"], others)
    way = _Way(screen, clients["records"], logs)
    complaint_id = way.send(clients["intake"], first)
    way.until(DECIDED, UPDATE_SCHEDULED)
    way.resolve(clients["escalation"])
    way.until(CHECK_IN_SCHEDULED)
    way.tell_end()
    balance = reconcile.settle(lambda service: clients[service].get("/v1/reconciliation"), STEP_SECONDS)
    if balance.differences:
        raise Failed(
            f"not everything was recorded within {STEP_SECONDS:.0f} s: {'; '.join(balance.differences)}. Logs: {logs}"
        )
    total, rows = sum(balance.submissions.values()), sum(balance.ledger.values())
    screen.say(f"\nAll {total} submissions so far have their outcome, and all {rows} events are in the ledger.")
    return complaint_id


def samples(run: str) -> list[dict[str, Any]]:
    """The sample items, under ids of their own in each run, so that each run makes new complaints."""
    items: list[dict[str, Any]] = orjson.loads((files("deploy.samples") / "complaints.json").read_bytes())
    return [
        {**item, "event_id": f"{item['event_id']}-{run}", "record_id": f"{item['record_id']}-{run}"} for item in items
    ]


def _send_others(screen: Screen, intake: Client, items: list[dict[str, Any]]) -> None:
    began = time.perf_counter()
    requests: list[Any] = [items[:IN_ONE_REQUEST], *items[IN_ONE_REQUEST:]]
    for body in requests:
        for answer in intake.post("/v1/complaints", orjson.dumps(body))["items"]:
            if answer["outcome"] != "accepted":
                raise Failed(
                    f"intake refused the sample {answer['event_id']}: {answer.get('detail', answer['outcome'])}"
                )
    took = (time.perf_counter() - began) * 1000
    screen.say(
        f"Sent {len(items)} sample complaints, replies and reports in {len(requests)} requests ({took:.0f} ms). One more:\n"
    )


class _Way:
    """One complaint's way, told event by event as records knows it."""

    def __init__(self, screen: Screen, records: Client, logs: Path) -> None:
        self._screen, self._records, self._logs = screen, records, logs
        self._complaint_id = ""
        self._acted_at = datetime.now(UTC)
        self._happened: dict[str, datetime] = {}
        self._events: list[dict[str, Any]] = []

    def send(self, intake: Client, item: dict[str, Any]) -> str:
        """Send it; returns the complaint's id."""
        text = f'{item["channel"]} of {item["customer"]["name"]}: "{item["subject"]}"'
        answered = self._act(f"sent      {text}", lambda: intake.post("/v1/complaints", orjson.dumps(item)))
        self._complaint_id = answered["items"][0]["complaint_id"]
        return self._complaint_id

    def resolve(self, escalation: Client) -> None:
        """As a person would, by the same route."""
        path, body = f"/v1/complaints/{self._complaint_id}/resolve", orjson.dumps({"resolution": RESOLUTION})
        self._act("resolve   by the team", lambda: escalation.post(path, body, idempotency_key=secrets.token_hex(8)))

    def until(self, *types: str) -> None:
        """Tell the events as they are recorded, until one of each of `types` was."""
        deadline = time.monotonic() + STEP_SECONDS
        reason = ""
        while not set(types) <= {event["type"] for event in self._events}:
            try:
                found = self._records.get(f"/v1/complaints/{self._complaint_id}")["timeline"]
                # That this story is read is recorded, too; it is no part of it.
                new = [event for event in found if event["id"] not in self._happened and event["service"] != "records"]
                self._tell(new)
            except Failed as failure:  # not recorded yet, or records is just being started again
                reason = f" ({failure})"
            if time.monotonic() > deadline:
                lacking = sorted(set(types) - {event["type"] for event in self._events})
                raise Failed(f"{lacking[0]} did not come within {STEP_SECONDS:.0f} s{reason}. Logs: {self._logs}")
            time.sleep(ASK_EVERY_S)

    def tell_end(self) -> None:
        """That it is recorded, where, and under which traces."""
        last = max(self._events, key=lambda event: event["index"])
        rows = f"all {len(self._events)} events are in the ledger, the last as row {last['index']}"
        self._line(datetime.fromisoformat(last["recorded_at"]), last["latency_ms"], "recorded", rows, last["trace_id"])
        traces = list(dict.fromkeys(event["trace_id"] for event in self._events if event["trace_id"]))
        self._screen.say(f"\n  complaint {self._complaint_id}\n  traces    {', '.join(traces)}")

    def _act(self, what: str, call: Callable[[], Any]) -> Any:
        self._acted_at, began = datetime.now(UTC), time.perf_counter()
        answered = call()
        took = (time.perf_counter() - began) * 1000
        self._line(self._acted_at, None, what[:9].strip(), f"{what[10:]} (answered after {took:.0f} ms)", None)
        return answered

    def _tell(self, events: list[dict[str, Any]]) -> None:
        """In the order in which it happened: an event that is recorded before its cause waits for it."""
        for event in sorted(events, key=lambda event: datetime.fromisoformat(event["occurred_at"])):
            at = datetime.fromisoformat(event["occurred_at"])
            if _is_id(event["causation_id"]) and event["causation_id"] not in self._happened:
                continue
            cause = self._happened.get(event["causation_id"], self._acted_at)
            self._happened[event["id"]] = at
            self._events.append(event)
            told = tell(event)
            self._line(at, max(0.0, (at - cause).total_seconds() * 1000), told.what, told.text, event["trace_id"])

    def _line(self, at: datetime, latency_ms: float | None, what: str, text: str, trace_id: str | None) -> None:
        local, latency = at.astimezone(), "" if latency_ms is None else f"+{latency_ms:.0f} ms"
        head = f"  {local:%H:%M:%S}.{local.microsecond // 1000:03d} {latency:>8}  "
        if trace_id:
            text += f"  trace {trace_id if self._screen.width >= WIDE else trace_id[:8]}"
        indent = len(head) + WHAT_WIDTH + 1
        folded = textwrap.wrap(text, max(MIN_TEXT, self._screen.width - indent)) if self._screen.is_terminal else [text]
        self._screen.say(Text(head).append(f"{what:<{WHAT_WIDTH}}", "bold").append(f" {folded[0]}"))
        for line in folded[1:]:
            self._screen.say(" " * indent + line)


def _is_id(causation_id: str) -> bool:
    """Whether the cause is another event; it may also be a delivery's item, a command or a timer."""
    try:
        UUID(causation_id)
    except ValueError:
        return False
    return True
