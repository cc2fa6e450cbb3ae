"""A router whose routes read JSON strictly."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, AwareDatetime

from shared.http.problems import Problem, PublicValueError

NUL = "\x00"


def _within(at: datetime) -> datetime:
    if not 1900 <= at.year <= 9000:
        raise PublicValueError("should lie between the years 1900 and 9000")
    return at


# What a query may ask from and until: at the ends of the calendar no time can be added, and no zone is right.
Instant = Annotated[AwareDatetime, AfterValidator(_within)]


class Router(APIRouter):
    """APIRouter for our services: `\\ud800`, NaN and nesting without end are 400, as RFC 8259 and I-JSON have it; so is
    U+0000, which PostgreSQL cannot keep as text.

    FastAPI's own parser lets them through: such a character then fails only when it is stored, as a 500.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=_Route, **options)


class _Request(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


def read_json(body: bytes) -> Any:
    """The JSON of a body, read strictly. Raises ValueError, and Problem 400 where a text holds U+0000."""
    given = orjson.loads(body)
    if b"\\u0000" in body and _holds_nul(given):
        raise _nul()
    return given


def _holds_nul(given: Any) -> bool:
    if isinstance(given, str):
        return NUL in given
    if isinstance(given, dict):
        return any(NUL in name or _holds_nul(value) for name, value in given.items())
    return isinstance(given, list) and any(_holds_nul(each) for each in given)


def _nul() -> Problem:
    return Problem(400, "Not a text", "What was sent holds the character U+0000 (\\u0000 or %00), which no text may hold: leave it out.")


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            if b"%00" in request.scope["query_string"]:
                raise _nul()
            return await handle(_Request(request.scope, request.receive))

        return strictly
