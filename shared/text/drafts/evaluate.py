"""How well the draft check finds: precision and recall per kind, and per thing missing, on a labelled CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.text.drafts.check import check
from shared.text.drafts.rules import DraftRules
from shared.text.drafts.spec import Case
from shared.text.tally import Tally, total

COLUMNS = ("draft", "complaint", "kinds", "missing")


class UnreadableLabels(ValueError):
    """The labelled file cannot be used; the message says why."""


def rows_of(path: Path) -> list[tuple[str, Case, str, str]]:
    """Draft, case, kinds and missing of each row. Raises UnreadableLabels."""
    csv.field_size_limit(10_000_000)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableLabels(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not {"draft", "complaint"} <= set(names):
        raise UnreadableLabels(f"{path} needs the columns 'draft' and 'complaint'; all are {', '.join(COLUMNS)}")
    read = []
    for number, row in enumerate(rows, start=1):
        try:
            case = Case.model_validate_json(row["complaint"] or "{}")
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise UnreadableLabels(f"{path}, row {number}: the complaint is not as it should be: {problem}") from None
        read.append((row["draft"] or "", case, row.get("kinds") or "", row.get("missing") or ""))
    return read


def evaluate(rules: DraftRules, rows: Iterable[tuple[str, Case, str, str]]) -> dict[str, Any]:
    """Check each draft and compare: an empty cell is not scored, `none` means checked and none."""
    tallies: dict[str, dict[str, Tally]] = {"kinds": {}, "missing": {}}
    errors: list[dict[str, Any]] = []
    count = 0
    for number, (draft, case, kinds, missing) in enumerate(rows, start=1):
        count += 1
        checked = check(rules, draft, case)
        found = {"kinds": {finding.kind for finding in checked.findings}, "missing": set(checked.missing)}
        for name, given in (("kinds", kinds), ("missing", missing)):
            if not given.strip():
                continue
            due = {each.strip() for each in given.split(";")} - {"none", ""}
            for label in found[name] | due:
                tallies[name].setdefault(label, Tally()).add(label in found[name], label in due)
            if found[name] != due:
                errors.append({"row": number, "column": name, "expected": sorted(due), "found": sorted(found[name])})
    return {
        "rows": count,
        "rules": {"id": rules.id, "version": rules.version, "digest": rules.digest},
        "micro": {name: total(of.values()).as_json() for name, of in tallies.items()},
        "labels": {name: {label: t.as_json() for label, t in sorted(of.items())} for name, of in tallies.items()},
        "errors": errors,
    }
