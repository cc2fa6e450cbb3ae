"""Mapping files: any JSON becomes complaints by them, what is wrong in them is told with its place, and a draft is a good start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.adapters.mapping import TARGETS, MappingRefused
from services.intake.adapters.mapping_reader import load
from services.intake.drafting import draft
from services.intake.submissions import (
    ContactSubmission,
    Rejection,
    ReplySubmission,
    SetAside,
    StatusSubmission,
    Unreadable,
)
from tests.mapping.items import contacts, json, read

ITEM: dict[str, Any] = {
    "case": 17,
    "opened": "2026-03-01 10:00",
    "who": {"first": "Ada", "last": "Lovelace", "mail": ["ada@Example.org", "x"], "tel": "020 7946 0000"},
    "what": {"title": "Kettle", "body": "It leaks."},
    "via": "Phone call",
    "kind": "note",
}
MAPPING = """
system: acme
zone: Europe/London
rest: ignore
fields:
  record_id: case
  occurred_at: opened
  subject: what.title
  text: what.body
  customer:
    name: {cel: 'item.who.first + " " + item.who.last'}
    email: who.mail
    phone: {from: who.tel, region: GB}
  channel: {from: via, values: {phone call: voice}, else: unknown}
  category: {value: product_quality}
  custom.floor: {from: where.floor, default: 3}
