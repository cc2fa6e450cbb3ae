"""Bad requests to running services: the right status, one clear sentence, counted, nothing of the content told back."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import pytest

from deploy.local.stack import LocalStack
from shared.http.keys import mint
from shared.postgres import api_keys
from tests.faults.fleet import Fleet

CANARY = "zebra-7741"  # in every body; it must be in no answer
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@dataclass
class Site:
    """Running services and keys of several kinds."""

    fleet: Fleet
    keys: dict[str, str] = field(default_factory=dict)

    def post(
        self, service: str, path: str, content: Any, headers: dict[str, str], key: str = "good"
    ) -> httpx2.Response:
        if not isinstance(content, bytes) and not callable(content):
            content = json.dumps(content).encode()
        own = {"Authorization": f"Bearer {self.keys[key]}"} if key else {}
        body = content() if callable(content) else content
        return httpx2.post(self.fleet.url(service) + path, content=body, headers={**headers, **own}, timeout=15)

    def counted(self, service: str) -> dict[tuple[str, str], float]:
        """Requests answered so far, by route and status."""
        text = httpx2.get(f"{self.fleet.url(service)}/metrics", timeout=5).text
        lines = re.findall(r'amends_http_requests_total\{.*?route="(.*?)".*?status="(\d+)".*?\} (\S+)', text)
        return {(route, status): float(value) for route, status, value in lines}

    def complaint(self) -> str:
        """The id of a complaint that escalation knows."""
        body = {"event_id": str(uuid.uuid4()), "record_id": str(uuid.uuid4())}
        complaint_id: str = self.post("intake", "/v1/complaints", body, JSON).json()["items"][0]["complaint_id"]
        deadline = time.monotonic() + 15
        path, key = f"/v1/complaints/{complaint_id}/close", {"Idempotency-Key": "probe"}
        while self.post("escalation", path, {}, {**JSON, **key}).status_code == 404:  # 409: open, and no reason given
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return complaint_id


@pytest.fixture(scope="module")
def site(stack: LocalStack) -> Iterator[Site]:
    with Fleet(stack) as fleet:
        keys = asyncio.run(make_keys(fleet))
        fleet.start("intake-1", "escalation-1")
        fleet.await_ready()
        yield Site(fleet, keys)


async def make_keys(fleet: Fleet) -> dict[str, str]:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    wanted = {
        "expired": ({"intake:write", "cases:write"}, yesterday),
        "other": ({"ops"}, None),
        "second": ({"intake:write"}, None),
    }
    keys = {"good": fleet.key, "wrong": mint("x", ())[0], "odd": "hunter2"}
    for name, (scopes, expires_at) in wanted.items():
        keys[name], record = mint(name, scopes, expires_at)
        for service in ("intake", "escalation"):
            conn = await asyncpg.connect(fleet.dsn, server_settings={"search_path": service})
            await api_keys.add(conn, record)
            await conn.close()
    return keys


def item(**more: Any) -> dict[str, Any]:
    return {"event_id": str(uuid.uuid4()), "record_id": str(uuid.uuid4()), "text": CANARY, **more}


def cloud_event(**more: Any) -> dict[str, Any]:
    event = {"id": str(uuid.uuid4()), "source": "/crm", "type": "contact", "specversion": "1.0", "subject": "r-1"}
    return {name: value for name, value in {**event, "data": {"text": CANARY}, **more}.items() if value is not None}


def binary(**more: str | None) -> dict[str, str]:
    event = {
        "ce-id": str(uuid.uuid4()),
        "ce-source": "/crm",
        "ce-type": "contact",
        "ce-specversion": "1.0",
        "ce-subject": "r-1",
    }
    return {**JSON, **{name: value for name, value in {**event, **more}.items() if value is not None}}


def is_problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """It is a problem document with one sentence that tells nothing of what was sent."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert CANARY not in response.text
    assert CANARY not in str(response.headers)
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert len(problem["detail"]) < 300
    return problem


