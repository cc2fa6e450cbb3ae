"""Inside a version the events change additively only; and the check that says so is itself checked."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.contracts.topics import EVENTS
from tests.contracts import release
from tests.contracts.compatibility import problems

TODAY = release.today()
RECEIVED = json.loads(TODAY["amends.complaint.received.v1.json"])
DECISION = json.loads(TODAY["amends.escalation.decision_made.v1.json"])
Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize("name", sorted(name for name in release.read() if name != release.TOPICS))
def test_todays_events_are_compatible_with_the_released_ones(name: str) -> None:
    found = release.breaking({name: release.read()[name]}, TODAY)
    assert found == [], "a breaking change needs a new version of the event: see tests/contracts/release.py"


def test_released_events_stay_on_their_topics() -> None:
    assert release.breaking({release.TOPICS: release.read()[release.TOPICS]}, TODAY) == []


def test_every_event_type_is_released() -> None:
    missing = {f"{name}.json" for name in EVENTS} - set(release.read())
    assert missing == set(), "run: python -m tests.contracts.release"


def changed(schema: dict[str, Any], change: Change) -> dict[str, Any]:
    after = copy.deepcopy(schema)
    change(after)
    return after


def contact(schema: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"]["Contact"]["properties"]  # type: ignore[no-any-return]


def part(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return schema["$defs"][name]  # type: ignore[no-any-return]


def close(schema: dict[str, Any]) -> None:
    schema["additionalProperties"] = False


def rename(schema: dict[str, Any], name: str, other: str) -> None:
    schema["$defs"][other] = schema["$defs"].pop(name)
    schema["properties"]["contact"] = {"$ref": f"#/$defs/{other}"}


BREAKING: dict[str, tuple[Change, str]] = {
    "a field removed": (lambda s: contact(s).pop("text"), ".contact.text: removed"),
    "a part's field removed": (lambda s: part(s, "Money")["properties"].pop("currency"), ".currency: removed"),
    "a field renamed": (lambda s: contact(s).update(words=contact(s).pop("text")), ".contact.text: removed"),
    "another type": (lambda s: contact(s)["severity"].update(type="string"), ".contact.severity"),
    "a wider type": (lambda s: contact(s)["severity"].update(type="number"), ".contact.severity: type"),
    "null admitted": (lambda s: contact(s).update(text={"anyOf": [{"type": "string"}, {"type": "null"}]}), ".contact.text"),
    "a list for one": (lambda s: contact(s).update(product={"type": "array", "items": {"type": "string"}}), ".contact.product"),
    "another type of the items": (lambda s: contact(s)["tags"].update(items={"type": "integer"}), ".contact.tags[]"),
    "a new required field": (lambda s: (contact(s).update(mood={}), part(s, "Contact")["required"].append("mood")), "mood: new"),
    "a field required now": (lambda s: part(s, "Contact")["required"].append("subject"), ".contact.subject: is required now"),
    "no longer required": (lambda s: part(s, "Contact")["required"].remove("occurred_at"), "no longer required"),
    "an enumeration's value removed": (lambda s: contact(s)["channel"]["enum"].remove("fax"), "'fax' removed"),
    "a value added to a closed one": (lambda s: contact(s)["text_status"]["enum"].append("sung"), "'sung' added"),
    "a value of a list added": (lambda s: part(s, "Customer")["properties"]["support_needs"]["items"]["enum"].append("x"), "[]: value 'x'"),
    "an enumeration closed": (lambda s: contact(s)["channel"].pop("x-unknown-reads-as"), "x-unknown-reads-as"),
    "an enumeration no more": (lambda s: contact(s)["text_status"].pop("enum"), ".contact.text_status"),
    "text made an enumeration": (lambda s: contact(s)["product"].update(enum=["a"]), ".contact.product"),
    "a shorter limit": (lambda s: contact(s)["text"].update(maxLength=50_000), ".contact.text: maxLength"),
    "a longer limit": (lambda s: contact(s)["text"].update(maxLength=200_000), ".contact.text: maxLength"),
    "a higher minimum": (lambda s: contact(s)["severity"].update(minimum=2), ".contact.severity: minimum"),
    "a lower minimum": (lambda s: contact(s)["severity"].update(minimum=0), ".contact.severity: minimum"),
    "more items": (lambda s: contact(s)["tags"].update(maxItems=500), ".contact.tags: maxItems"),
    "another pattern": (lambda s: part(s, "Money")["properties"]["currency"].update(pattern="^[A-Z]{4}$"), "pattern"),
    "a pattern gone": (lambda s: part(s, "Money")["properties"]["currency"].pop("pattern"), "pattern"),
    "another format": (lambda s: contact(s)["occurred_at"].update(format="date"), "format"),
    "a format gone": (lambda s: part(s, "Raw")["properties"]["delivery_id"].pop("format"), "format"),
    "another default": (lambda s: contact(s)["severity"].update(default=3), ".contact.severity: default"),
    "the object closed": (lambda s: close(part(s, "Contact")), ".contact: additionalProperties"),
    "other values of a mapping": (lambda s: contact(s)["custom"].update(additionalProperties={"type": "string"}), ".contact.custom.*"),
    "one more kind of value": (lambda s: contact(s)["custom"]["additionalProperties"]["anyOf"].append({"type": "object"}), ".custom.*"),
    "items that must differ": (lambda s: contact(s)["tags"].update(uniqueItems=True), ".contact.tags: uniqueItems"),
}  # fmt: skip
ADDITIVE: dict[str, Change] = {
    "nothing": lambda s: None,
    "an optional field": lambda s: s["properties"].update(mood={"type": "string", "default": "calm"}),
    "an optional field of a part": lambda s: part(s, "Customer")["properties"].update(pronouns={"type": "string"}),
    "an optional part": lambda s: (s["$defs"].update(Mood={"type": "object"}), contact(s).update(mood={"$ref": "#/$defs/Mood"})),
    "a value of an open enumeration": lambda s: contact(s)["channel"]["enum"].insert(3, "hologram"),
    "other words": lambda s: s.update(title="X", description="Said better."),
    "the order of fields": lambda s: s["$defs"]["Contact"].update(properties=dict(reversed(contact(s).items()))),
    "the order of values": lambda s: contact(s)["text_status"]["enum"].reverse(),
    "a definition renamed": lambda s: rename(s, "Contact", "Message"),
    "a definition inlined": lambda s: contact(s).update(source=s["$defs"]["Source"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BREAKING)
def test_the_check_finds_what_breaks_and_says_where(kind: str) -> None:
    change, told = BREAKING[kind]
    found = problems(RECEIVED, changed(RECEIVED, change))
    assert found, kind
    assert told in "\n".join(found)


@pytest.mark.parametrize("kind", ADDITIVE)
def test_the_check_admits_what_is_additive(kind: str) -> None:
    assert problems(RECEIVED, changed(RECEIVED, ADDITIVE[kind])) == []


def test_a_new_field_of_a_closed_object_breaks_those_who_rely_on_its_being_closed() -> None:
    closed = changed(DECISION, close)
    assert problems(closed, changed(closed, lambda s: s["properties"].update(mood={"type": "string"})))


def test_several_changes_are_all_named() -> None:
    after = changed(RECEIVED, lambda s: (contact(s).pop("text"), contact(s)["severity"].update(maximum=9)))
    assert len(problems(RECEIVED, after)) == 2


def test_a_type_that_is_gone_or_moved_is_breaking() -> None:
    now = TODAY
    topics = json.loads(now[release.TOPICS])
    topics["amends.complaint.received.v1"]["topic"] = "elsewhere"
    moved = {**now, release.TOPICS: json.dumps(topics)}
    assert len(release.breaking(now, moved)) == 1
    without = {name: text for name, text in now.items() if "check_in_due" not in name}
    assert release.breaking(now, without) == ["amends.followup.check_in_due.v1: the event type is gone"]


def test_a_release_refuses_a_breaking_change_and_writes_nothing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "FOLDER", tmp_path / "released")
    assert release.main(["--check"]) == 0
    assert not release.FOLDER.exists()
    assert release.main([]) == 0
    assert release.read() == TODAY
    name = "amends.complaint.received.v1.json"
    before = json.dumps(changed(RECEIVED, lambda s: contact(s).update(gone={"type": "string"})))
    (release.FOLDER / name).write_text(before)
    assert release.main([]) == 1
    assert "amends.complaint.received.v1.contact.gone: removed" in capsys.readouterr().err
    assert (release.FOLDER / name).read_text() == before
