"""The generated documents: consistent in themselves, complete, and what is committed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from deploy.topics import _table
from shared.contracts import generate
from shared.contracts.asyncapi import HEADERS, asyncapi
from shared.contracts.codec import encode_headers
from shared.contracts.documents import flow_picture, flows_page
from shared.contracts.envelope import SERVICES
from shared.contracts.json_schema import json_schemas
from shared.contracts.policies import Activation, ReplicaStatus, VersionPublished
from shared.contracts.topics import EVENTS, FLOWS, RETENTION_MS, TABLES, Table, selected_by, topics_read_by
from tests.contracts import golden
from tests.contracts.test_codec import headers_of
from tests.contracts.test_golden import event_of

SCHEMAS = json_schemas()
_ABOUT = {"policy": "intake.retail", "version": 2, "digest": "sha256:ab", "service": "intake"}
_AT = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
# A record of each topic of policies, as it is written.
RECORDS: dict[str, Any] = {
    "policy.versions": VersionPublished(
        **_ABOUT, kind="IntakePolicy", text="kind: IntakePolicy", parts={"a.yaml": "labels: {}"}, by="anna", published_at=_AT
    ),
    "policy.activations": Activation(
        **_ABOUT, kind="IntakePolicy", seq=3, mode="canary", percent=10, effective_from=_AT, by=("anna", "ben"), reason="try it",
        decided_at=_AT, voids=(2,), override="agreed",
    ),
    "policy.status": ReplicaStatus(
        **_ABOUT, replica="host-7-ab", at=_AT, started_at=_AT, activation=3, packs=("reading.retail/1",),
        canaries=("intake.retail/2 10%",), known=3, fresh=True, loaded={"intake.retail/2": "sha256:ab"},
    ),
}  # fmt: skip
DOCUMENT: dict[str, Any] = YAML(typ="safe", pure=True).load(asyncapi())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str, root: Any = None) -> Any:
    assert reference.startswith("#/"), reference
    node = DOCUMENT if root is None else root
    for step in reference[2:].split("/"):
        node = node[step]
    return node


def message_of(reference: dict[str, str]) -> Any:
    """The message behind an operation's reference to a channel's message."""
    return resolve(resolve(reference["$ref"])["$ref"])


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 50
    for reference in found:
        assert isinstance(resolve(reference), dict)


def test_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    unused = [
        f"#/components/{kind}/{name}"
        for kind, parts in DOCUMENT["components"].items()
        for name in parts
        if f"#/components/{kind}/{name}" not in used
    ]
    assert unused == []


def test_there_is_a_channel_for_each_topic_with_its_events_and_its_retention() -> None:
    assert set(DOCUMENT["channels"]) == {each.topic for each in (*FLOWS, *TABLES)}
    for flow in FLOWS:
        channel = DOCUMENT["channels"][flow.topic]
        assert channel["address"] == "{prefix}" + flow.topic
        assert set(channel["parameters"]) == {"prefix"}
        assert set(channel["messages"]) == {event.TYPE for event in flow.events}
        assert channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == RETENTION_MS


def test_every_service_sends_and_receives_what_flows_say() -> None:
    sends: dict[str, set[str]] = {}
    reads: dict[str, set[str]] = {}
    for name, operation in DOCUMENT["operations"].items():
        service = name.split("-")[0]
        topic = resolve(operation["channel"]["$ref"])["title"]
        (sends if operation["action"] == "send" else reads).setdefault(service, set()).add(topic)
        kinds = selected_by(service).get(topic) if operation["action"] == "receive" else None
        of_channel = {f"#/channels/{topic}/messages/{kind}" for kind in kinds or DOCUMENT["channels"][topic]["messages"]}
        assert {message["$ref"] for message in operation["messages"]} == of_channel
    policies = {"policy.versions", "policy.activations"}
    assert reads == {service: {*topics_read_by(service), *policies} for service in SERVICES}
    assert sends == {
        service: {*(f.topic for f in FLOWS if f.producer in (service, "every service")), *policies, "policy.status"}
        for service in SERVICES
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.topic)
def test_a_topic_of_policies_is_described_as_it_is_written_and_created(table: Table) -> None:
    channel = DOCUMENT["channels"][table.topic]
    kafka = channel["bindings"]["kafka"]
    created = _table(table.topic, table, 1)
    assert kafka["partitions"] == created.num_partitions == 1
    for name, value in kafka["topicConfiguration"].items():
        assert created.topic_configs[name] == (",".join(value) if isinstance(value, list) else str(value))
    message = unfolded(DOCUMENT["components"]["messages"][table.topic], DOCUMENT)
    written = json.loads(RECORDS[table.topic].model_dump_json(exclude_none=True))
    assert jsonschema_rs.is_valid(message["payload"], written)
    for name in message["payload"]["required"]:
        assert not jsonschema_rs.is_valid(message["payload"], {k: v for k, v in written.items() if k != name})


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_message_pins_its_type_and_says_what_it_means(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    assert message["name"] == name
    assert message["headers"]["allOf"][1]["properties"]["ce_type"] == {"const": name}
    assert len(message["description"]) > 20
    assert "key" in message["bindings"]["kafka"]


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_payload_says_the_same_as_the_events_own_schema(name: str) -> None:
    own = json.loads(SCHEMAS[f"{name}.json"])
    payload = DOCUMENT["components"]["messages"][name]["payload"]
    assert unfolded(payload, DOCUMENT) == unfolded(
        {k: v for k, v in own.items() if k not in ("$schema", "$id", "$defs")}, own
    )


def unfolded(schema: Any, root: Any) -> Any:
    """The schema with its references replaced by what they lead to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return {**unfolded(resolve(schema["$ref"], root), root), **unfolded(rest, root)}
        return {key: unfolded(value, root) for key, value in schema.items()}
    return [unfolded(value, root) for value in schema] if isinstance(schema, list) else schema


