"""Reading rules as the policy commands meet them: valid or refused with file, line and column, also in their lexicons."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from shared.policy.distribution.versions import load_file
from tests.policy.test_commands import as_json, run

DOCUMENT = """\
apiVersion: complaints.policy/v1
kind: ReadingRules
metadata: {id: reading.test, version: 2, owner: tests, reason: a test}
spec:
  lexicons:
    en: [words/en.yaml]
  fallback_language: en
  categories: {billing: 1.0}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "en.yaml").write_text("labels:\n  threat.press: the gazette\n")
    path = tmp_path / "reading.yaml"
    path.write_text(DOCUMENT)
    return path


def refused(file: Path) -> tuple[str, int, int, str]:
    answer = as_json("validate", file, exit_code=1)
    assert answer["valid"] is False
    (error,) = answer["errors"]
    assert error.keys() - {"file"} == {"line", "column", "rule", "message"}
    return error.get("file", ""), error["line"], error["column"], error["message"]


@pytest.mark.parametrize(("service", "name"), [("intake", "reading.retail.yaml"), ("followup", "drafts.retail.yaml")])
def test_what_comes_with_a_service_is_valid(service: str, name: str, tmp_path: Path) -> None:
    shutil.copytree(str(files(f"services.{service}") / "policy"), tmp_path / "policy")
    assert as_json("validate", tmp_path / "policy" / name) == {"valid": True, "errors": [], "warnings": []}
    loaded, parts = load_file(tmp_path / "policy" / name, (tmp_path / "policy" / name).read_text())
    assert (loaded.service, loaded.approvers) == (service, 1)
    assert len(parts) > 3


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "message"),
    [
        ("fallback_language", "fallback_langauge", 7, 3, "unknown key 'fallback_langauge'; did you mean 'fallback_language'?"),
        ("version: 2", "version: 0", 3, 30, "version: input should be greater than or equal to 1, found '0'"),
        ("{billing", "{biling", 8, 16, "did you mean 'billing'?"),
        ("language: en", "language: de", 7, 3, "fallback_language: 'de' has no lexicon"),
        ("words/en.yaml", "words/gone.yaml", 6, 1, "words/gone.yaml cannot be read: No such file or directory"),
        ("words/en.yaml", "../../etc/passwd", 6, 10, "'../../etc/passwd' is not of the form"),
        ("words/en.yaml", "/etc/passwd", 6, 10, "'/etc/passwd' is not of the form"),
        ("kind: ReadingRules", "kind: ReadingRules\nkind: ReadingRules", 3, 1, "the key 'kind' appears twice"),
    ],
)
def test_a_mistake_is_told_with_its_place(file: Path, old: str, new: str, line: int, column: int, message: str) -> None:
    file.write_text(DOCUMENT.replace(old, new))
    found = refused(file)
    assert found[:3] == ("", line, column)
    assert message in found[3]


@pytest.mark.parametrize(
    ("lexicon", "line", "message"),
    [
        ("labels:\n  threat.press: the gazette\nlables: {}\n", 3, "unknown key 'lables'; did you mean 'labels'?"),
        ("labels: [a]\n", 1, "labels must hold keys and values, not a list"),
        ("labels: {a: b\n", 2, "not valid YAML"),
    ],
)
def test_a_mistake_in_a_lexicon_names_its_file(file: Path, lexicon: str, line: int, message: str) -> None:
    (file.parent / "words" / "en.yaml").write_text(lexicon)
    found = refused(file)
    assert found[:2] == ("words/en.yaml", line)
    assert message in found[3]
    shown = run("validate", file)
    assert f"words/en.yaml:{line}:" in shown.stderr


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("a (b", "a parenthesis is not closed"),
        ("x (" + "(a|b|c|d)" * 40 + ")", "stands for more than 20,000 phrases"),
        ("(" * 5_000 + "a" + ")" * 5_000, "nested too deeply"),
    ],
    ids=["open", "too many", "too deep"],
)
def test_a_phrase_that_cannot_be_used_is_told_with_the_lexicons_place(file: Path, phrase: str, message: str) -> None:
    (file.parent / "words" / "en.yaml").write_text(f"labels:\n  threat.press: {phrase}\n")
    found = refused(file)
    assert found[:3] == ("", 6, 5)
    assert message in found[3]


def test_they_decide_nothing(file: Path) -> None:
    result = run("test", file)
    assert result.exit_code == 2
    assert "amends intake eval" in result.stderr
