"""How long a rollback takes: until every replica has confirmed that the older version is in force there.

Three processes of escalation on real Kafka and PostgreSQL. A round puts a version in force everywhere and then rolls it back,
first with the steps that the command takes, then some with the command itself, its start included.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from shared.config import KafkaSettings
from shared.contracts.policies import Activation, VersionPublished
from shared.policy.distribution import actions, topics
from shared.policy.distribution.actions import Request
from shared.policy.distribution.records import Records
from shared.policy.distribution.replicas import await_replicas
from shared.policy.document import load_policy
from tests.bench.bed import ROOT, tell
from tests.harness.cluster import Cluster, fresh_database

SERVICE, FILE = "escalation", "escalation.retail.yaml"
REPLICAS, ROUNDS, COMMANDS = 3, 10, 3
CONFIRM_S = 60.0
COMMAND = "from deploy.cli import main; main()"


async def rollback(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Seconds until all replicas have confirmed, of each round, and of the whole command."""
    tell(f"rollback: {REPLICAS} processes of escalation, {ROUNDS} rounds, then {COMMANDS} with the command")
    prefix = f"rollback-{time.time_ns()}-"
    kafka = KafkaSettings.model_construct(bootstrap=cluster.kafka_bootstrap, topic_prefix=prefix)
    with fresh_database(cluster) as dsn:
        deployment = Deployment(dsn, cluster.kafka_bootstrap, new_id_key(), own_master_keys(folder), prefix)
        await deployment.prepare()
        environment = deployment.environment()
        replicas = [
            ServiceProcess(SERVICE, environment=environment, folder=folder, name=f"rollback-{number}")
            for number in range(REPLICAS)
        ]
        command = {
            **environment, "AMENDS_API_KEY": await deployment.add_key("bench"), "AMENDS_ESCALATION_URL": replicas[0].url,
            "AMENDS_DATA_DIR": str(folder / "none"),
        }  # fmt: skip
        try:
            for each in replicas:
                await asyncio.to_thread(each.start)
            for each in replicas:
                await asyncio.to_thread(each.await_ready)
            version = await _publish(kafka)
            confirmed = []
            for _ in range(ROUNDS):
                await _activate(kafka, version)
                began = time.monotonic()
                await _write(kafka, version, "roll back")
                confirmed.append(time.monotonic() - began)
            whole = []
            for _ in range(COMMANDS):
                await _activate(kafka, version)
                began = time.monotonic()
                await asyncio.to_thread(_run, version.policy, command)
                whole.append(time.monotonic() - began)
        finally:
            for each in replicas:
                await asyncio.to_thread(each.stop)
    return {"replicas": REPLICAS, "confirmed": _seconds(confirmed), "command": _seconds(whole)}


def _run(policy: str, environment: dict[str, str]) -> None:
    arguments = [sys.executable, "-c", COMMAND, "policy", "rollback", policy, "--reason", "bench"]
    subprocess.run(arguments, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _seconds(took: list[float]) -> dict[str, float]:
    return {"rounds": len(took), "median_s": round(statistics.median(took), 2), "worst_s": round(max(took), 2)}


async def _publish(kafka: KafkaSettings) -> VersionPublished:
    text = (files("services.escalation") / "policy" / FILE).read_text(encoding="utf-8")
    number = load_policy(text, origin=FILE).version
    text = text.replace(f"\n  version: {number}\n", f"\n  version: {number + 1}\n", 1)
    policy = load_policy(text, origin=FILE)
    await topics.write(kafka, SERVICE, lambda held: actions.publish(held, policy, text, "bench", datetime.now(UTC)))
    return actions.published(await topics.read_all(kafka), policy.id, policy.version)


async def _activate(kafka: KafkaSettings, version: VersionPublished) -> None:
    await _write(kafka, version, "activate")


async def _write(kafka: KafkaSettings, version: VersionPublished, what: str) -> None:
    """Write it, and wait until every replica decides by it. Raises RuntimeError."""

    def decide(held: Records) -> list[Activation]:
        now = datetime.now(UTC)
        if what == "activate":
            return actions.activate(held, version, 1, Request("bench", what, now, in_the_past=True), now)
        return actions.roll_back(held, version, None, Request("bench", what), now)

    written = (await topics.write(kafka, SERVICE, decide))[-1]
    assert isinstance(written, Activation)
    seq, number = written.seq, written.version
    behind = await await_replicas(
        kafka, SERVICE, lambda each: each.known >= seq and each.version == number, CONFIRM_S
    )
    if behind.waiting or behind.confirmed != REPLICAS:
        raise RuntimeError(f"{what} was confirmed by {behind.confirmed} of {REPLICAS} replicas in {CONFIRM_S:.0f} s")
