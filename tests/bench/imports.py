"""A CSV file end to end: `amends intake import` against intake, until each row is a complaint in Kafka."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import psutil

from services.intake import sources
from tests.bench.bed import ROOT, Bed, bed, tell
from tests.bench.cost import Machine
from tests.bench.samples import Samples
from tests.harness.cluster import Cluster

SOURCE = "bench-csv"
MAPPING = """
system: bench
zone: Europe/London
fields:
  record_id: Case
  occurred_at: {from: Opened, format: "%d/%m/%Y %H:%M"}
  text: Complaint
  customer.name: Name
  customer.email: E-mail
  customer.phone: {from: Phone, region: GB}
  channel: {from: Via, values: {Web: web_form, Call: voice}, else: unknown}
"""
HEADER = ("Case", "Opened", "Complaint", "Name", "E-mail", "Phone", "Via", "Branch")
LEFT = "select count(*) from submission where outcome is null"
UNSENT = "select count(*) from outbox"
GIVE_UP_S = 1_800


async def imports(cluster: Cluster, folder: Path, *, rows: int, wrapper: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds and rates of one import of `rows` rows, about 0.3 KB each."""
    file = folder / "complaints.csv"
    _write(file, rows)
    async with bed(cluster, folder) as made:
        conn = await made.connect("intake")
        await sources.add(conn, SOURCE, "csv", "shared-secret", {"mapping": MAPPING})
        intake = made.start("intake", wrapper=wrapper)
        await made.ready("intake")
        meter, machine, began = made.meter(), Machine(), time.monotonic()
        tell(f"csv: importing {rows:,} rows")
        counts = await _import(made, file)
        stored_s = time.monotonic() - began
        while await conn.fetchval(LEFT) or await conn.fetchval(UNSENT):
            made.check("intake")
            if time.monotonic() - began > GIVE_UP_S:
                raise RuntimeError(f"{await conn.fetchval(LEFT)} rows are not normalized after {GIVE_UP_S} s")
            await asyncio.sleep(0.2)
        whole_s = time.monotonic() - began
        complaints = await conn.fetchval("select count(*) from submission where outcome = 'complaint'")
        await conn.close()
        cpu = meter.read()
        rss_mb = round(psutil.Process(intake.pid).memory_info().rss / 1e6)
        await made.stop()
        return {
            "rows": rows,
            "complaints": complaints,
            "counts": counts,
            "file_mb": round(file.stat().st_size / 1e6, 1),
            "stored_rows_s": round(rows / stored_s, 1),
            "rows_s": round(rows / whole_s, 1),
            "seconds": round(whole_s, 1),
            "cpu_us": {name: round(seconds / rows * 1e6, 1) for name, seconds in cpu.items()},
            "rss_mb": rss_mb,
            "machine": machine.read(sum(cpu.values())),
        }


async def _import(made: Bed, file: Path) -> dict[str, int]:
    command = ["-m", "deploy.cli", "intake", "import", str(file), "--source", SOURCE, "--json"]
    command += ["--url", f"http://127.0.0.1:{made.ports['intake']}", "--key", made.key]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=made.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the import ended with status {process.returncode}: {err.decode().strip()[-500:]}")
    counts: dict[str, int] = json.loads(out)["counts"]
    return counts


def _write(file: Path, rows: int) -> None:
    samples = Samples("csv")
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(HEADER)
        for number in range(rows):
            item = orjson.loads(samples.item(number))
            writer.writerow(
                (
                    f"C-{number}", f"{number % 28 + 1:02}/02/2026 09:{number % 60:02}", item["text"], f"Customer {number}",
                    f"c{number}@example.org", f"07700 {number % 1_000_000:06}", ("Web", "Call", "Letter")[number % 3], number % 50,
                )
            )  # fmt: skip
