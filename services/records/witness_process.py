"""`amends records witness serve`: the witness behind HTTP, until a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from services.records import witness
from shared.http.server import Server
from shared.telemetry import logs


async def serve(found: witness.Witness, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Listen and answer until SIGTERM or Ctrl-C. Raises StartRefused when the address cannot be had."""
    logs.setup("witness", "info")
    server = Server(witness.app(found), host, port)
    await server.start()
    tell(f"witness {found.verifier.name} at {server.url}, key {found.verifier.vkey}")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(2.0)
