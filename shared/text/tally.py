"""Counting how often a label was found rightly, wrongly and not at all; and the table that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Tally:
    """True and false positives and false negatives of one label."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, found: bool, due: bool) -> None:
        """Count one text in which the label was found, or was due, or both."""
        self.right += found and due
        self.wrong += found and not due
        self.missed += due and not found

    def as_json(self) -> dict[str, Any]:
        """Precision and recall (None where nothing was found, or due), and the counts behind them."""
        found, due = self.right + self.wrong, self.right + self.missed
        return {
            "precision": round(self.right / found, 4) if found else None,
            "recall": round(self.right / due, 4) if due else None,
            "true_positives": self.right,
            "false_positives": self.wrong,
            "false_negatives": self.missed,
        }


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum: its precision and recall are micro averages."""
    whole = Tally()
    for tally in tallies:
        whole.right += tally.right
        whole.wrong += tally.wrong
        whole.missed += tally.missed
    return whole


def table(result: Mapping[str, Any]) -> list[str]:
    """The lines for people of a result with `micro` and `labels`."""
    lines = [f"{'':<34}{'precision':>10}{'recall':>10}{'right':>8}{'wrong':>8}{'missed':>8}"]
    for name, labels in result["labels"].items():
        lines.append(_line(name, result["micro"][name]))
        lines += [_line(f"  {label}", tally) for label, tally in labels.items()]
    return lines


def percent(share: float | None) -> str:
    """A share for people."""
    return "-" if share is None else f"{share:.1%}"


def _line(name: str, tally: Mapping[str, Any]) -> str:
    return (
        f"{name:<34}{percent(tally['precision']):>10}{percent(tally['recall']):>10}"
        f"{tally['true_positives']:>8}{tally['false_positives']:>8}{tally['false_negatives']:>8}"
    )
