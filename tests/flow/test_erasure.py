"""A complaint is erased: nothing of it is left in any table of any service, in any topic for longer than six days, or in any
export; every service confirms, the ledger verifies."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pyarrow import parquet
from pypdf import PdfReader

from deploy.cli import run
from shared.contracts.envelope import SERVICES
from shared.contracts.topics import RETENTION_MS
from tests.flow import topics
from tests.flow.conftest import Running
from tests.flow.test_flow import CHANGED, DECIDED, RECEIVED, UPDATE, has, item

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


def complaint_of(running: Running, number: str, name: str = CANARY) -> str:
    customer = {"name": f"Ann {name}", "emails": [f"{name}@example.com"], "ref": name}
    words = item(number, text=f"I am {name} and the kettle leaks.", subject=name, customer=customer)
    (answer,) = running.send(words)
    running.timeline(answer["complaint_id"], has(RECEIVED, DECIDED, UPDATE))  # type: ignore[arg-type]
    return str(answer["complaint_id"])


def in_topics(running: Running, name: str = CANARY) -> dict[str, set[str]]:
    """Where in each topic the name is: `key`, `value`, `headers`."""
    found: dict[str, set[str]] = {}
    names = topics.names(running.kafka, running.prefix)
    assert len(names) == 8, names
    records = topics.everything(running.kafka, names)
    assert records
    for record in records:
        parts = {"key": record.key or b"", "value": record.value or b"", "headers": b"".join(h[0].encode() + h[1] for h in record.headers)}
        for part, data in parts.items():
            if name.lower().encode() in data.lower():
                found.setdefault(record.topic.removeprefix(running.prefix), set()).add(part)
    return found


def exports(running: Running, complaint: str, folder: Path, url: list[str]) -> dict[str, str]:
    """Everything that commands write about a complaint or about all, as text by what it is."""
    database = ["--database-url", running.dsn]
    folder.mkdir()
    assert run(["records", "export", complaint, "-o", str(folder / "bundle"), *url, *database]) == 0
    assert run(["records", "export-log", str(folder / "log"), *database]) == 0
    assert run(["records", "search", "--csv", str(folder / "all.csv"), *url]) == 0
    assert run(["records", "search", "--parquet", str(folder / "all.parquet"), *url]) == 0
    for name in ("access.json", "access.txt"):
        assert run(["records", "access", complaint, "--reason", "DSR-101", "-o", str(folder / name), *url]) in (0, 1)
    policy = "services/escalation/policy/escalation.retail.yaml"
    decisions = running.client.get(f"{running.services['records'].url}/v1/decisions?service=escalation").json()["decisions"]
    (folder / "facts.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in decisions))
    assert run(["policy", "export-recorded", policy, "--recorded", str(folder / "facts.jsonl"), "-o", str(folder / "facts.parquet")]) == 0
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.suffix == ".parquet":
            text = str(parquet.read_table(file).to_pylist())
        elif file.suffix == ".pdf":
            text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(file.read_bytes())).pages)
        else:
            text = file.read_bytes().decode("latin-1")
        found[file.relative_to(folder).as_posix()] = text
    assert len(found) > 12, found.keys()
    return found


def test_kafka_forgets_whatever_may_hold_a_customers_words_within_six_days(running: Running) -> None:
    other = "Axolotl"  # not erased: its rows stay
    complaint_of(running, "topics", other)
    holds = in_topics(running, other)
    assert holds["complaints"] == {"value"}, "words are in values alone, never in keys or headers"
    assert all(parts == {"value"} for parts in holds.values()), holds
    for name, found in topics.settings(running.kafka, topics.names(running.kafka, running.prefix)).items():
        logical = name.removeprefix(running.prefix)
        if logical.startswith("policy."):  # kept for ever, and by whom: documents and figures
            assert logical not in holds
            continue
        assert found["cleanup.policy"] == "delete", name
        assert 0 < int(found["retention.ms"]) <= RETENTION_MS == 6 * 86_400_000, name
        assert int(found["segment.ms"]) < RETENTION_MS, name
        assert found["message.timestamp.type"] == "LogAppendTime", "no sender can make it stay longer"


def test_erased_everywhere_confirmed_and_still_proved(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    complaint = complaint_of(running, f"erase-{CANARY}")
    assert running.command(complaint, "resolve", {"resolution": f"I rang {CANARY}"}).status_code == 200
    running.timeline(complaint, has(RECEIVED, DECIDED, UPDATE, CHANGED))  # type: ignore[arg-type]
    monkeypatch.setenv("AMENDS_MASTER_KEY_FILE", str(running.folder / "master-keys"))
    key = running.client.headers["authorization"].removeprefix("Bearer ")
    url = ["--url", running.services["records"].url, "--key", key]
    found_by_search(running)
    written = exports(running, complaint, tmp_path / "before", url)
    held = {name for name, text in written.items() if CANARY.lower() in text.lower()}
    assert {"all.csv", "all.parquet", "access.json", "access.txt", "bundle/case.html", "bundle/case.pdf", "bundle/events.json"} <= held
    assert not [name for name in held if name.startswith(("log/", "facts"))], "the public log and the facts hold nobody's words"
    before = records(running, complaint).json()
    assert CANARY in str(before["timeline"])
    assert [reader["by"] for reader in before["readers"]] == ["shop-eu"]
    assert any(event["type"] == "amends.records.case_read.v1" for event in before["timeline"])

    assert records(running, f"{complaint}/hold", {"reason": "order 4 O 112/26"}).status_code == 200
    refused = records(running, f"{complaint}/erase", {"reason": "request DSR-114"})
    assert (refused.status_code, refused.json()["title"]) == (409, "On hold")
    assert "order 4 O 112/26" in refused.json()["detail"]
    assert records(running, f"{complaint}/hold/lift", {"reason": "order ended"}).status_code == 200

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
    assert after["status"] == "erased"
    assert {event["type"] for event in after["timeline"] if not event["erased"]} == {
        "amends.complaint.erased.v1", "amends.intake.erasure_confirmed.v1", "amends.escalation.erasure_confirmed.v1",
        "amends.followup.erasure_confirmed.v1",
    }  # fmt: skip
    assert run(["records", "erase", complaint, "--reason", "again", *url]) == 0  # a second time changes nothing

    written = exports(running, complaint, tmp_path / "after", url)
    assert [name for name, text in written.items() if CANARY.lower() in text.lower()] == []
    assert running.client.post(f"{running.services['records'].url}/v1/search", json={"text": CANARY}).json()["complaints"] == []
    assert all(parts == {"value"} for parts in in_topics(running).values()), "what Kafka still holds, it forgets by itself (above)"
    logs = [file for file in running.folder.rglob("*") if file.is_file() and CANARY.lower().encode() in file.read_bytes().lower()]
    assert logs == [], "no process has ever logged it"

    assert run(["records", "verify", "--database-url", running.dsn]) == 0


def found_by_search(running: Running) -> None:
    """The index follows the ledger by a moment."""
    deadline = time.monotonic() + 20
    url = f"{running.services['records'].url}/v1/search"
    while not running.client.post(url, json={"text": f'"I rang {CANARY}"'}).json()["complaints"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