COMPLAINTS, EVENTS = "/v1/complaints", "/v1/cloudevents"
Content = Any
BAD: dict[str, tuple[int, str, Content, dict[str, str]]] = {
    "malformed": (400, COMPLAINTS, b'{"text": "zebra-7741"', JSON),
    "trailing": (400, COMPLAINTS, b'{"text": "zebra-7741"} x', JSON),
    "not a number": (400, COMPLAINTS, b'{"severity": NaN, "text": "zebra-7741"}', JSON),
    "half a surrogate": (400, COMPLAINTS, b'{"event_id": "\\ud800", "text": "zebra-7741"}', JSON),
    "too deep": (400, COMPLAINTS, b"[" * 100_000, JSON),
    "empty": (400, COMPLAINTS, b"", JSON),
    "latin-1": (400, COMPLAINTS, '{"text": "zebra-7741 café"}'.encode("latin-1"), JSON),
    "utf-16": (400, COMPLAINTS, json.dumps({"text": CANARY}).encode("utf-16"), JSON),
    "byte order mark": (400, COMPLAINTS, b"\xef\xbb\xbf{}", JSON),
    "not an object": (422, COMPLAINTS, '"zebra-7741"', JSON),
    "a number": (422, COMPLAINTS, b"7741", JSON),
    "nothing": (422, COMPLAINTS, [], JSON),
    "no event id": (422, COMPLAINTS, {"record_id": "r", "text": CANARY}, JSON),
    "no record id": (422, COMPLAINTS, {"event_id": "e", "text": CANARY}, JSON),
    "unknown field": (422, COMPLAINTS, {**item(), "zebra_7741_field": 1}, JSON),
    "unknown kind": (422, COMPLAINTS, item(kind=CANARY), JSON),
    "unknown category": (422, COMPLAINTS, item(category=CANARY), JSON),
    "unknown status": (422, COMPLAINTS, {"kind": "status", "event_id": "e", "record_id": "r", "status": CANARY}, JSON),
    "time without zone": (422, COMPLAINTS, item(occurred_at="2026-01-01T10:00:00"), JSON),
    "first moment": (422, COMPLAINTS, item(occurred_at="0001-01-01T00:00:00+14:00"), JSON),
    "last moment": (422, COMPLAINTS, item(occurred_at="9999-12-31T23:59:59-14:00"), JSON),
    "far in the future": (422, COMPLAINTS, item(occurred_at="9000-01-01T00:00:00Z"), JSON),
    "a key of its own": (422, COMPLAINTS, item(custom={CANARY: [1]}), JSON),
    "infinite": (400, COMPLAINTS, b'{"event_id":"e","record_id":"r","custom":{"zebra-7741":1e999}}', JSON),
    "control character in an id": (422, COMPLAINTS, item(event_id="a\x00zebra-7741"), JSON),
    "long id": (422, COMPLAINTS, item(event_id=CANARY * 100), JSON),
    "long text": (422, COMPLAINTS, item(text=CANARY * 20_000), JSON),
    "every item bad": (422, COMPLAINTS, [{"text": CANARY}, CANARY, None], JSON),
    "too many items": (413, COMPLAINTS, [item() for _ in range(1001)], JSON),
    "too large": (413, COMPLAINTS, b" " * 8_388_609, JSON),
    "too large in pieces": (413, COMPLAINTS, lambda: iter([CANARY.encode() * 100_000] * 10), JSON),
    "text/plain": (415, COMPLAINTS, item(), {"Content-Type": "text/plain"}),
    "a form": (415, COMPLAINTS, b"text=zebra-7741", {"Content-Type": "application/x-www-form-urlencoded"}),
    "no content type": (415, COMPLAINTS, item(), {}),
    "cloud event in the wrong place": (415, COMPLAINTS, cloud_event(), STRUCTURED),
    "a bad line": (400, COMPLAINTS, json.dumps(item()).encode() + b'\n{"text": "zebra-7741"\n', LINES),
    "no attributes": (415, EVENTS, item(), JSON),
    "binary, no id": (422, EVENTS, {"text": CANARY}, binary(**{"ce-id": None})),
    "binary, no type": (422, EVENTS, {"text": CANARY}, binary(**{"ce-type": None})),
    "binary, old version": (422, EVENTS, {"text": CANARY}, binary(**{"ce-specversion": "0.3"})),
    "binary, malformed": (400, EVENTS, b'{"text": "zebra-7741', binary()),
    "structured, no source": (422, EVENTS, cloud_event(source=None), STRUCTURED),
    "structured, no data": (422, EVENTS, cloud_event(data=None), STRUCTURED),
    "structured, malformed": (400, EVENTS, b'{"id": "zebra-7741', STRUCTURED),
    "structured, an array": (422, EVENTS, [cloud_event()], STRUCTURED),
    "batch, an object": (400, EVENTS, cloud_event(), BATCH),
    "batch, all bad": (422, EVENTS, [cloud_event(id=None), CANARY], BATCH),
    "batch, too many": (413, EVENTS, [cloud_event() for _ in range(1001)], BATCH),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_deliveries(site: Site, case: str) -> None:
    status, path, content, headers = BAD[case]
    before = site.counted("intake")
    is_problem(site.post("intake", path, content, headers), status)
    after = site.counted("intake")
    assert after[(path, str(status))] == before.get((path, str(status)), 0) + 1


@pytest.mark.parametrize(
    ("key", "status", "says"),
    [
        ("", 401, "needed"),
        ("wrong", 401, "not valid"),
        ("odd", 401, "look like"),
        ("expired", 401, "expired"),
        ("other", 403, "scope"),
    ],
)
@pytest.mark.parametrize("service", ["intake", "escalation"])
def test_who_may_not(site: Site, service: str, key: str, status: int, says: str) -> None:
    path = COMPLAINTS if service == "intake" else f"/v1/complaints/{uuid.uuid4()}/resolve"
    body = item() if service == "intake" else {"resolution": CANARY}
    response = site.post(service, path, body, JSON, key=key)
    assert says in is_problem(response, status)["detail"]
    assert response.headers["www-authenticate"].startswith("Bearer ")
    for secret in site.keys.values():
        assert secret not in response.text


def test_two_different_keys(site: Site) -> None:
    is_problem(site.post("intake", COMPLAINTS, item(), {**JSON, "X-API-Key": site.keys["second"]}), 401)


def test_the_same_message_again(site: Site) -> None:
    first, second = item(), item()
    told = site.post("intake", COMPLAINTS, first, JSON).json()["items"][0]
    again = site.post("intake", COMPLAINTS, dict(reversed(first.items())), JSON)  # the same content in another order
    assert again.status_code == 202
    assert again.json()["items"] == [{**told, "outcome": "duplicate"}]

    changed = {**first, "text": f"{CANARY} again"}
    assert "another content" in is_problem(site.post("intake", COMPLAINTS, changed, JSON), 409)["title"]

    mixed = site.post("intake", COMPLAINTS, [second, first, changed, {"text": CANARY}, second], JSON)
    assert mixed.status_code == 202
    assert CANARY not in mixed.text
    outcomes = [i["outcome"] for i in mixed.json()["items"]]
    assert outcomes == ["accepted", "duplicate", "conflict", "rejected", "duplicate"]
    assert [i["status"] for i in mixed.json()["items"]] == [202, 202, 409, 422, 202]

    # Another source may use the same ids for something else.
    other = site.post("intake", COMPLAINTS, changed, JSON, key="second").json()["items"][0]
    assert other["outcome"] == "accepted"
    assert other["complaint_id"] != told["complaint_id"]


def test_good_deliveries_of_every_kind(site: Site) -> None:
    """What the formats allow is accepted, also where it looks strange; and each of it has an outcome at the end."""
    strange = item(
        text="\x00 tab\tnew\r\nline \U0001f600 e\u0301", subject="\u202egpj.exe", customer={"name": "a\x00b", "emails": ["x"]},
        tags=["İ" * 32, "a\x00b"], custom={"a\x00": 10**30, "b": -0.0}, money_claimed={"amount": "1e3", "currency": "GBP"},
    )  # fmt: skip
    lines = b"\n".join([json.dumps(item()).encode(), b"", json.dumps(item()).encode(), b" "])
    for path, content, headers, count in [
        (COMPLAINTS, item(), {"Content-Type": "Application/JSON; charset=utf-8"}, 1),
        (COMPLAINTS, strange, JSON, 1),
        (COMPLAINTS, [item(), item()], JSON, 2),
        (COMPLAINTS, lines, LINES, 2),
        (EVENTS, {"text": CANARY}, binary(), 1),
        (EVENTS, cloud_event(), STRUCTURED, 1),
        (EVENTS, [cloud_event(), cloud_event()], BATCH, 2),
    ]:
        response = site.post("intake", path, content, headers)
        assert response.status_code == 202, response.text
        assert [i["outcome"] for i in response.json()["items"]] == ["accepted"] * count
    deadline = time.monotonic() + 15
    while (pending := asyncio.run(outcomes_of(site.fleet.dsn))).get(None):
        assert time.monotonic() < deadline, pending
        time.sleep(0.1)
    assert "dead_letter" not in pending


async def outcomes_of(dsn: str) -> dict[str | None, int]:
    conn = await asyncpg.connect(dsn)
    try:
        rows = await conn.fetch("select outcome, count(*) from intake.submission group by 1")
        return {row[0]: row[1] for row in rows}
    finally:
        await conn.close()


def test_commands(site: Site) -> None:
    complaint_id = site.complaint()
    resolve, close = (f"/v1/complaints/{complaint_id}/{verb}" for verb in ("resolve", "close"))

    def do(path: str, body: Any, key: str = "", **headers: str) -> httpx2.Response:
        named = {"Idempotency-Key": key} if key else {}
        return site.post("escalation", path, body, {**JSON, **named, **headers})

    before = site.counted("escalation")
    assert "reason" in is_problem(do(close, {}, "k0"), 409)["detail"]
    route = ("/v1/complaints/{complaint_id}/close", "409")
    assert site.counted("escalation")[route] == before.get(route, 0) + 1
    assert "255" in is_problem(do(resolve, {"resolution": CANARY}, "k" * 256), 400)["detail"]
    is_problem(do(resolve, {"resolution": CANARY, "zebra": CANARY}), 422)
    is_problem(do(resolve, {"resolution": CANARY * 1000}), 422)
    is_problem(do(resolve, {"reason": CANARY}), 422)
    is_problem(do(resolve, b'{"resolution": "zebra-7741'), 400)
    is_problem(do(resolve, b'{"resolution": "zebra-7741 \xe9"}'), 400)
    is_problem(do(resolve, b""), 422)
    is_problem(do(resolve, [CANARY]), 422)
    is_problem(do(resolve, b"x" * 1_048_577), 413)
    is_problem(do(f"/v1/complaints/{uuid.uuid4()}/resolve", {"resolution": CANARY}), 404)
    is_problem(do(f"/v1/complaints/{CANARY}/resolve", {"resolution": CANARY}), 422)
    is_problem(do(f"/v1/complaints/{complaint_id}/{CANARY}", {}), 404)

    done = do(resolve, {"resolution": CANARY}, "k1")
    assert done.status_code == 200
    again = do(resolve, {"resolution": CANARY}, "k1")
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (200, done.json(), "true")
    assert "used before" in is_problem(do(resolve, {"resolution": "Another"}, "k1"), 409)["detail"]
    assert "used before" in is_problem(do(close, {}, "k1"), 409)["detail"]
    assert "resolved" in is_problem(do(resolve, {"resolution": CANARY}, "k2"), 409)["detail"]
    assert do(close, {}, "k0").status_code == 200  # what was refused under a key may be tried again under it
    assert "closed" in is_problem(do(close, {"reason": CANARY}, "k3"), 409)["detail"]


def test_addresses_and_methods(site: Site) -> None:
    base = site.fleet.url("intake")
    is_problem(httpx2.get(f"{base}/{CANARY}"), 404)
    assert httpx2.get(f"{base}{COMPLAINTS}").headers["allow"] == "POST"
    is_problem(httpx2.get(f"{base}{COMPLAINTS}"), 405)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"zebra-7741\r\n\r\n", 400),
        (b"POST /v1/complaints HTTP/1.1\r\nHost: x\r\nContent-Length: zebra-7741\r\n\r\n", 400),
        (b"POST /v1/complaints HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzebra-7741\r\n", 400),
    ],
)
def test_what_is_not_http(site: Site, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", site.fleet.replicas["intake-1"].process.port), timeout=5) as sock:
        sock.sendall(sent)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in answer
    assert CANARY.encode() not in answer


def test_postgres_away(site: Site) -> None:
    """503 with Retry-After and nothing accepted; the same requests are accepted as soon as it is back."""
    complaint_id, sent = site.complaint(), item()
    command = {**JSON, "Idempotency-Key": "during"}
    postgres = site.fleet.stack.postgres
    requests: list[Callable[[], httpx2.Response]] = [
        lambda: site.post("intake", COMPLAINTS, sent, JSON),
        lambda: site.post("escalation", f"/v1/complaints/{complaint_id}/resolve", {"resolution": CANARY}, command),
    ]
    postgres.kill()
    try:
        for request in requests:
            started = time.monotonic()
            response = request()
            assert "again" in is_problem(response, 503)["detail"]
            assert int(response.headers["retry-after"]) > 0
            assert time.monotonic() - started < 30  # it ends: an answer within the time that a sender waits, also on a slow machine
        for service in ("intake", "escalation"):
            assert httpx2.get(f"{site.fleet.url(service)}/livez").status_code == 200
            ready = httpx2.get(f"{site.fleet.url(service)}/readyz")
            assert ready.status_code == 503
            assert "PostgreSQL" in ready.text
    finally:
        postgres.start()
    for request, status in zip(requests, (202, 200), strict=True):
        deadline = time.monotonic() + 10
        while (response := request()).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert response.status_code == status
    assert requests[0]().json()["items"][0]["outcome"] == "duplicate"
    assert site.fleet.ends == []