def test_golden_events_fit_the_document_headers_and_payload() -> None:
    for one in golden.of_kind("today"):
        message = unfolded(DOCUMENT["components"]["messages"][one.type], DOCUMENT)
        headers = {name: value.decode() for name, value in one.record.headers}
        assert jsonschema_rs.is_valid(message["headers"], headers), one.name
        assert jsonschema_rs.is_valid(message["payload"], one.data), one.name
        assert not jsonschema_rs.is_valid(message["headers"], {**headers, "ce_type": "amends.other.v1"})


def test_the_headers_are_those_that_the_codec_writes() -> None:
    event = event_of(golden.every()[0])
    written = [name for name, _ in headers_of(event)]
    assert list(HEADERS["properties"]) == [*(name for name in written if name != "tracestate"), "tracestate"]
    assert set(HEADERS["required"]) == set(HEADERS["properties"]) - {"tracestate"}
    assert encode_headers.__kwdefaults__ == {"tracestate": ""}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_a_valid_one_of_its_dialect_with_a_meaning_and_open_objects(name: str) -> None:
    text = SCHEMAS[name]
    schema = json.loads(text)
    jsonschema_rs.Draft202012Validator(schema)
    jsonschema_rs.meta.validate(schema)
    assert schema["$id"] == f"urn:amends:schema:{name.removesuffix('.json')}"
    assert schema["description"]
    assert '"null"' not in text
    assert '"additionalProperties": false' not in text


def test_the_page_names_every_topic_event_and_schema_file() -> None:
    page = flows_page()
    for flow in FLOWS:
        assert f"## {flow.topic}" in page
    for name in EVENTS:
        link = f"../shared/contracts/schemas/{name}.json"
        assert f"[`{name}`]({link})" in page
        assert (generate.ROOT / "docs" / link).is_file()


def test_the_picture_shows_who_writes_to_whom() -> None:
    picture = flow_picture()
    for flow in FLOWS:
        if flow.readers:
            assert f"{flow.producer} -- {flow.topic} --> {' & '.join(flow.readers)}" in picture
    assert picture.startswith("```mermaid\n")
    assert picture.endswith("\n```")


def test_what_is_committed_is_fresh() -> None:
    stale = [str(path.relative_to(generate.ROOT)) for path in generate.stale(generate.ROOT)]
    assert stale == [], "run: python -m shared.contracts.generate"


def test_generating_writes_what_is_missing_removes_what_is_gone_and_then_rests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text(f"# A\n{generate.BEGIN}\nold\n{generate.END}\nB\n")
    gone = tmp_path / generate.SCHEMAS / "amends.gone.v1.json"
    gone.parent.mkdir(parents=True)
    gone.write_text("{}")
    assert generate.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().out
    assert "stale: docs/flows.md" in told
    assert "stale: README.md" in told
    assert "stale: shared/contracts/schemas/amends.gone.v1.json" in told
    assert gone.exists()
    assert generate.main([], tmp_path) == 0
    assert not gone.exists()
    assert (tmp_path / "README.md").read_text() == f"# A\n{generate.BEGIN}\n{flow_picture()}\n{generate.END}\nB\n"
    assert generate.main(["--check"], tmp_path) == 0
    (tmp_path / "docs/reference/asyncapi.yaml").write_text("edited by hand")
    assert generate.main(["--check"], tmp_path) == 1


def test_without_markers_a_readme_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A\n")
    assert generate.main([], tmp_path) == 0
    assert (tmp_path / "README.md").read_text() == "# A\n"
