"""What surrounds every request, in one ASGI layer: trace, metrics, limits, security headers, last catch of errors."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.frozen import dataclass
from shared.http.problems import (
    Problem,
    as_problem,
    encoded,
    too_large,
    unavailable,
    unexpected,
    unsupported_media_type,
)
from shared.telemetry import metrics, tracing

Headers = list[tuple[bytes, bytes]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "(no route)"
CLIENT_GONE = 499  # shown in the metrics only: nobody is there to answer
QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds: no spans
_SAFE: Headers = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a raw handler answers: bytes, status and extra headers."""

    body: bytes
    status: int = 200
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class RawRequest:
    """What a raw handler gets: the whole body, the headers as they came (names in lower case), and the trace."""

    body: bytes
    headers: Headers
    carrier: tracing.Carrier
    scope: Scope

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name (lower case)."""
        return next((value for key, value in self.headers if key == name), None)


RawHandler = Callable[[RawRequest], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class RawRoute:
    """A hot route that skips FastAPI's layers: the handler reads and writes bytes.

    The path is fixed, or ends in one `{name}`. `max_body` may depend on the request's path.
    """

    path: str
    handler: RawHandler
    max_body: int | Callable[[str], int]
    media_types: tuple[str, ...]


class Edge:
    """Put around the application. `raw` are the hot routes by method and path, answered here at once."""

    def __init__(
        self, app: ASGIApp, *, service: str, max_body: int, max_running: int, raw: dict[tuple[str, str], RawRoute]
    ) -> None:
        self._app = app
        self._service = service
        self._max_body = max_body
        self._max_running = max_running
        self._raw = raw
        self._running = 0
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = _Exchange(scope, receive, send, self._max_body)
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        raw = self._raw.get((method, scope["path"])) or self._raw.get((method, _template(scope["path"])))
        span = _begin(scope, method)
        scope.setdefault("state", {})["carrier"] = span.carrier
        error: str | None = None
        self._running += 1
        try:
            with tracing.use(span.carrier):
                if self._running > self._max_running and scope["path"] not in QUIET:
                    raise unavailable("Too many requests are being handled at the moment. Try again.")
                if raw is not None:
                    await _answer_raw(raw, exchange, span.carrier)
                else:
                    exchange.check_length()
                    await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_GONE
        except HTTPException as problem:
            await exchange.refuse(as_problem(problem))
        except Exception as defect:
            error = type(defect).__name__
            with tracing.use(span.carrier):
                await exchange.refuse(unexpected(defect))
        finally:
            self._running -= 1
            status = exchange.status
            route = raw.path if raw is not None else _route(scope)
            self._count(method, route, status, time.perf_counter() - started, span.carrier)
            if span.recorded:
                span.set("http.route", route)
                span.set("http.response.status_code", status)
                span.end(error or (str(status) if status >= 500 else None), name=f"{method} {route}")

    def _count(self, method: str, route: str, status: int, seconds: float, carrier: tracing.Carrier) -> None:
        pair = self._counters.get((method, route, status))
        if pair is None:
            pair = (
                metrics.HTTP_REQUESTS.labels(self._service, method, route, str(status)),
                metrics.HTTP_DURATION.labels(self._service, method, route),
            )
            self._counters[(method, route, status)] = pair
        pair[0].inc()
        metrics.observe(pair[1], seconds, carrier)


class _Exchange:
    """One request's two directions: counts the body that comes in, completes the headers that go out."""

    __slots__ = ("_limit", "_read", "_receive", "_send", "scope", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self.scope = scope
        self.status = 0  # until an answer has started
        self._receive = receive
        self._send = send
        self._limit = limit
        self._read = 0

    def check_length(self) -> None:
        """Refuse by Content-Length, before a byte of the body is read."""
        for name, value in self.scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                raise too_large(self._limit)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if self._read > self._limit:
                raise too_large(self._limit)
        return message

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises Problem 413 when it is larger than `limit` bytes."""
        self._limit = limit
        self.check_length()
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            return body
        chunks = []
        while message["type"] == "http.request":
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(chunks)
            message = await self.receive()
        raise ClientDisconnect

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *_SAFE]
        await self._send(message)

    async def answer(self, status: int, media_type: bytes, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.status = status
        length = str(len(body)).encode()
        head = [(b"content-type", media_type), (b"content-length", length), *_SAFE, *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, problem: Problem) -> None:
        if self.status:
            # Half an answer is out; only an end before its announced length tells the client that it is not whole.
            raise ConnectionAbortedError("the answer broke off")
        headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in (problem.headers or {}).items()]
        await self.answer(problem.status_code, b"application/problem+json", problem.body(), headers)


def _begin(scope: Scope, method: str) -> tracing.ProcessSpan:
    traceparent: str | None = None
    tracestate = ""
    parents = 0
    for name, value in scope["headers"]:
        if name == b"traceparent":
            traceparent = value.decode("latin-1")
            parents += 1
        elif name == b"tracestate":
            text = value.decode("latin-1")
            tracestate = f"{tracestate},{text}" if tracestate else text
    parent = tracing.parse(traceparent, tracestate) if parents == 1 else None
    if scope["path"] in QUIET:
        return tracing.ProcessSpan(parent or tracing.Carrier(""))
    return tracing.begin_request(parent, method, scheme=scope.get("scheme", "http"))


async def _answer_raw(raw: RawRoute, exchange: _Exchange, carrier: tracing.Carrier) -> None:
    headers: Headers = exchange.scope["headers"]
    media_type = _header(headers, b"content-type").partition(";")[0].strip().lower()
    if raw.media_types and media_type not in raw.media_types:
        raise unsupported_media_type(raw.media_types)
    if raw.media_types and (encoding := _header(headers, b"content-encoding").lower()) not in ("", "identity"):
        raise encoded(encoding[:32] if encoding.isalnum() else "something else")
    limit = raw.max_body if isinstance(raw.max_body, int) else raw.max_body(exchange.scope["path"])
    body = await exchange.body(limit)
    answer = await raw.handler(RawRequest(body, headers, carrier, exchange.scope))
    await exchange.answer(answer.status, answer.media_type, answer.body, answer.headers)


def _header(headers: Headers, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for each, value in headers if each == name), "")


def _template(path: str) -> str:
    """The path with its last part as a parameter."""
    return f"{path.rpartition('/')[0]}/{{name}}"


def _route(scope: Scope) -> str:
    path: Any = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return path
    # Starlette's plain routes leave no template behind; without parameters it is the path itself.
    return str(scope["path"]) if "endpoint" in scope and not scope.get("path_params") else UNMATCHED
