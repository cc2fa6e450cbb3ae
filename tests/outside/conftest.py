"""The delivery bench, with a domain that sends messages; a real SMTP server and a real HTTP server to send to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope

from shared.delivery import sender as sending
from shared.delivery.routes import Route
from shared.delivery.sender import Sender
from shared.delivery.settings import DeliverySettings
from shared.telemetry.health import Progress
from tests.delivery.bench import SERVICE, Bench
from tests.delivery.conftest import bench, bench_database  # noqa: F401 - fixtures
from tests.delivery.parts import Replica

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Mailbox:
    """What a real SMTP server took. `answer` is what it says to the next mails instead of taking them."""

    mails: list[bytes] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answer: str | None = None
    port: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.answer is not None:
            return self.answer
        self.mails.append(bytes(envelope.content or b""))
        self.recipients.append(envelope.rcpt_tos)
        return "250 taken"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


@dataclass
class Web:
    """A real HTTP server. `answers` are used up one by one; then 200."""

    port: int
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    silent: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers = {}
                while (header := (await reader.readline()).decode().strip()):
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((line.decode(), headers, body))
                if self.silent:
                    await asyncio.sleep(60)
                status = self.answers.pop(0) if self.answers else b"200 OK\r\n"
                writer.write(b"HTTP/1.1 " + status + b"content-length: 0\r\n\r\n")
                await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    found = Web(0)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


MakeSender = Callable[..., Sender]


@pytest.fixture
def make_sender(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> MakeSender:  # noqa: F811 - the fixture
    monkeypatch.setattr(sending, "LONGEST_SLEEP_S", 0.02)

    def make(
        replica: Replica, routes: dict[str, Route], reread: Callable[[], dict[str, Route] | None] = lambda: None, **settings: Any
    ) -> Sender:
        given = DeliverySettings.model_validate({"allow_networks": LOOPBACK, **settings})
        return Sender(
            service=SERVICE, pool=bench.pool, saves=replica.saves, progress=Progress(), routes=routes, settings=given,
            reread=reread,
        )  # fmt: skip

    return make
