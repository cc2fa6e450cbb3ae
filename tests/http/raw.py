"""HTTP as bytes on a socket: for what no client library would send."""

from __future__ import annotations

import asyncio


async def first_line(port: int, data: bytes, *, patience_s: float) -> bytes:
    """The first line that the server answers to `data`; empty when it closes, or still waits for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(patience_s):
            return await reader.readline()
    except (ConnectionError, TimeoutError):
        return b""
    finally:
        writer.close()


async def exchange(port: int, data: bytes, *, timeout_s: float = 5.0) -> bytes:
    """Everything that the server answers to `data`, until it closes. TimeoutError when it does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(timeout_s):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    """The status code of the first answer; 0 when there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
