"""How well the reading rules read: precision and recall per label on a labelled CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from services.intake.reading import HEATS, TextRead, read_text
from shared.text.reading.rules import Rules
from shared.text.tally import Tally, percent, total
from shared.text.tally import table as rows

COLUMNS = ("text", "language", "heat", "threats", "support_needs", "repeated", "wanted", "escalation", "category")
_YES_NO = ("repeated", "escalation")
# As spreadsheets and scripts write them.
_YES_NO_WORDS = {"true": "yes", "1": "yes", "y": "yes", "false": "no", "0": "no", "n": "no"}


class UnreadableLabels(ValueError):
    """The labelled file cannot be used; the message says why."""


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a labelled CSV. Raises UnreadableLabels."""
    csv.field_size_limit(10_000_000)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            read = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableLabels(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if "text" not in names:
        raise UnreadableLabels(f"{path} has no column 'text'; the columns are {', '.join(COLUMNS)}")
    return [{name: (row.get(name) or "") for name in COLUMNS} for row in read]


def evaluate(rules: Rules, rows: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Read each row's text and compare: an empty cell is not scored, `none` means read and none."""
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in COLUMNS[1:]}
    steps: list[int] = []
    errors: list[dict[str, Any]] = []
    count = 0
    for number, row in enumerate(rows, start=1):
        count += 1
        read = read_text(rules, row["text"])
        for name, found in _found(read).items():
            given = row[name].strip()
            if name != "language":  # whose tags have capitals
                given = given.lower()
            if not given:
                continue
            due = {each.strip() for each in given.split(";")} - {"none", ""}
            if name in _YES_NO:
                due = {_YES_NO_WORDS.get(each, each) for each in due}
            for label in found | due:
                tallies[name].setdefault(label, Tally()).add(label in found, label in due)
            if found != due:
                errors.append({"row": number, "column": name, "expected": sorted(due), "found": sorted(found)})
        heat = row["heat"].strip().lower()
        if heat in HEATS:
            steps.append(abs(HEATS.index(heat) - HEATS.index(read.heat)))
    return {
        "rows": count,
        "rules": {"id": rules.id, "version": rules.version, "digest": rules.digest},
        "heat_exact": _share(steps, 0),
        "heat_within_one_step": _share(steps, 1),
        "micro": {name: total(tallies[name].values()).as_json() for name in COLUMNS[1:]},
        "labels": {
            name: {label: tally.as_json() for label, tally in sorted(of.items())} for name, of in tallies.items()
        },
        "errors": errors,
    }


def table(result: Mapping[str, Any]) -> str:
    """The result for people."""
    return "\n".join(
        (
            f"{result['rows']} texts, rules {result['rules']['id']} version {result['rules']['version']}",
            f"heat exact {percent(result['heat_exact'])}, within one step {percent(result['heat_within_one_step'])}",
            "",
            *rows(result),
        )
    )


def _found(read: TextRead) -> dict[str, set[str]]:
    return {
        "language": {read.language.tag},
        "heat": {read.heat},
        "threats": set(read.threats),
        "support_needs": set(read.needs),
        "repeated": {"yes" if read.repeated else "no"},
        "wanted": set(read.wanted),
        "escalation": {"yes" if read.escalation else "no"},
        "category": {read.category},
    }


def _share(steps: list[int], most: int) -> float | None:
    return round(sum(step <= most for step in steps) / len(steps), 4) if steps else None
