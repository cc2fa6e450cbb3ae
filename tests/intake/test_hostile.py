"""Hostile payloads: any value in any place, depth, numbers, names, entities. Read or unreadable, in bounded time, never an error."""

from __future__ import annotations

import contextlib
import copy
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake import trying
from services.intake.adapters import ADAPTERS
from services.intake.submissions import Delivery, Rejection, Unreadable
from shared.contracts.codec import write_data
from tests.intake.hook_bed import EVENTS
from tests.intake.test_payloads import Case, cases

JSON_CASES = [case for case in cases() if case.body[:1] in (b"{", b"[") and case.about != "Not JSON"]
FORM_CASES = [case for case in cases() if case.adapter == "twilio" and case.body[:1] not in (b"{", b"[")]
NASTY: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    -(2**63),
    1e308,
    5e-324,
    0.1,
    "",
    " ",
    "\x00",
    "\ud7ff\ue000",
    "a" * 300,
    "é" * 300,
    "\u0958" * 200,
    "٣" * 9,
    "2026-13-45T99:99:99Z",
    "0000-01-01",
    "9999-12-31T23:59:59+14:00",
    "-99999999999999",
    "1" * 400,
    "NaN",
    "https://" + "x" * 3000,
    "@",
    "+",
    "tel:",
    "whatsapp:",
    "a@b",
    "<",
    "<p>",
    "&#0;",
    "zen:ticket:",
    [],
    [[]],
    [None],
    [1, "a", {}],
    {},
    {"id": {}},
    {"": ""},
    {"name": None},
    {"a": [{"b": [{}]}]},
    ["x"] * 300,
    {str(n): n for n in range(300)},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        found += places(held, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(value)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = new
    return changed


def judged(adapter: str, body: bytes, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """As `amends intake try` does, with what it finds in a form that may be stored and sent."""
    results = trying.judge(adapter, trying.delivery_of(adapter, body, headers or {}, {}))
    for result in results:
        orjson.dumps(result)
        assert "\x00" not in str(result)
    return results


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(JSON_CASES), seed=st.integers(0, 2**32), changes=st.integers(1, 4))
def test_any_value_in_any_place(case: Case, seed: int, changes: int) -> None:
    pick = random.Random(seed)
    value = orjson.loads(case.body)
    for _ in range(changes):
        value = put(value, pick.choice(places(value)), copy.deepcopy(pick.choice(NASTY)))
    judged(case.adapter, orjson.dumps(value), case.headers)


@settings(max_examples=100, deadline=None)
@given(case=st.sampled_from(FORM_CASES), seed=st.integers(0, 2**32))
def test_any_parameter_of_a_form(case: Case, seed: int) -> None:
    pick = random.Random(seed)
    parts = case.body.split(b"&")
    parts[pick.randrange(len(parts))] = pick.choice(
        [b"", b"=", b"%", b"%ff%fe", b"Body=%00%01", b"NumMedia=99999999999", b"From=", b"a=" + b"x" * 5000]
    )
    judged("twilio", b"&".join(parts))


@pytest.mark.parametrize("adapter", sorted(set(ADAPTERS) - {"csv", "cfpb", "email", "mapped"}))
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"id":' + b"9" * 100_000 + b"}",
        b'{"id": NaN, "event": Infinity}',
        b'{"id": 1, "id": 2, "event": "x", "event": "y"}',
        b'{"type": "\\ud800"}',
        b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}",
        b"[" + b",".join([b"{}"] * 100_000) + b"]",
        b"[" + b",".join([b'{"id":"x"}'] * 20_000) + b"]",
        b"\xff\xfe{\x00}\x00",
        b"<" * 100_000,
        b"<a>" * 100_000,
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "b"><!ENTITY b "&a;&a;">]><l>&b;</l>',
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        b"&".join([b"a=b"] * 100_000),
        b"\x00" * 1000,
        b"",
    ],
    ids=lambda body: f"{body[:12]!r}{len(body)}",
)
def test_bombs_are_put_out(adapter: str, body: bytes) -> None:
    with contextlib.suppress(Unreadable):
        items = ADAPTERS[adapter].read(trying.delivery_of(adapter, body, {}, {}))
        assert len(items) <= 1_000
        assert all(isinstance(item, Rejection) or write_data is not None for item in items)


def test_ten_thousand_headers_are_as_good_as_one() -> None:
    case = JSON_CASES[0]
    headers = {f"x-{number}": "y" * 100 for number in range(10_000)}
    assert judged(case.adapter, case.body, headers)


@pytest.mark.parametrize("adapter", sorted(EVENTS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_hostile_bodies_are_read_or_unreadable_in_bounded_time(adapter: str, data: st.DataObject) -> None:
    start = EVENTS[adapter]
    cut = data.draw(st.integers(0, len(start)))
    body = start[:cut] + data.draw(st.binary(max_size=30)) + start[cut + data.draw(st.integers(0, 10)) :]
    delivery = Delivery(UUID(int=1), adapter, datetime(2026, 3, 2, tzinfo=UTC), "application/json", {}, body)
    with contextlib.suppress(Unreadable):
        assert ADAPTERS[adapter].read(delivery) is not None
