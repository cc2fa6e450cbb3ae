"""From publish to rollback with the `amends` commands, two replicas of escalation, and complaints on their way."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest

from deploy import cli
from deploy.local.services import Deployment, ServiceProcess, new_id_key, own_master_keys
from shared.policy.distribution import commands
from shared.policy.distribution.line import in_share
from shared.policy.document import load_policy
from tests.harness.cluster import Cluster, fresh_database

PACKAGED = (files("services.escalation") / "policy" / "escalation.retail.yaml").read_text()
POLICY = load_policy(PACKAGED, origin="packaged")
DECIDED = "amends.escalation.decision_made.v1"


@dataclass(frozen=True)
class Stack:
    services: dict[str, ServiceProcess]
    client: httpx2.Client
    folder: Path
    other_key: str
    dsn: str

    def send(self, name: str, text: str = "My parcel never came") -> str:
        body = {"event_id": f"e-{name}", "record_id": name, "text": text, "category": "delivery"}
        answer = self.client.post(f"{self.services['intake'].url}/v1/complaints", json=[body])
        assert answer.status_code == 202, answer.text
        complaint: str = answer.json()["items"][0]["complaint_id"]
        return complaint

    def timeline(self, complaint: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"{self.services['records'].url}/v1/complaints/{complaint}")
        found: list[dict[str, Any]] = answer.json()["timeline"] if answer.status_code == 200 else []
        return found

    def reading(self, complaint: str) -> dict[str, Any]:
        """What intake read in its first contact, once it is recorded."""
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            for event in self.timeline(complaint):
                if event["type"] == "amends.complaint.received.v1":
                    found: dict[str, Any] = event["data"]["contact"]["reading"]
                    return found
            time.sleep(0.1)
        raise AssertionError("nothing was recorded")

    def decision(self, complaint: str) -> dict[str, Any]:
        """What the first decision about it cites, once it is recorded."""
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            for event in self.timeline(complaint):
                if event["type"] == DECIDED:
                    cited: dict[str, Any] = event["data"]["policy"]
                    return cited
            time.sleep(0.1)
        raise AssertionError("no decision was recorded")


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("lifecycle")
    prefix = f"life-{time.time_ns()}-"
    with fresh_database(cluster) as dsn:
        deployment = Deployment(dsn, cluster.kafka_bootstrap, new_id_key(), own_master_keys(folder), prefix)
        asyncio.run(deployment.prepare())
        key, other_key = asyncio.run(deployment.add_key("anna")), asyncio.run(deployment.add_key("ben"))
        environment = deployment.environment()
        named = [
            ("intake", "intake"), ("intake-2", "intake"), ("escalation", "escalation"), ("escalation-2", "escalation"),
            ("records", "records"),
        ]  # fmt: skip
        of_records = {"AMENDS_DATABASE_URL": asyncio.run(deployment.records_url())}
        services = {
            name: ServiceProcess(
                service, environment=environment | (of_records if service == "records" else {}), folder=folder, name=name
            )
            for name, service in named
        }
        settings = {
            "AMENDS_DATA_DIR": str(folder / "none"),
            "AMENDS_API_KEY": key,
            "AMENDS_KAFKA_BOOTSTRAP": cluster.kafka_bootstrap,
            "AMENDS_KAFKA_TOPIC_PREFIX": prefix,
            "AMENDS_INTAKE_URL": services["intake"].url,
            "AMENDS_ESCALATION_URL": services["escalation"].url,
            "AMENDS_RECORDS_URL": services["records"].url,
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            for service in services.values():
                service.start()
            for service in services.values():
                service.await_ready()
            with httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=15) as client:
                yield Stack(services, client, folder, other_key, dsn)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
            for service in services.values():
                service.stop()


Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, Any]:
        """A policy command with --json: its exit code and what it answered; without an answer, what it said."""
        capsys.readouterr()
        code = cli.run(["policy", *arguments, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else said.err

    return call


def running(run: Run, what: str, service: str = "escalation") -> list[Any]:
    """What `policy status` tells of each replica of a service."""
    return [replica[what] for replica in run("status")[1]["replicas"] if replica["service"] == service]


def document(folder: Path, version: int, text: str = PACKAGED) -> str:
    """The packaged document as a later version of itself."""
    file = folder / f"v{version}.yaml"
    file.write_text(text.replace(f"\n  version: {POLICY.version}\n", f"\n  version: {version}\n"))
    return str(file)


def test_every_service_follows_the_topics_and_keeps_what_they_hold(stack: Stack, run: Run) -> None:
    due = {"intake": ("intake.retail", ["reading.retail/1"]), "escalation": (POLICY.id, []), "records": ("records.retail", [])}
    _until(lambda: {r["service"]: (r["policy"], r["packs"]) for r in run("status")[1]["replicas"]} == due)
    _until(lambda: all(r["activation"] > 0 for r in run("status")[1]["replicas"]))
    status = run("status")[1]
    assert status["ok"]
    assert [r["service"] for r in status["replicas"]] == ["escalation", "escalation", "intake", "intake", "records"]
    assert all(r["rejected"] == [] for r in status["replicas"])

    async def kept(service: str) -> set[str]:
        conn = await asyncpg.connect(stack.dsn)
        try:
            return {row["key"] for row in await conn.fetch(f'select key from "{service}".policy_record')}
        finally:
            await conn.close()

    wanted = {"intake": "reading.retail/1", "escalation": f"{POLICY.id}/{POLICY.version}", "records": "records.retail/1"}
    _until(lambda: all(key in asyncio.run(kept(service)) for service, key in wanted.items()))


def test_publish_shadow_activate_explain_roll_back_replay(stack: Stack, run: Run) -> None:
    first, second = POLICY.version, POLICY.version + 1
    assert stack.decision(stack.send("before"))["version"] == first

    code, answer = run("publish", document(stack.folder, second))
    assert (code, answer["published"], answer["by"]) == (0, True, "anna")
    assert run("publish", document(stack.folder, second))[1]["published"] is False, "the same again is no error"
    changed = PACKAGED.replace("reason: ", "reason: Not ", 1)
    code, said = run("publish", document(stack.folder, second, changed))
    assert code == 1
    assert "published with another content" in said
    code, answer = run("publish", document(stack.folder, second + 1, PACKAGED.replace("complaint.severity", "complaint.severty", 1)))
    assert (code, answer["published"]) == (1, False)
    assert "severity" in answer["errors"][0]["message"]

    assert run("activate", "escalation.retail", str(second), "--reason", "a look", "--shadow", "--for", "1h")[0] == 0
    _until(lambda: all(second in row["shadow"] for row in run("list")[1]["policies"] if row["policy"] == POLICY.id))
    time.sleep(0.5)  # the shadow reaches the replicas; it changes nothing that could be waited for
    assert stack.decision(stack.send("shadowed"))["version"] == first
    _until(lambda: sum(s["decisions"] for s in run("status")[1]["shadows"]) >= 1)
    assert run("show", POLICY.id)[1]["shadows"][0]["different"] == 0

    code, said = run("activate", POLICY.id, str(second), "--reason", "x", "--at", "2026-01-01T00:00:00+00:00")
    assert code == 1
    assert "--in-the-past" in said
    soon = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    code, answer = run("activate", POLICY.id, str(second), "--reason", "better", "--at", soon, "--in-the-past")
    assert (code, answer["activations"][0]["by"]) == (0, ["anna"])
    seq = answer["activations"][0]["seq"]
    _until(lambda: running(run, "activation") == [seq, seq])
    complaint = stack.send("after")
    cited = stack.decision(complaint)
    assert (cited["version"], cited["activation"]) == (second, seq)
    code, answer = run("explain", complaint)
    explained = {decision["service"]: decision for decision in reversed(answer["decisions"])}
    assert explained["intake"]["policy"] == "intake.retail"
    assert explained["escalation"]["version"] == second
    assert explained["escalation"]["inputs"] == cited["inputs"]

    code, answer = run("rollback", POLICY.id, "--reason", "not better")
    assert (code, answer["confirmed"], answer["not_confirmed"]) == (0, 2, [])
    assert seq in answer["activations"][0]["voids"]
    assert stack.decision(stack.send("back"))["version"] == first

    code, answer = run("replay")
    assert (code, answer["different"]) == (0, 0)
    assert answer["same"] >= 4


def test_a_broken_guardrail_stops_an_activation_unless_somebody_says_why(stack: Stack, run: Run) -> None:
    stack.decision(stack.send("guarded"))
    number = POLICY.version + 5
    head, _, rest = PACKAGED.replace(" 50 GBP", " 60 GBP").partition("\n  guardrails:")
    after = "\n".join(line for line in rest.splitlines()[1:] if not line.startswith("    "))
    text = f"{head}\n  guardrails: {{window: 30d, limits: {{changed_share: +0pp}}}}\n{after}\n"
    assert run("publish", document(stack.folder, number, text))[0] == 0
    activate = ["activate", POLICY.id, str(number), "--reason", "sooner", "--at", "2099-01-01T00:00:00+00:00"]
    code, said = run(*activate)
    assert code == 1
    assert "guardrail changed_share: +100" in said.replace("100.0", "100")
    assert "--override WHY" in said
    code, answer = run(*activate, "--override", "agreed with the desk")
    assert (code, answer["activations"][0]["override"]) == (0, "agreed with the desk")
    assert run("show", POLICY.id)[1]["activations"][-1]["state"] == "scheduled"
    assert run("rollback", POLICY.id, "--to", str(POLICY.version), "--reason", "not yet")[0] == 0


def test_a_pack_is_switched_on_by_two_people_and_off_again(stack: Stack, run: Run) -> None:
    text = (files("shared.policy") / "packs" / "uk-fca-disp.yaml").read_text()
    file = stack.folder / "disp.yaml"
    file.write_text(text.rstrip() + "\n  rollout: {approvers: 2}\n" if "rollout:" not in text else text)
    assert run("publish", str(file))[0] == 0
    soon = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    on = ["activate", "uk-fca-disp", "1", "--reason", "we are a bank now", "--at", soon, "--in-the-past"]
    code, answer = run(*on)
    assert (code, answer["activations"][0]["mode"]) == (0, "proposed")
    code, said = run(*on)
    assert code == 1
    assert "needs a second person: anna proposed it" in said
    code, answer = run(*on, "--key", stack.other_key)
    assert (code, answer["activations"][0]["by"]) == (0, ["anna", "ben"])

    _until(lambda: running(run, "packs") == [["uk-fca-disp/1"]] * 2)
    complaint = stack.send("regulated")
    stack.decision(complaint)
    code, answer = run("explain", complaint)
    assert [each["policy"] for each in answer["decisions"]] == ["intake.retail", POLICY.id, "uk-fca-disp"]
    regime = answer["decisions"][2]
    assert (regime["version"], regime["outcome"]["clocks"]["disp_final_response"]) == (1, "56d")
    answer = run("replay", "--policy", "uk-fca-disp")[1]  # it counts for all complaints: earlier ones got its clocks, too
    assert (answer["same"] >= 1, answer["different"]) == (True, 0)
    tried = run("backtest", str(file), "--since", "1h")[1]
    assert (tried["decisions"] >= 1, tried["changed"]) == (True, 0)
    other = str(files("shared.policy") / "packs" / "us-cfpb.yaml")
    assert run("backtest", other, "--since", "1h")[1]["decisions"] == 0, "what another pack decided is none of its business"
    code, answer = run("rollback", "uk-fca-disp", "--reason", "we are not")
    assert (code, answer["activations"][0]["mode"], answer["confirmed"]) == (0, "ended", 2)
    assert running(run, "packs") == [[], []]
    complaint = stack.send("not-regulated")
    stack.decision(complaint)
    assert "uk-fca-disp" not in json.dumps(stack.timeline(complaint))
    assert run("replay")[1]["different"] == 0


def test_a_canary_decides_about_its_share_on_every_replica(stack: Stack, run: Run) -> None:
    number = POLICY.version + 20
    assert run("publish", document(stack.folder, number))[0] == 0
    soon = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    canary = ["activate", POLICY.id, str(number), "--reason", "x", "--canary", "--at", soon, "--in-the-past"]
    assert run(*canary)[1]["activations"][0]["percent"] == POLICY.document.spec.rollout.canary_percent  # type: ignore[union-attr]
    assert run(*canary, "--percent", "50")[0] == 0
    _until(lambda: running(run, "canaries") == [[f"{POLICY.id}/{number} 50%"]] * 2)
    assert all(running(run, "as_activated"))
    sent = [stack.send(f"canary-{n}") for n in range(12)]
    for complaint in sent:
        inside = in_share(f"{POLICY.id}/{number}", 50, UUID(complaint))
        assert stack.decision(complaint)["version"] == (number if inside else POLICY.version)
    code, answer = run("rollback", POLICY.id, "--reason", "too early")
    assert (code, answer["confirmed"], answer["activations"][0]["mode"]) == (0, 2, "ended")
    assert running(run, "canaries") == [[], []]
    assert run("replay")[1]["different"] == 0


def test_reading_rules_are_changed_without_a_restart(stack: Stack, run: Run) -> None:
    folder = stack.folder / "reading"
    shutil.copytree(str(files("services.intake") / "policy"), folder)
    file = folder / "reading.retail.yaml"
    changed = file.read_text().replace("\n  version: 1\n", "\n  version: 900\n")
    file.write_text(changed.replace("    en: [", "    en: [house.yaml, "))
    (folder / "house.yaml").write_text("labels:\n  threat.press: the zorbling gazette\n")
    text = "My parcel never came, and I write to the Zorbling Gazette"
    before = stack.reading(stack.send("read-before", text))
    assert (before["rules"], before["threats"]) == ("reading.retail/1", [])

    (folder / "house.yaml").write_text("lables: {}\n")
    code, answer = run("publish", str(file))
    assert (code, answer["published"], answer["errors"][0]["file"], answer["errors"][0]["line"]) == (1, False, "house.yaml", 1)
    (folder / "house.yaml").write_text("labels:\n  threat.press: the zorbling gazette\n")
    assert run("validate", str(file)) == (0, {"valid": True, "errors": [], "warnings": []})
    code, answer = run("publish", str(file))
    assert (code, answer["published"], answer["service"]) == (0, True, "intake")
    assert run("show", "reading.retail", "--version", "900")[1]["parts"]["house.yaml"].startswith("labels:")
    assert run("activate", "reading.retail", "900", "--reason", "x", "--shadow")[0] == 2
    soon = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    code, answer = run("activate", "reading.retail", "900", "--reason", "our local paper", "--at", soon, "--in-the-past")
    assert code == 0, answer
    seq = answer["activations"][0]["seq"]
    _until(lambda: running(run, "packs", "intake") == [["reading.retail/900"]] * 2)
    assert all(running(run, "as_activated", "intake"))
    after = stack.reading(stack.send("read-after", text))
    assert (after["rules"], after["rules_activation"], after["threats"]) == ("reading.retail/900", seq, ["press"])
    assert after["severity_by"]["rules"] == ["INT-040"]

    code, answer = run("rollback", "reading.retail", "--reason", "not that paper")
    assert (code, answer["confirmed"], answer["activations"][0]["voids"]) == (0, 2, [seq])
    back = stack.reading(stack.send("read-again", text))
    assert (back["rules"], back["threats"]) == ("reading.retail/1", [])
    assert run("replay")[1]["different"] == 0


def test_a_replica_that_was_frozen_over_a_rollback_does_not_decide_by_what_is_void(
    stack: Stack, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = POLICY.version + 10
    assert run("publish", document(stack.folder, number))[0] == 0
    soon = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    code, answer = run("activate", POLICY.id, str(number), "--reason", "x", "--at", soon, "--in-the-past")
    assert code == 0, answer
    seq = answer["activations"][0]["seq"]
    _until(lambda: running(run, "activation") == [seq, seq])
    frozen = stack.services["escalation-2"].child
    frozen.freeze()
    monkeypatch.setattr(commands, "WAIT_S", 3.0)  # it is not going to confirm
    try:
        sent = [stack.send(f"frozen-{n}") for n in range(4)]
        code, said = run("rollback", POLICY.id, "--reason", "bad")
        assert (code, len(said["not_confirmed"])) == (1, 1)
        sent += [stack.send(f"rolled-back-{n}") for n in range(4)]
    finally:
        frozen.thaw()
    sent += [stack.send(f"thawed-{n}") for n in range(4)]
    decided = [stack.decision(complaint) for complaint in sent]
    assert {cited["version"] for cited in decided[4:]} == {POLICY.version}
    assert all(cited["version"] == POLICY.version or cited["activation"] == seq for cited in decided)
    assert run("replay")[0] == 0


def _until(condition: Callable[[], bool], within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.2)
