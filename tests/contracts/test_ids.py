"""Ids are forever: the derivation is pinned, stable, keyed, and cannot collide by the way its parts are joined."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts import ids

KEY = bytes(range(32))
C = UUID("11f0a9e2-5c1b-9d3e-0f44-71c2d8b6a905")
TEXTS = st.text(max_size=8)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (ids.complaint_id(KEY, "helpdesk-uk", "48213"), "811e1458-eba1-e6a4-0c41-70cadb01d431"),
        (ids.complaint_id(KEY, "postfach-dach", "Größe/ß 7"), "867c112a-9eb2-07fd-7b58-475a7d0fd970"),
        (ids.complaint_id(KEY, "", ""), "e17552ac-1ac5-a54b-4d2f-e6d0ea65fa2e"),
        (ids.submission_id(KEY, "helpdesk-uk", "48213"), "b147abf5-25f0-1180-77f7-70367c2a2b24"),
        (ids.keyed_id(KEY, "actor", "intake"), "3f094e1d-e1c4-eb5d-4144-ffb229d653f1"),
        (ids.event_id(KEY, "intake", C, 1), "6e20109c-4512-6188-6160-ac12ef231cba"),
        (ids.event_id(KEY, "records", C, 2**63 - 1), "5a38446c-5666-8489-f57d-44d26296e47a"),
        (ids.complaint_id(bytes(32), "helpdesk-uk", "48213"), "6da3d726-474a-ca63-bb05-4773062a9322"),
    ],
)
def test_the_derivation_never_changes(made: UUID, expected: str) -> None:
    assert str(made) == expected, "ids that are out in the world would change: this is never right"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_different_parts_make_different_ids(some: list[str], others: list[str]) -> None:
    assert (ids.keyed_id(KEY, *some) == ids.keyed_id(KEY, *others)) == (some == others)


@pytest.mark.parametrize(
    ("some", "others"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab", "c"), ("abc", "")),
        (("a", "", "b"), ("a", "b", "")),
        (("a\x1fb", "c"), ("a", "b\x1fc")),
        (("a\x00\x00\x00\x01b",), ("a", "b")),
        (("é",), ("e\u0301",)),
        ((), ("",)),
    ],
)
def test_parts_that_join_to_the_same_text_make_different_ids(some: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert ids.keyed_id(KEY, *some) != ids.keyed_id(KEY, *others)


def test_a_complaint_and_a_submission_of_the_same_names_differ() -> None:
    assert ids.complaint_id(KEY, "s", "1") != ids.submission_id(KEY, "s", "1")


def test_events_of_services_subjects_and_numbers_differ() -> None:
    made = {ids.event_id(KEY, s, c, n) for s in ("intake", "records") for c in (C, UUID(int=1)) for n in (1, 2, 11, 12)}
    assert len(made) == 16


def test_another_key_makes_other_ids() -> None:
    other = bytes(32)
    assert ids.complaint_id(KEY, "s", "1") != ids.complaint_id(other, "s", "1")
    assert ids.event_id(KEY, "intake", C, 1) != ids.event_id(other, "intake", C, 1)


def test_time_ordered_ids_are_version_7_and_hold_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = [ids.time_ordered_id() for _ in range(200)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == 200
    assert {(found.version, found.variant) for found in made} == {(7, "specified in RFC 4122")}
    assert all(before <= found.int >> 80 <= after for found in made)


def test_ids_made_one_after_the_other_are_in_that_order() -> None:
    made = [ids.time_ordered_id() for _ in range(20_000)]
    assert made == sorted(set(made))
    assert {(each.version, each.variant) for each in made} == {(7, "specified in RFC 4122")}
