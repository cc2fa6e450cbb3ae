"""The JSON Schema takes every shipped document, and refuses what has another form."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from shared.policy import yaml_source
from shared.policy.editor import document_schema
from tests.policy.test_defaults import DOCUMENTS, FOLDER

READ = sorted([*FOLDER.glob("*/policy/*.retail.yaml"), *FOLDER.glob("*/policy/*/**/*.yaml")])
VALIDATOR = jsonschema_rs.validator_for(document_schema())


def plain(index: int) -> dict[str, Any]:
    found: dict[str, Any] = yaml_source.parse(DOCUMENTS[index].read_text(encoding="utf-8")).plain()
    return found


@pytest.mark.parametrize("index", range(len(DOCUMENTS)), ids=[path.stem for path in DOCUMENTS])
def test_shipped_documents_fit(index: int) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(plain(index))] == []


@pytest.mark.parametrize("path", READ, ids=lambda path: path.name)
def test_rules_and_their_lexicons_fit(path: Path) -> None:
    document = yaml_source.parse(path.read_text(encoding="utf-8")).plain()
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("drafts.retail", lambda d: d["spec"]["overlap"].update(impacts=0.3)),
        ("drafts.retail", lambda d: d["spec"].pop("lexicons")),
        ("drafts.retail", lambda d: d["spec"]["jargon"].update(known="EUR")),
        ("drafts.retail", lambda d: d.update(kind="DraftRule")),
        ("reading.retail", lambda d: d["spec"].pop("categories")),
        ("reading.retail", lambda d: d["spec"].update(rules=[])),
        ("fr", lambda d: d["labels"].update(blame=["a", "list"])),
        ("fr", lambda d: d.update(lable={})),
    ],
)
def test_rules_of_another_form_are_refused(name: str, change: Any) -> None:
    document = yaml_source.parse(next(p for p in READ if p.stem == name).read_text(encoding="utf-8")).plain()
    assert VALIDATOR.is_valid(document)
    change(document)
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["spec"]["rules"][0]["then"].update(teir=2),
        lambda d: d["spec"]["default"].pop("tier"),
        lambda d: d["spec"]["default"].update(tier=0),
        lambda d: d["spec"]["default"].update(acknowledge_within="soon"),
        lambda d: d["spec"].update(facts="intake-facts/1"),
        lambda d: d["spec"]["aggregate"].update(remedy_authority="MAX"),
        lambda d: d.update(kind="FollowUpPolicy"),
        lambda d: d["spec"].update(calendar={"zon": "UTC"}),
    ],
)
def test_another_form_is_refused(change: Any) -> None:
    document = copy.deepcopy(next(d for d in map(plain, range(len(DOCUMENTS))) if d["kind"] == "EscalationPolicy"))
    assert VALIDATOR.is_valid(document)
    change(document)
    assert not VALIDATOR.is_valid(document)
