"""Hostile and surprising YAML ends in one clear problem, quickly."""

from __future__ import annotations

import time

import pytest

from shared.policy.yaml_source import YamlRefused, parse


@pytest.mark.parametrize(
    ("document", "message", "line", "column"),
    [
        ("a: &x 1\nb: *x", "anchors and aliases", 1, 4),
        ("a: !!python/object:os.system x", "tags", 1, 4),
        ("a: 1\nb: 2\na: 3", "the key 'a' appears twice (first on line 1)", 3, 1),
        ("a: 1\n---\nb: 2", "one file holds one policy", 2, 1),
        ("a: no", "YAML readers disagree about no", 1, 4),
        ("a: [x, On]", "YAML readers disagree about On", 1, 8),
        ("a: 010", "YAML readers disagree about 010", 1, 4),
        ("a: 0x1f", "YAML readers disagree about 0x1f", 1, 4),
        ("a: 1_000", "YAML readers disagree", 1, 4),
        ("a: 1e3", "YAML readers disagree", 1, 4),
        ("a: .inf", "YAML readers disagree", 1, 4),
        ("a: 12:30:00", "YAML readers disagree", 1, 4),
        ("a: TRUE", "YAML readers disagree", 1, 4),
        ("1: x", "a key must be text", 1, 1),
        ("[a, b]: x", "a key must be text", 1, 1),
        ("a: [1, 2", "not valid YAML", 1, 9),
        ("a: 'x' in y", "quoted as a whole", 1, 8),
        ("", "the file is empty", 1, 1),
        ("# nothing\n", "the file is empty", 1, 1),
        ("a: \x00", "not valid YAML", 1, 1),
    ],
)
def test_refused(document: str, message: str, line: int, column: int) -> None:
    with pytest.raises(YamlRefused) as refused:
        parse(document)
    problem = refused.value.problem
    assert message in problem.message
    assert (problem.line, problem.column) == (line, column)


@pytest.mark.parametrize(
    "document",
    [
        "[" * 100_000,
        "a:\n" + "".join(" " * depth + "- \n" for depth in range(1, 400)),
        "{a: " * 50_000,
        "- x\n" * 60_000,
        "a: " + "x" * 300_000,
        "- &a [x]\n" + "- [" + "*a, " * 9 + "*a]\n",
        '"' + "\\u0000" * 40_000,
        "? " * 50_000,
    ],
    ids=["brackets", "indentation", "braces", "many", "long", "aliases", "escapes", "keys"],
)
def test_a_hostile_document_is_refused_within_seconds(document: str) -> None:
    started = time.process_time()
    with pytest.raises(YamlRefused):
        parse(document)
    assert time.process_time() - started < 5


def test_unquoted_values_are_what_they_look_like() -> None:
    document = "{a: 3, b: -2.5, c: true, d: null, e: 4h, f: none, g: +2pp, h: '3', i: 2026-01-15, j: 5%, k: \"no\"}"
    assert parse(document).plain() == {
        "a": 3, "b": -2.5, "c": True, "d": None, "e": "4h", "f": "none", "g": "+2pp", "h": "3", "i": "2026-01-15",
        "j": "5%", "k": "no",
    }  # fmt: skip
