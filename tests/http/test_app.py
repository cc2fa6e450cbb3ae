"""What every service answers: problems, limits, headers, health, metrics, traces. Through a real server."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import orjson
import pytest
from fastapi import Depends, Path, Query, Request, Response
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ConfigDict, field_validator

from shared.http.app import Api, make_app
from shared.http.edge import Answer, RawRequest
from shared.http.keys import Authenticator, KeyRecord, mint
from shared.http.problems import Problem, PublicValueError
from shared.http.router import Router
from shared.telemetry import metrics, tracing
from shared.telemetry.health import Progress
from tests.http.conftest import Serve

LIMIT = 10_000


class Customer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    email: str
    age: int = 0

    @field_validator("email")
    @classmethod
    def _looks_like_mail(cls, value: str) -> str:
        if "@" not in value:
            raise ValueError(f"{value} is not a mail address")
        if value.startswith("@"):
            raise PublicValueError("has nothing before the @")
        return value


class Order(BaseModel):
    customers: list[Customer]
    note: str = ""


def make(progress: Progress | None = None, **options: Any) -> Api:
    app = make_app("Test", service="httptest", version="1", progress=progress or Progress(), max_body=LIMIT, **options)
    router = Router(prefix="/v1")

    @router.post("/orders")
    async def orders(order: Order) -> dict[str, int]:
        return {"customers": len(order.customers)}

    @router.get("/orders/{number}")
    async def order(number: Annotated[int, Path()], limit: Annotated[int, Query(le=10)] = 5) -> dict[str, int]:
        return {"number": number, "limit": limit}

    @router.post("/read")
    async def read(request: Request) -> Response:
        return Response(str(len(await request.body())))

    @router.get("/broken")
    async def broken() -> None:
        raise ValueError("Ann Smith, ann@example.org")

    @router.get("/refused")
    async def refused() -> None:
        raise Problem(409, "Already there", "Send it under another id.", "https://example.org/p", items=[1])

    app.include_router(router)

    async def echo(request: RawRequest) -> Answer:
        return Answer(orjson.dumps({"read": len(request.body), "trace": request.carrier.traceparent}), 202)

    app.add_raw_route(
        "/v1/raw", echo, summary="Echo", operation={"requestBody": {"content": {"application/json": {}}}},
        media_types=("application/json",), max_body=LIMIT // 2,
    )  # fmt: skip
    return app


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"].endswith(".")
    assert "Traceback" not in response.text
    return document


async def test_a_wrong_field_is_named_with_the_reason_and_its_value_is_not_repeated(serve: Serve) -> None:
    cases: list[tuple[Any, str]] = [
        ({"customers": [{"email": "a@b", "age": "secret-canary"}]}, "customers[0].age: should be a valid integer"),
        ({"customers": [{"email": "secret-canary"}]}, "customers[0].email: is not valid"),
        ({"customers": [{"email": "@secret-canary"}]}, "customers[0].email: has nothing before the @"),
        ({"customers": [{"email": "a@b", "secret-canary": 1}]}, "customers[0].(key): is not known here"),
        ({"customers": [{"email": "a@b", "phone": 1}]}, "customers[0].phone: is not known here"),
        ({"note": "secret-canary"}, "customers: is missing"),
        ({"customers": "secret-canary"}, "customers: should be a list"),
        ("secret-canary", "body: should be an object"),
    ]
    async with serve(make()) as client:
        for body, expected in cases:
            response = await client.post("/v1/orders", json=body)
            problem = assert_problem(response, 422)
            assert problem["detail"].startswith(expected), problem
            assert "canary" not in response.text
        both = assert_problem(await client.post("/v1/orders", json={"customers": [{}, {"age": "x"}]}), 422)
        assert [e["field"] for e in both["errors"]] == ["customers[0].email", "customers[1].email", "customers[1].age"]
        assert "(2 more in errors)" in both["detail"]
        assert_problem(await client.get("/v1/orders/canary"), 422)
        query = assert_problem(await client.get("/v1/orders/1?limit=11"), 422)
        assert query["detail"].startswith("query limit: should be less than or equal to 10")


async def test_a_body_that_is_no_json_is_a_400(serve: Serve) -> None:
    headers = {"content-type": "application/json"}
    refused = (
        b'{"customers": ',
        b"\xff\xfe\x00",
        b"[" * 5_000,
        b'{"customers": [], "note": "\xed\xa0\x80"}',
        b'{"customers": [], "note": "\\ud800"}',
        b'{"customers": [{"email": "a@b", "age": NaN}]}',
    )
    async with serve(make()) as client:
        for body in refused:
            response = await client.post("/v1/orders", content=body, headers=headers)
            assert assert_problem(response, 400)["title"] == "Invalid JSON", body


async def test_u0000_is_refused_wherever_it_stands_and_what_only_looks_like_it_is_not(serve: Serve) -> None:
    headers = {"content-type": "application/json"}
    customer = '{"customers": [{"email": "%s"}]}'
    async with serve(make()) as client:
        for body in (customer % "a\\u0000@b", '{"customers": [], "a\\u0000": [[{"b": "\\u0000"}]]}'):
            assert "U+0000" in assert_problem(await client.post("/v1/orders", content=body, headers=headers), 400)["detail"]
        assert_problem(await client.get("/v1/orders/1?limit=%00"), 400)
        fine = await client.post("/v1/orders", content=customer % r"a\\u0000@b", headers=headers)
        assert fine.status_code < 300, fine.text


async def test_the_errors_of_http_are_problems_too(serve: Serve) -> None:
    async with serve(make()) as client:
        assert_problem(await client.get("/nothing-here"), 404)
        wrong_method = await client.delete("/v1/orders")
        assert "POST" in assert_problem(wrong_method, 405)["detail"]
        assert wrong_method.headers["allow"] == "POST"
        packed = await client.post("/v1/raw", content=b"\x1f\x8b", headers={"content-type": "application/json", "content-encoding": "gzip"})
        assert "Content-Encoding: gzip" in assert_problem(packed, 415)["detail"]
        wrong_type = await client.post("/v1/raw", content=b"x", headers={"content-type": "text/csv"})
        assert assert_problem(wrong_type, 415)["accepted"] == ["application/json"]
        refused = assert_problem(await client.get("/v1/refused"), 409)
        assert (refused["type"], refused["items"]) == ("https://example.org/p", [1])


async def test_a_defect_is_a_500_with_an_incident_and_nothing_else(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with serve(make()) as client:
            response = await client.get("/v1/broken")
    problem = assert_problem(response, 500)
    assert "Ann" not in response.text
    assert "ValueError" not in response.text
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert problem["incident"] in errors[0].getMessage()


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/read", "/v1/raw"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_body_over_the_limit_is_a_413_however_it_comes(serve: Serve, path: str, streamed: bool) -> None:
    async def chunks() -> Any:
        for _ in range(LIMIT // 100 + 1):
            yield b"[" + b" " * 99

    body: Any = chunks() if streamed else b" " * (LIMIT + 1)
    async with serve(make()) as client:
        response = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert "bytes" in assert_problem(response, 413)["detail"]
        at_limit = b" " * (LIMIT // 2)
        response = await client.post(path, content=at_limit, headers={"content-type": "application/json"})
        assert response.status_code != 413


async def test_a_large_body_is_refused_before_it_is_sent(serve: Serve) -> None:
    from tests.http.raw import first_line, status_of

    async with serve(make()) as client:
        head = b"POST /v1/raw HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n"
        port = client.base_url.port
        assert port is not None
        assert status_of(await first_line(port, head, patience_s=5.0)) == 413


async def test_every_answer_has_the_security_headers_once(serve: Serve) -> None:
    async with serve(make()) as client:
        for path in ("/v1/orders/1", "/nothing", "/v1/broken", "/v1/raw", "/livez", "/openapi.json"):
            response = await client.get(path)
            assert response.headers.get_list("x-content-type-options") == ["nosniff"], path
            assert response.headers.get_list("cache-control") == ["no-store"], path
            assert "server" not in response.headers


async def test_health_over_http(serve: Serve) -> None:
    now = 0.0
    progress = Progress(lambda: now)
    progress.expect("consumer", 10)
    async with serve(make(progress)) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "ok", "checks": {}}
        now = 11.0
        progress.halt("consumer", "too many dead letters")
        stalled = await client.get("/livez")
        assert stalled.status_code == 503
        assert stalled.json()["stalled"][0]["loop"] == "consumer"
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()["checks"]) == (503, {"halted": "consumer: too many dead letters"})


async def test_requests_are_counted_by_template_and_never_by_path(serve: Serve) -> None:
    def seen() -> float:
        labels = {"service": "httptest", "method": "GET", "route": "/v1/orders/{number}", "status": "200"}
        return metrics.REGISTRY.get_sample_value("amends_http_requests_total", labels) or 0.0

    before = seen()
    async with serve(make()) as client:
        for number in range(3):
            await client.get(f"/v1/orders/{number}")
        await client.get("/canary-path")
        await client.request("CANARY", "/v1/orders")
        await client.post("/v1/raw", content=b"{}", headers={"content-type": "application/json"})
        text = (await client.get("/metrics")).text
        asked = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert seen() == before + 3
    assert 'method="POST",route="/v1/raw",service="httptest",status="202"' in text
    assert "canary" not in text.lower()
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")


async def test_beyond_the_limit_of_running_requests_the_next_is_told_to_come_again(serve: Serve) -> None:
    import asyncio

    app = make(max_running=1)
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(_: RawRequest) -> Answer:
        entered.set()
        await release.wait()
        return Answer(b"{}")

    app.add_raw_route("/slow", slow, summary="Slow", operation={})
    async with serve(app) as client, asyncio.timeout(30):
        first = asyncio.create_task(client.post("/slow"))
        await entered.wait()
        refused = await client.get("/v1/orders/1")
        assert_problem(refused, 503)
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/livez")).status_code == 200
        release.set()
        assert (await first).status_code == 200
        assert (await client.get("/v1/orders/1")).status_code == 200


async def test_the_trace_of_the_caller_goes_on_and_the_span_has_the_template(serve: Serve) -> None:
    exporter = InMemorySpanExporter()
    tracing.setup("test", exporter=exporter)
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    json_type = {"content-type": "application/json"}
    try:
        async with serve(make()) as client:
            traced = await client.post("/v1/raw", content=b"{}", headers={"traceparent": parent, **json_type})
            await client.get("/v1/orders/7?limit=3&token=canary", headers={"traceparent": parent})
            await client.get("/v1/broken", headers={"traceparent": parent})
            await client.get("/livez", headers={"traceparent": parent})
            unsampled = await client.post(
                "/v1/raw", content=b"{}", headers={"traceparent": parent[:-1] + "0", **json_type}
            )
            await client.post("/v1/raw", content=b"{}", headers={"traceparent": "canary", **json_type})
        spans = exporter.get_finished_spans()
        exemplars = metrics.REGISTRY.collect()
    finally:
        tracing.shutdown(1)
    raw, template, broken, root = spans
    assert traced.json()["trace"] == f"00-{'a' * 32}-{raw.context.span_id:016x}-01"
    assert raw.name == "POST /v1/raw"
    assert template.name == "GET /v1/orders/{number}"
    assert {f"{span.context.trace_id:032x}" for span in (raw, template, broken)} == {"a" * 32}
    assert dict(broken.attributes or {}) == {
        "http.request.method": "GET", "url.scheme": "http", "http.route": "/v1/broken",
        "http.response.status_code": 500, "error.type": "ValueError",
    }  # fmt: skip
    assert unsampled.json()["trace"].startswith(f"00-{'a' * 32}-")
    assert unsampled.json()["trace"].endswith("-00")
    assert root.parent is None
    text = "".join(span.to_json() for span in spans)
    assert "canary" not in text
    assert "Ann" not in text
    assert any(s.exemplar for m in exemplars for s in m.samples if s.name.startswith("amends_http_request_duration"))


async def test_fastapis_own_telemetry_is_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    assert not app._native_telemetry.enabled()


async def test_the_raw_route_and_the_problems_are_in_openapi(serve: Serve) -> None:
    async with serve(make()) as client:
        document = (await client.get("/openapi.json")).json()
        assert (await client.get("/docs")).status_code == 404
    operation = document["paths"]["/v1/raw"]["post"]
    assert operation["summary"] == "Echo"
    assert operation["security"] == [{"bearer": []}, {"apiKey": []}]
    assert operation["requestBody"]["content"] == {"application/json": {}}
    assert "application/problem+json" in operation["responses"]["default"]["content"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    assert "/metrics" not in document["paths"]


async def test_a_key_guards_a_route_as_a_dependency_and_by_hand(serve: Serve) -> None:
    key, record = mint("zendesk", ["cases:read"])

    async def load() -> list[KeyRecord]:
        return [record]

    keys = Authenticator(load)
    app = make()

    allowed = Depends(keys.require("cases:read"))

    @app.get("/guarded")
    async def guarded(caller: KeyRecord = allowed) -> dict[str, str]:
        return {"caller": caller.name}

    @app.get("/by-hand")
    async def by_hand(request: Request) -> dict[str, str]:
        return {"caller": (await keys.check(request.headers, "cases:write")).name}

    async with serve(app) as client:
        assert_problem(await client.get("/guarded"), 401)
        answered = await client.get("/guarded", headers={"authorization": f"Bearer {key}"})
        assert answered.json() == {"caller": "zendesk"}
        assert (await client.get("/guarded", headers={"x-api-key": key})).status_code == 200
        lacking = await client.get("/by-hand", headers={"x-api-key": key})
        assert assert_problem(lacking, 403)["scope"] == "cases:write"
        assert lacking.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="cases:write"'
        document = (await client.get("/openapi.json")).json()
    assert {"bearer": []} in document["paths"]["/guarded"]["get"]["security"]
