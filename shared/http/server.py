"""The HTTP server of one process: uvicorn inside the service's own event loop, with limits that it lacks itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.errors import StartRefused
from shared.http.problems import CONTENT_TYPE

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection (60 s), so that never we close it under them
HEAD_S = 10.0  # from the first byte of a connection or request to the end of its headers
BODY_S = 60.0  # from the end of the headers to the last byte of the body
MAX_HEAD = 32_768  # bytes of request line and headers
BACKLOG = 1_024


class Server:
    """Serves `app` at `host`:`port`. Port 0 takes a free one; `port` tells which after `start`."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._app = app
        self._server: _Uvicorn | None = None
        self._task: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, e.g. http://127.0.0.1:8080."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen. Returns when requests are answered; raises StartRefused when the address cannot be had."""
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._server = _Uvicorn(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            listener.close()
            self._task.result()
        self._sweeper = asyncio.create_task(_close_slow(self._server), name="http-sweep")

    async def stop(self, grace_s: float) -> None:
        """Stop listening, let running requests end, and close what is still open after `grace_s` seconds."""
        if self._server is None or self._task is None:
            return
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._server.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]  # a float works as well
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._task}, timeout=grace_s + 1.0)
        for connection in list(self._server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)
        if self._task.done() and not self._task.cancelled() and (error := self._task.exception()) is not None:
            log.error("the HTTP server ended with an error", exc_info=error)
        self._server = self._task = None


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the service's business


class _Protocol(HttpToolsProtocol):
    """Adds what httptools and uvicorn leave open: a largest head, and a time by which head and body must be here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.due: float | None = None  # loop time by which what is being read must be complete
        self._head_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.due = self.loop.time() + HEAD_S

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self.due is None:
                self.due = self.loop.time() + HEAD_S
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD and not self.transport.is_closing():
            self.refuse(431, "Head too large", f"Request line and headers have more than {MAX_HEAD:,} bytes.")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()
        self.due = self.loop.time() + BODY_S

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.due = None
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        self.refuse(400, "Bad request", "This is not a valid HTTP request.")

    def refuse(self, status: int, title: str, detail: str) -> None:
        """Answer without asking the application, and close."""
        if self.transport.is_closing():
            return
        running = self.cycle if self.cycle is not None and not self.cycle.response_complete else None
        if running is None or not running.response_started:
            body = orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
            head = f"content-type: {CONTENT_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        if running is not None:  # what the application still says goes nowhere
            running.disconnected = True
            running.message_event.set()
        self.transport.close()

    def close_if_late(self, now: float) -> None:
        """Close when what is being read was due before `now` (loop time). Silently if no answer is waited for."""
        if self.due is None or self.due >= now:
            return
        nothing_came = self._in_head and self._head_bytes == 0
        answered_already = not self._in_head and self.cycle.response_complete
        if nothing_came or answered_already:
            self.transport.close()
        else:
            self.refuse(408, "Too slow", "The request did not arrive completely in time.")


async def _close_slow(server: uvicorn.Server) -> None:
    """Once a second, close connections whose head or body did not come in time."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(1.0)
        now = loop.time()
        for connection in list(server.server_state.connections):
            if isinstance(connection, _Protocol):
                connection.close_if_late(now)


def _listen(host: str, port: int) -> socket.socket:
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise StartRefused(f"cannot listen on {where}: the host name is not known. Check the HTTP host.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else "refused by the system"
        raise StartRefused(
            f"cannot listen on {where}: {reason.lower()}. Free it or choose another port (0 takes any free one)."
        ) from error
    listener.setblocking(False)
    return listener
