from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2
import pytest
import uvloop
from starlette.types import ASGIApp

from shared.http.server import Server

Serve = Callable[[ASGIApp], AbstractAsyncContextManager[httpx2.AsyncClient]]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app` on a real server at a free port."""
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx2.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as client:
            yield client
    finally:
        await server.stop(1.0)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], uvloop.Loop]]:
    """The loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def serve() -> Serve:
    return serving