"""


def test_any_json_by_paths_and_computed_values() -> None:
    (contact,) = contacts("mapped", json(ITEM), MAPPING)
    assert (contact.source.system, contact.source.record_id, contact.subject, contact.text) == ("acme", "17", "Kettle", "It leaks.")
    assert (contact.customer.name, contact.customer.emails) == ("Ada Lovelace", ("ada@example.org",))
    assert contact.customer.phones[0].e164 == "+442079460000"
    assert (contact.channel, contact.channel_raw, contact.category) == ("voice", "Phone call", "product_quality")
    assert (contact.occurred_at.isoformat(), contact.occurred_at_quality) == ("2026-03-01T10:00:00+00:00", "assumed_zone")
    assert contact.custom == {"floor": 3}


def test_a_list_within_the_body_and_lines() -> None:
    body = json({"page": 1, "data": {"cases": [ITEM, ITEM | {"case": 18}]}})
    assert [c.source.record_id for c in contacts("mapped", body, "items: data.cases\n" + MAPPING)] == ["17", "18"]
    assert len(contacts("mapped", json(ITEM) + b"\n" + json(ITEM) + b"\n", MAPPING)) == 2
    with pytest.raises(Unreadable, match="finds nothing"):
        read("mapped", json({}), "items: data.cases\n" + MAPPING)


def test_kinds_of_items() -> None:
    mapping = MAPPING + '  kind: {from: kind, values: {note: contact, answer: reply}}\n  status: {from: state, values: {done: resolved}}\n'
    contact, reply, status, other = read(
        "mapped", json([ITEM, ITEM | {"kind": "answer"}, {"case": 17, "state": "done"}, {"case": 17, "state": "weird"}]), mapping
    )
    assert isinstance(contact, ContactSubmission)
    assert isinstance(reply, ReplySubmission)
    assert isinstance(status, StatusSubmission)
    assert status.status == "resolved"
    assert isinstance(other, ContactSubmission | Rejection)


def test_what_is_set_aside_by_a_condition() -> None:
    mapping = "set_aside:\n  - {when: 'item.kind == \"note\"', reason: private note}\n" + MAPPING
    noted, kept = read("mapped", json([ITEM, ITEM | {"kind": "mail"}]), mapping)
    assert isinstance(noted, SetAside)
    assert noted.reason == "private note"
    assert isinstance(kept, ContactSubmission)


def test_a_value_that_does_not_fit_costs_the_value_not_the_complaint() -> None:
    odd = ITEM | {"who": "Ada", "opened": "soon", "via": ["x"], "what": {"title": {"en": "K"}, "body": ["It", "leaks."]}}
    (contact,) = contacts("mapped", json(odd), MAPPING)
    assert contact.text == "It\nleaks."
    assert "customer.name" in str(contact.custom["warnings"])
    assert "occurred_at" in str(contact.custom["warnings"])
    assert "Ada" not in str(contact.custom["warnings"]), "no content in warnings"


def test_what_is_no_item_of_the_mapping_is_rejected() -> None:
    (item,) = read("mapped", json({"other": 1}), MAPPING.replace("{value: product_quality}", "cat").replace(", default: 3", ""))
    assert isinstance(item, Rejection)


def test_html_becomes_text_and_mail_is_stripped() -> None:
    mapping = "fields: {record_id: id, html: body, channel: {value: email}}"
    body = json({"id": 1, "body": "<p>It leaks.</p><p>On Mon, 2 Mar 2026, Care wrote:</p><blockquote>Hello</blockquote><script>x</script>"})
    (contact,) = contacts("mapped", body, mapping)
    assert (contact.text, contact.text_status) == ("It leaks.", "stripped")
    assert contact.html is not None
    assert "script" not in contact.html


@pytest.mark.parametrize(
    ("mapping", "place", "words"),
    [
        ("fields:\n  record_id: id\n  txt: body\n", (3, 3), "did you mean 'text'"),
        ("fields:\n  record_id: id\n  customer.emial: m\n", (3, 3), "did you mean 'customer.email'"),
        ("fields:\n  record_id: id\n  channel: {value: telefone}\n", (3, 20), "no channel"),
        ("fields:\n  record_id: id\n  channel: {from: v, values: {Web: web_from}}\n", (3, 36), "did you mean 'web_form'"),
        ("fields:\n  record_id: id\n  text: {fromm: body}\n", (3, 10), "did you mean 'from'"),
        ("fields:\n  record_id: id\n  text: {cel: 'item.a +'}\n", (3, 23), "not CEL"),
        ("fields:\n  record_id: id\n  text: {cel: 'nope'}\n", (3, 16), "undeclared"),
        ("fields:\n  record_id: id\n  text: a..b\n", (3, 11), "not JMESPath"),
        ("fields:\n  record_id: id\n  occurred_at: {from: a, zone: Europe/Berln}\n", (3, 32), "did you mean 'Europe/Berlin'"),
        ("fields:\n  record_id: id\n  occurred_at: {from: a, format: dd/mm}\n", (3, 34), "no time format"),
        ("fields:\n  record_id: id\n  occurred_at: {from: a, format: '%d.%Q'}\n", (3, 34), "no time format"),
        ("fields:\n  record_id: id\n  occurred_at: {from: a, format: '%H:%H'}\n", (3, 34), "no time format"),
        ("fields:\n  record_id: id\n  text: {from: a, cel: b}\n", (3, 3), "exactly one"),
        ("fields:\n  record_id: id\nzon: x\n", (3, 1), "did you mean 'zone'"),
        ("fields:\n  record_id: id\nrest: drop\n", (3, 7), "custom, ignore, refuse"),
        ("fields: [a]\n", (1, 9), "mapping"),
        ("fields:\n  product: a\n", (1, 1), "neither"),
        ("fields:\n  record_id: id\n  email: no\n", (3, 10), "YAML readers disagree"),
        ("fields:\n  customer.email: a\n  customer: {emails: b}\n  text: x\n", (3, 14), "twice"),
        ("fields: {record_id: id\n", (2, 1), "not valid YAML"),
        ("", (1, 1), "empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(mapping: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(MappingRefused) as caught:
        load(mapping, "json")
    told = [(p.line, p.column, p.message) for p in caught.value.problems]
    assert any((line, column) == place and words in message for line, column, message in told), told


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(MappingRefused) as caught:
        load("zone: Nowhere\nfields:\n  txt: a\n  channel: {value: x}\n", "json")
    assert len(caught.value.problems) == 3
    assert caught.value.told("crm.yaml").startswith("crm.yaml:1:7: ")


def test_a_delivery_without_a_mapping_says_what_to_do() -> None:
    with pytest.raises(Unreadable, match="amends intake map new"):
        read("mapped", json(ITEM))


@pytest.mark.parametrize(
    ("name", "body", "channel"),
    [
        (
            "export.csv",
            "Case No;Opened;Customer name;E-mail;Description;Submitted via\n"
            "7;13.02.2026 10:00;Ada;ada@x.org;It leaks;Web\n8;03.02.2026 09:00;Bob;b@x.org;It is loud;Phone\n",
            "web_form",
        ),
        (
            "tickets.json",
            '{"page": 1, "tickets": [{"id": 7, "created_at": "2026-02-13T10:00:00Z", "requester": {"name": "Ada", "email": "ada@x.org"},'
            ' "description": "It leaks", "channel": "chat"}]}',
            "chat",
        ),
        (
            "lines.ndjson",
            '{"caseNumber": "7", "createdDate": 1770976800, "contactName": "Ada", "contact-email": "ada@x.org", "body": "It leaks",'
            ' "origin": "WhatsApp"}\n{"caseNumber": "8", "body": "x"}\n',
            "messaging",
        ),
    ],
)
def test_a_draft_reads_the_payload_that_it_was_drafted_from(name: str, body: str, channel: str) -> None:
    mapping = draft(name, body.encode())
    contact = contacts("csv" if name.endswith("csv") else "mapped", body, mapping)[0]
    assert (contact.source.record_id, contact.text, contact.channel) == ("7", "It leaks", channel), mapping
    assert (contact.customer.name, contact.customer.emails) == ("Ada", ("ada@x.org",)), mapping
    assert contact.occurred_at.isoformat() == "2026-02-13T10:00:00+00:00", mapping


def test_a_draft_says_where_day_and_month_cannot_be_told_apart() -> None:
    assert "or %m/%d/%Y" in draft("a.csv", b"id,date,text\n1,03/04/2026,It leaks\n")
    assert "or %" not in draft("a.csv", b"id,date,text\n1,13/04/2026,It leaks\n")


names = st.sampled_from(["id", "text", "created at", "First name", "e-mail", "a.b", "yes", "0", "ünï", '"', "#x", "{", "customer"])
values = st.text(max_size=20) | st.integers(-9, 10**12) | st.none() | st.booleans() | st.sampled_from(["2026-01-01", "web", "a@b.c"])
objects = st.dictionaries(names, values | st.dictionaries(names, values, max_size=3), min_size=1, max_size=6)


@given(st.lists(objects, min_size=1, max_size=4))
def test_a_draft_of_anything_can_be_loaded_or_maps_nothing(rows: list[dict[str, Any]]) -> None:
    body = json(rows)
    try:
        mapping = draft("x.json", body)
    except Unreadable:
        plain = [value for row in rows for value in row.values() if not isinstance(value, dict)]
        assert not any(str(value).strip() for value in plain if value is not None), "only what holds no value drafts nothing"
        return
    if "record_id:" in mapping or "  text:" in mapping or "subject:" in mapping:
        load(mapping, "json")
        read("mapped", body, mapping)


def test_the_examples_of_the_documentation_are_valid() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/mapping.md").read_text(encoding="utf-8")
    of_csv, of_json = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert load(of_csv, "csv").version == 3
    assert load(of_json, "json").items is not None
    assert {target.rpartition(".")[2].rstrip("s") for target in TARGETS} <= {
        word.rstrip("s") for word in re.findall(r"[a-z_]+", page.replace("email(s)", "emails").replace("phone(s)", "phones"))
    }, "every field is on the page"


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b'"x"', b"1", b"[1, 2]", b"<a/>", b"", b"\xff\xfe"])
def test_what_holds_no_payload_drafts_nothing(body: bytes) -> None:
    with pytest.raises(Unreadable):
        draft("x", body)
