"""The application of one service: FastAPI with our edge around it, and the addresses that every service answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import orjson
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from starlette.responses import Response

from shared.http import keys
from shared.http.edge import Edge, RawHandler, RawRoute
from shared.http.problems import CONTENT_TYPE, add_handlers
from shared.telemetry import metrics
from shared.telemetry.health import Progress, Report

MAX_BODY = 1_048_576  # bytes, where a route does not say otherwise
MAX_RUNNING = 1_000  # requests at the same time; more are told to come again


class Api(FastAPI):
    """FastAPI, plus `add_raw_route` for the routes that must be fast."""

    def __init__(self, *, raw: dict[tuple[str, str], RawRoute], **options: Any) -> None:
        super().__init__(**options)
        self._raw = raw

    def add_raw_route(
        self,
        path: str,
        handler: RawHandler,
        *,
        summary: str,
        operation: Mapping[str, Any],
        media_types: tuple[str, ...] = (),
        max_body: int | Callable[[str], int] = MAX_BODY,
        method: str = "POST",
        authenticated: bool = True,
        documented: bool = True,
    ) -> None:
        """Answer `method` `path` by `handler`, which gets the whole body as bytes and answers bytes.

        It skips FastAPI's layers, so it checks the API key itself (`Authenticator.check`). Other media types than
        `media_types` are 415, a body over `max_body` bytes is 413. `operation` is its OpenAPI operation object
        (requestBody, responses, ...); one that is not `documented` is not in the OpenAPI document. The path may end in
        `{name}`, and `max_body` depend on the path.
        """
        self._raw[(method, path)] = RawRoute(path, handler, max_body, media_types)
        if not documented:
            return

        async def shown(request: Request) -> Response:  # the edge answers before FastAPI is asked
            raise AssertionError(f"{method} {path} was not answered by the edge")

        extra = {**operation, **({"security": keys.SECURITY} if authenticated else {})}
        self.add_api_route(
            path, shown, methods=[method], summary=summary, openapi_extra=extra, response_model=None,
            operation_id=f"{method.lower()}{path.replace('/', '_').replace('{', '').replace('}', '')}",
            description=operation.get("description"),
        )  # fmt: skip

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the security schemes also when only raw routes use them."""
        document = super().openapi()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        for name, scheme in keys.SCHEMES.items():
            schemes.setdefault(name, scheme)
        return document


def make_app(
    title: str,
    *,
    service: str,
    progress: Progress,
    version: str | None = None,
    registry: CollectorRegistry = metrics.REGISTRY,
    max_body: int = MAX_BODY,
    max_running: int = MAX_RUNNING,
    description: str = "",
) -> Api:
    """An application that answers /livez, /readyz, /metrics and /openapi.json; add the service's routes to it.

    `version` is that of the installed project unless given. Bodies over `max_body` bytes are 413; beyond `max_running`
    requests at the same time the next is 503.
    """
    raw: dict[tuple[str, str], RawRoute] = {}
    app = Api(
        raw=raw,
        title=title,
        version=version or metadata.version("amends"),
        description=description,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        responses={"default": {"description": "A problem (RFC 9457).", "content": {CONTENT_TYPE: {"schema": PROBLEM}}}},
    )
    add_handlers(app)
    app.add_middleware(Edge, service=service, max_body=max_body, max_running=max_running, raw=raw)

    async def livez(_: Request) -> Response:
        return _health(progress.live())

    async def readyz(_: Request) -> Response:
        return _health(await progress.ready())

    async def show_metrics(request: Request) -> Response:
        # Not prometheus_client's own choice: it fails on a malformed Accept header.
        if "application/openmetrics-text" in request.headers.get("accept", ""):
            text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
            return Response(text, media_type=openmetrics.CONTENT_TYPE_LATEST)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    app.add_route("/livez", livez, include_in_schema=False)
    app.add_route("/readyz", readyz, include_in_schema=False)
    app.add_route("/metrics", show_metrics, include_in_schema=False)
    return app


PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}


def _health(report: Report) -> Response:
    return Response(orjson.dumps(report.body), 200 if report.ok else 503, media_type="application/json")
