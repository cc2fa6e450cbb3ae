"""A complaint is erased: nothing of it is left in any table of any service, every service confirms, the ledger verifies."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from deploy.cli import run
from shared.contracts.envelope import SERVICES
from tests.flow.conftest import Running
from tests.flow.test_flow import DECIDED, RECEIVED, UPDATE, has, item

CANARY = "Quetzalcoatl"


async def everything(dsn: str) -> dict[str, str]:
    """Every table of every service as text, but the outboxes, whose rows live for milliseconds."""
    conn = await asyncpg.connect(dsn)
    try:
        found = {}
        rows = await conn.fetch(
            "select table_schema || '.' || quote_ident(table_name) as name from information_schema.tables "
            "where table_schema = any($1::text[]) and table_name <> 'outbox'", list(SERVICES),
        )  # fmt: skip
        for row in rows:
            # convert_from fails on what is no text: escape shows it all the same
            lines = await conn.fetch(f"select row_to_json(t)::text as line from {row['name']} as t")
            raw = "\n".join(line["line"] for line in lines)
            found[row["name"]] = raw + _unhex(raw)
        return found
    finally:
        await conn.close()


def _unhex(text: str) -> str:
    parts = text.split('"\\\\x')[1:]
    return "\n".join(bytes.fromhex(part.partition('"')[0]).decode("latin-1") for part in parts)


def holders(running: Running) -> list[str]:
    return [name for name, text in asyncio.run(everything(running.dsn)).items() if CANARY.lower() in text.lower()]


def records(running: Running, path: str, body: dict[str, Any] | None = None) -> Any:
    url = f"{running.services['records'].url}/v1/complaints/{path}"
    return running.client.get(url) if body is None else running.client.post(url, json=body)


def complaint_of(running: Running, number: str) -> str:
    customer = {"name": f"Ann {CANARY}", "emails": [f"{CANARY}@example.com"], "ref": CANARY}
    words = item(number, text=f"I am {CANARY} and the kettle leaks.", subject=CANARY, customer=customer)
    (answer,) = running.send(words)
    running.timeline(answer["complaint_id"], has(RECEIVED, DECIDED, UPDATE))  # type: ignore[arg-type]
    return str(answer["complaint_id"])


def test_erased_everywhere_confirmed_and_still_proved(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    complaint = complaint_of(running, f"erase-{CANARY}")
    before = records(running, complaint).json()
    assert CANARY in str(before["timeline"])
    assert [reader["by"] for reader in before["readers"]] == ["shop-eu"]
    assert any(event["type"] == "amends.records.case_read.v1" for event in before["timeline"])

    assert records(running, f"{complaint}/hold", {"reason": "order 4 O 112/26"}).status_code == 200
    refused = records(running, f"{complaint}/erase", {"reason": "request DSR-114"})
    assert (refused.status_code, refused.json()["title"]) == (409, "On hold")
    assert "order 4 O 112/26" in refused.json()["detail"]
    assert records(running, f"{complaint}/hold/lift", {"reason": "order ended"}).status_code == 200

    key = running.client.headers["authorization"].removeprefix("Bearer ")
    url = ["--url", running.services["records"].url, "--key", key]
    assert run(["records", "erase", complaint, "--reason", "request DSR-114", *url]) == 0
    said = capsys.readouterr().out
    assert all(f"{service}: deleted" in said for service in ("intake", "escalation", "followup"))

    deadline = time.monotonic() + 15
    while holders(running) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert holders(running) == []

    after = records(running, complaint).json()
    assert CANARY not in str(after)
    assert after["erased_at"]
    assert {event["type"] for event in after["timeline"] if not event["erased"]} == {
        "amends.complaint.erased.v1", "amends.intake.erasure_confirmed.v1", "amends.escalation.erasure_confirmed.v1",
        "amends.followup.erasure_confirmed.v1",
    }  # fmt: skip
    assert run(["records", "erase", complaint, "--reason", "again", *url]) == 0  # a second time changes nothing

    monkeypatch.setenv("AMENDS_MASTER_KEY_FILE", str(running.folder / "master-keys"))
    assert run(["records", "verify", "--database-url", running.dsn]) == 0


def test_what_comes_about_an_erased_complaint_is_set_aside(running: Running) -> None:
    complaint = complaint_of(running, "erased-then")
    assert records(running, f"{complaint}/erase", {"reason": "request DSR-115"}).status_code == 200
    deadline = time.monotonic() + 20
    while records(running, f"{complaint}/erasure").json()["waiting"] and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send(item("erased-then", text=f"{CANARY} writes again") | {"event_id": "m-again"})
    events = running.timeline(complaint, has("amends.submission.set_aside.v1"))  # type: ignore[arg-type]
    assert CANARY not in str(events)
    assert running.command(complaint, "resolve", {"resolution": "x"}).status_code == 410
    assert [name for name in holders(running) if not name.startswith("intake.delivery")] == []


def test_a_key_that_may_only_read_cannot_erase(running: Running) -> None:
    complaint = complaint_of(running, "erase-scope")
    url = f"{running.services['records'].url}/v1/complaints/{complaint}/erase"
    answer = running.client.post(url, json={"reason": "request"}, headers={"authorization": "Bearer amends_x_y"})
    assert answer.status_code == 401
    assert records(running, f"{complaint}/erase", {"reason": ""}).status_code == 422
    unknown = records(running, "00000000-0000-4000-8000-000000000000/erase", {"reason": "request"})
    assert unknown.status_code == 404
