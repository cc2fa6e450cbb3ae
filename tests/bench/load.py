"""The load: a process of its own that posts complaints to intake. `python -m tests.bench.load PLAN`, PLAN as JSON.

A small HTTP client, because a comfortable one would cost more than what it measures: keep-alive connections, request
bytes joined from parts that are ready, the answer searched for what must be in it. Writes `Plan.file` as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import random
import re
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import uvloop

from tests.bench.samples import Samples

LAST_ANSWERS_S = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_ACCEPTED = b'"outcome":"accepted"'


@dataclass(frozen=True)
class Plan:
    """What to send. `rate` in complaints a second; 0: each connection sends again as soon as it has its answer."""

    port: int
    key: str
    prefix: str
    per_request: int
    connections: int
    rate: float
    seconds: float
    file: str
    random_gaps: bool = False
    hook: str = ""  # the name of a Zendesk source: signed webhooks to it instead, `key` is its secret

    def json(self) -> str:
        return orjson.dumps(asdict(self)).decode()


class Load:
    """One run of a plan. `done` holds (first number, due, answered) of each request that was accepted, in seconds of `clock`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.samples = Samples(plan.prefix)
        self.head = (
            f"POST /v1/complaints HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nAuthorization: Bearer {plan.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self.yes = _ACCEPTED
        if plan.hook:
            self.yes = b'"stored"'
            self.head = (
                f"POST /v1/hooks/{plan.hook} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nContent-Type: application/json\r\n"
            ).encode()
        # One clock with PostgreSQL's, but without the steps that it may make meanwhile.
        self.offset = time.time() - time.monotonic()
        self.number = 0
        self.waiting: deque[float] = deque()
        self.idle: deque[Connection] = deque()  # used in turn, so that none is idle for longer than it must be
        self.reconnecting: asyncio.Future[None] | None = None
        self.running = 0
        self.done: list[tuple[int, float, float]] = []
        self.refused: Counter[str] = Counter()
        self.ends = 0.0
        self.lost: str | None = None

    def clock(self) -> float:
        return time.monotonic() + self.offset

    async def run(self) -> dict[str, Any]:
        for _ in range(self.plan.connections):
            await self.connect()
        cpu, started = time.process_time(), self.clock()
        self.ends = started + self.plan.seconds
        if self.plan.rate:
            await self._paced(started)
        else:
            for _ in range(self.plan.connections):
                self._send(self.clock())
            await asyncio.sleep(self.plan.seconds)
        ended = self.clock()
        while (self.running or self.waiting) and self.lost is None and self.clock() < self.ends + LAST_ANSWERS_S:
            await asyncio.sleep(0.005)
        if self.running or self.waiting or self.lost:
            self.refused[self.lost or "no answer"] += self.running + len(self.waiting) or 1
        cpu = time.process_time() - cpu
        return {"started": started, "ended": ended, "cpu_s": cpu, "done": self.done, "refused": dict(self.refused)}

    async def connect(self) -> None:
        """Open one more connection."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.plan.port)
        self.idle.append(connection)

    def closed(self, connection: Connection) -> None:
        """A server may close what has been idle for long; anything else is a request that got no answer."""
        if connection in self.idle:
            self.idle.remove(connection)
            self.reconnecting = asyncio.ensure_future(self.connect())
        else:
            self.lost = "intake closed a connection with a request on it"

    async def _paced(self, started: float) -> None:
        """Send when it is due, whatever has been answered: a slow server is waited for, not spared."""
        gap = self.plan.per_request / self.plan.rate
        pick = random.Random(1)
        due = started
        while due < self.ends and self.lost is None:
            now = self.clock()
            while due <= now and due < self.ends:
                self._send(due)
                due += pick.expovariate(1 / gap) if self.plan.random_gaps else gap
            await asyncio.sleep(max(0.0, due - self.clock()))

    def _send(self, due: float) -> None:
        """Send the next request, or as soon as a connection is free; `due` is when it should have been sent."""
        if not self.idle:
            self.waiting.append(due)
            return
        number, size = self.number, self.plan.per_request
        self.number += size
        if self.plan.hook:
            request = self._webhook(number)
        else:
            body = self.samples.item(number) if size == 1 else self.samples.items(number, size)
            request = b"%s%d\r\n\r\n%s" % (self.head, len(body), body)
        self.running += 1
        self.idle.popleft().post(number, due, request)

    def _webhook(self, number: int) -> bytes:
        """A ticket as Zendesk sends and signs it."""
        detail = {
            "id": str(number),
            "description": orjson.loads(self.samples.item(number))["text"],
            "subject": "About my order",
            "requester_id": str(number),
            "priority": "NORMAL",
            "status": "NEW",
            "is_public": True,
            "tags": ["bench"],
            "created_at": "2026-03-02T09:30:00Z",
            "via": {"channel": "email"},
        }
        event = {
            "type": "zen:event-type:ticket.created",
            "account_id": 7,
            "id": f"{self.plan.prefix}-{number}",
            "time": "2026-03-02T09:30:00Z",
            "subject": f"zen:ticket:{self.plan.prefix}{number}",
            "zendesk_event_version": "2022-11-06",
            "detail": detail,
            "event": {},
        }
        body = orjson.dumps(event)
        signed_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
        signature = base64.b64encode(hmac.digest(self.plan.key.encode(), signed_at + body, "sha256"))
        return b"%sX-Zendesk-Webhook-Signature: %s\r\nX-Zendesk-Webhook-Signature-Timestamp: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            self.head, signature, signed_at, len(body), body,
        )  # fmt: skip

    def answered(self, connection: Connection, status: bytes, body: bytes) -> None:
        self.running -= 1
        self.idle.append(connection)
        now = self.clock()
        if status == b"202" and body.count(self.yes) == self.plan.per_request:
            self.done.append((connection.number, connection.due, now))
        else:
            self.refused[status.decode()] += 1
        if self.waiting:
            self._send(self.waiting.popleft())
        elif not self.plan.rate and now < self.ends:
            self._send(now)


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self.number = 0
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def post(self, number: int, due: float, request: bytes) -> None:
        self.number, self.due = number, due
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head + 2)
        if length is None:
            self._load.lost = "an answer without a length"
        elif len(self._buffer) >= head + 4 + int(length[1]):
            answer, self._buffer = self._buffer, b""
            self._load.answered(self, answer[9:12], answer[head + 4 :])

    def connection_lost(self, error: Exception | None) -> None:
        self._load.closed(self)


def main() -> None:
    plan = Plan(**orjson.loads(sys.argv[1]))
    result = uvloop.run(Load(plan).run())
    with open(plan.file, "wb") as out:
        out.write(orjson.dumps(result))
    os._exit(0)


if __name__ == "__main__":
    main()
