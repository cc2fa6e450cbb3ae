"""The server: start and stop on time, limits on what a client may do with a connection, and no 5xx for any bytes."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.errors import StartRefused
from shared.http import server as server_module
from shared.http.edge import Answer, RawRequest
from shared.http.server import Server
from tests.http.raw import exchange, first_line, status_of
from tests.http.test_app import make


@pytest.fixture
async def running() -> AsyncIterator[Server]:
    app = make()

    async def slow(_: RawRequest) -> Answer:
        await asyncio.sleep(60)
        return Answer(b"{}")

    app.add_raw_route("/slow", slow, summary="Slow", operation={})
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.stop(0.1)


async def test_port_zero_takes_a_free_one_and_tells_it(running: Server) -> None:
    assert running.port > 0
    assert running.url == f"http://127.0.0.1:{running.port}"
    assert status_of(await exchange(running.port, b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n")) == 200


async def test_a_taken_port_is_refused_in_one_sentence(running: Server) -> None:
    with pytest.raises(StartRefused, match=f"127.0.0.1:{running.port}: address already in use"):
        await Server(make(), "127.0.0.1", running.port).start()


async def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(StartRefused, match="host name is not known"):
        await Server(make(), "no-such-host.invalid", 0).start()


async def test_signals_stay_the_business_of_the_process(running: Server) -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_stop_frees_the_port_and_may_be_said_twice() -> None:
    server = Server(make(), "127.0.0.1", 0)
    await server.start()
    await server.stop(1.0)
    await server.stop(1.0)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", server.port))


async def test_stop_does_not_wait_for_idle_connections_or_longer_than_asked(running: Server) -> None:
    _, idle = await asyncio.open_connection("127.0.0.1", running.port)
    idle.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
    _, half = await asyncio.open_connection("127.0.0.1", running.port)
    half.write(b"POST /v1/raw HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{")
    _, busy = await asyncio.open_connection("127.0.0.1", running.port)
    busy.write(b"POST /slow HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
    await asyncio.sleep(0.1)
    started = time.monotonic()
    await running.stop(0.3)
    assert time.monotonic() - started < 2.0
    for writer in (idle, half, busy):
        writer.close()


async def test_a_request_that_runs_when_stop_is_said_is_answered() -> None:
    app = make()
    entered = asyncio.Event()

    async def takes_a_moment(_: RawRequest) -> Answer:
        entered.set()
        await asyncio.sleep(0.3)
        return Answer(b'{"done": true}')

    app.add_raw_route("/moment", takes_a_moment, summary="x", operation={})
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    request = asyncio.create_task(exchange(server.port, b"POST /moment HTTP/1.1\r\ncontent-length: 0\r\n\r\n"))
    await entered.wait()
    await server.stop(5.0)
    assert b'{"done": true}' in await request


async def test_a_head_without_end_is_refused(running: Server) -> None:
    for endless in (b"GET / HTTP/1.1\r\nx: " + b"a" * 50_000, b"GET /" + b"a" * 50_000):
        answer = await exchange(running.port, endless)
        assert status_of(answer) == 431
        assert b"application/problem+json" in answer


async def test_whoever_sends_too_slowly_is_disconnected(running: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_S", 0.2)
    monkeypatch.setattr(server_module, "BODY_S", 0.2)
    head, body, nothing, fine = await asyncio.gather(
        exchange(running.port, b"GET /livez HTTP/1.1\r\nx: "),
        exchange(
            running.port,
            b"POST /v1/raw HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{",
        ),
        exchange(running.port, b""),
        exchange(running.port, b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n"),
    )
    assert status_of(head) == 408
    assert status_of(body) == 408
    assert nothing == b""
    assert status_of(fine) == 200


async def test_a_slow_answer_is_not_a_slow_client(running: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_S", 0.1)
    monkeypatch.setattr(server_module, "BODY_S", 0.1)
    _, writer = reader_writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"POST /slow HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await reader_writer[0].read(1)
    writer.close()


async def test_several_requests_on_one_connection_even_at_once(running: Server) -> None:
    request = b"POST /v1/raw HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    last = request.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    answer = await exchange(running.port, request * 4 + last)
    assert answer.count(b"HTTP/1.1 202") == 5


token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20).map(str.encode)
known = st.sampled_from(
    [b"content-type", b"content-length", b"traceparent", b"tracestate", b"authorization", b"x-api-key", b"expect",
     b"transfer-encoding", b"connection", b"upgrade", b"host", b"accept", b"accept-encoding", b"range", b"cookie"]
)  # fmt: skip
value = st.one_of(
    st.binary(max_size=60).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
    st.sampled_from(
        [b"application/json", b"chunked", b"5", b"-1", b"99999999999999999999", b"100-continue", b"websocket"]
    ),
)
target = st.one_of(
    st.sampled_from(
        [b"/v1/raw", b"/v1/orders", b"/v1/orders/1", b"/v1/read", b"/livez", b"/metrics", b"/openapi.json", b"*"]
    ),
    st.binary(max_size=40).map(lambda raw: b"/" + raw.replace(b" ", b"").replace(b"\r", b"").replace(b"\n", b"")),
)


ORDERS = b"/v1/orders"
JSON = (b"content-type", b"application/json")


@example(method=b"POST", path=ORDERS, headers=[JSON, (b"content-length", b"3")], body=b'"\xff"')
@example(method=b"POST", path=ORDERS, headers=[JSON, (b"transfer-encoding", b"chunked")], body=b"zz\r\n")
@example(method=b"POST", path=ORDERS, headers=[JSON, (b"content-length", b"2")] * 2, body=b"{}")
@example(method=b"POST", path=b"/v1/read", headers=[(b"expect", b"100-continue"), (b"content-length", b"1")], body=b"x")
@example(method=b"GET", path=b"/livez", headers=[(b"upgrade", b"websocket"), (b"connection", b"upgrade")], body=b"")
@example(method=b"GET", path=b"/livez", headers=[(b"upgrade", b"h2c"), (b"connection", b"upgrade")], body=b"")
@example(method=b"GET", path=b"/v1/orders/%ff%00", headers=[], body=b"")
@example(method=b"GET", path=b"/v1/orders/1?limit=%ff", headers=[(b"traceparent", b"\xff")], body=b"")
@example(method=b"GET", path=b"/v1/orders/" + b"9" * 5_000, headers=[], body=b"")
@example(method=b"GET", path=b"/metrics", headers=[(b"accept", b"application/openmetrics-text; version=x")], body=b"")
@example(method=b"GET", path=b"/metrics", headers=[(b"accept", b"text/plain; version=1; escaping=x")], body=b"")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"DELETE"]),
    path=target,
    headers=st.lists(st.tuples(st.one_of(known, token), value), max_size=8),
    body=st.binary(max_size=60),
)
async def test_no_bytes_make_a_5xx(
    running: Server, method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    lines = b"".join(name + b": " + text + b"\r\n" for name, text in headers)
    sent = method + b" " + path + b" HTTP/1.1\r\n" + lines + b"\r\n" + body
    # An announced body that does not come is waited for: no answer then.
    answer = await first_line(running.port, sent, patience_s=0.05)
    assert status_of(answer) < 500, answer
