"""A router whose routes read JSON strictly."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute


class Router(APIRouter):
    """APIRouter for our services: `\\ud800`, NaN and nesting without end are 400, as RFC 8259 and I-JSON have it.

    FastAPI's own parser lets them through: half a character then fails only when it is stored, as a 500.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=_Route, **options)


class _Request(Request):
    async def json(self) -> Any:
        return orjson.loads(await self.body())


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return strictly
