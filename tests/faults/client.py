"""A contact centre as a client: sends again until it is answered, and writes down every answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.faults.journal import Command, Journal, Kind, Submission

# What makes the default policies decide differently; `checker.POLICY` knows what they should decide.
SORTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "injury": {"tags": ["injury"]},
    "urgent": {"priority": "urgent"},
    "fraud": {"category": "fraud"},
}
AGAIN = (httpx2.TransportError, httpx2.InvalidURL)
TRY_S = 10.0
GIVE_UP_S = 300.0


@dataclass
class Answered:
    """One request that was answered for good."""

    service: str
    at: float
    seconds: float  # from the first try
    tries: int


class Client:
    """Sends to any replica; the same request again on 503, 5xx-less silence, or a broken connection, with the same ids."""

    def __init__(self, urls: Callable[[str], Sequence[str]], key: str, journal: Journal, seed: int) -> None:
        self.journal = journal
        self.answered: list[Answered] = []
        self._urls = urls
        self._random = random.Random(seed)
        self._number = 0
        limits = httpx2.Limits(max_connections=500, max_keepalive_connections=100)
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx2.AsyncClient(timeout=TRY_S, limits=limits, headers=headers)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    # --- messages ---

    def message(self, kind: Kind = "contact", sort: str = "plain", record_id: str = "", **more: Any) -> Submission:
        """A new message, not sent yet; about a new record unless `record_id` is given."""
        self._number += 1
        event_id, record_id = f"e{self._number}", record_id or f"r{self._number}"
        body: dict[str, Any] = {"event_id": event_id, "record_id": record_id, **more}
        if kind == "status":
            body["kind"] = "status"
        else:
            body |= {"text": f"Message {self._number}", "customer": {"name": "Ada"}, **SORTS[sort]}
        if kind == "reply":
            body["kind"] = "reply"
        if kind == "bot":
            body["author_kind"] = "bot"
        submission = Submission(event_id, record_id, kind, sort, body)
        self.journal.submissions[event_id] = submission
        return submission

    async def send(self, *messages: Submission, url: str = "") -> None:
        """Send one message, or several as a list, until answered; the answers go to the journal."""
        body = messages[0].body if len(messages) == 1 else [m.body for m in messages]
        response = await self.post("intake", "/v1/complaints", body, url=url)
        if response is None:
            return
        if response.status_code != 202:
            self._complain(f"POST /v1/complaints: {response.status_code} {response.text[:300]}")
            return
        for message, item in zip(messages, response.json()["items"], strict=True):
            if item["status"] != 202 or item["event_id"] != message.event_id:
                self._complain(f"item {message.event_id}: {item}")
                continue
            if message.complaint_id not in ("", item["complaint_id"]):
                self._complain(f"{message.event_id}: complaint {message.complaint_id}, then {item['complaint_id']}")
            message.complaint_id = item["complaint_id"]
            message.told.append(item["outcome"])

    async def send_changed(self, message: Submission) -> None:
        """The same event id with another content: a conflict."""
        response = await self.post("intake", "/v1/complaints", {**message.body, "record_id": "another"})
        if response is not None and response.status_code != 409:
            self._complain(f"changed {message.event_id}: {response.status_code} {response.text[:300]}")

    # --- commands ---

    async def command(self, complaint_id: str, verb: str, *, url: str = "") -> Command:
        """Resolve or close, under a key of its own, until answered. 404 is tried again: escalation may not know it yet."""
        self._number += 1
        text = f"{verb} number {self._number}"
        command = Command(f"key-{self._number}", complaint_id, verb, text)  # type: ignore[arg-type]
        self.journal.commands.append(command)
        body = {"resolution" if verb == "resolve" else "reason": text}
        path, headers = f"/v1/complaints/{complaint_id}/{verb}", {"Idempotency-Key": command.key}
        response = await self.post("escalation", path, body, headers=headers, url=url, also_again=(404,))
        if response is None:
            return command
        command.status, command.tries = response.status_code, self.answered[-1].tries
        if response.status_code not in (200, 409):
            self._complain(f"{verb}: {response.status_code} {response.text[:300]}")
        elif response.status_code == 200 and self._random.random() < 0.2:
            replayed = await self.post("escalation", path, body, headers=headers, url=url)
            if replayed is not None and (replayed.status_code, replayed.json()) != (200, response.json()):
                self._complain(f"{verb} again under its key: {replayed.status_code} {replayed.text[:300]}")
        return command

    # --- requests ---

    async def post(
        self, service: str, path: str, body: Any, *, headers: dict[str, str] | None = None, url: str = "",
        also_again: tuple[int, ...] = (),
    ) -> httpx2.Response | None:  # fmt: skip
        """The first answer for good. None, and a line in the journal, when there is none in GIVE_UP_S."""
        started, tries = time.monotonic(), 0
        last = ""
        while time.monotonic() - started < GIVE_UP_S:
            tries += 1
            try:
                base = url or self._random.choice(self._urls(service))
                response = await self._http.post(base + path, json=body, headers=headers)
            except AGAIN as error:
                last = type(error).__name__
            else:
                if response.status_code == 503 and "retry-after" not in response.headers:
                    self._complain(f"503 without Retry-After: {path}")
                if response.status_code not in (503, *also_again):
                    now = time.monotonic()
                    self.answered.append(Answered(service, now, now - started, tries))
                    return response
                last = str(response.status_code)
            await asyncio.sleep(min(0.05 * 2 ** min(tries, 5), 1.0) * (0.5 + self._random.random()))
        self._complain(f"no answer in {GIVE_UP_S:.0f} s: {service} {path}, last {last}")
        return None

    async def get(self, service: str, path: str) -> httpx2.Response:
        """One GET, as it is answered."""
        return await self._http.get(self._random.choice(self._urls(service)) + path)

    def _complain(self, text: str) -> None:
        self.journal.complaints.append(text)
