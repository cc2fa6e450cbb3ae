"""What is wrong in a policy document, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault at `line` and `column` (from 1) of the document; `rule` names the rule, test or variable it is in."""

    line: int
    column: int
    rule: str | None
    message: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class PolicyRefused(Exception):
    """The document cannot be used. `problems` holds everything that was found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem], *, origin: str, text: str = "") -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
        self.origin = origin
        self.text = text
        super().__init__("\n".join(describe(p, origin=origin, text=text) for p in self.problems))


def describe(problem: Problem, *, origin: str, text: str) -> str:
    """The problem for a person: file:line:column, the message, then the line itself with a caret below the place."""
    rule = f"{problem.rule}: " if problem.rule else ""
    head = f"{origin}:{problem.line}:{problem.column}: {rule}{problem.message}"
    lines = text.split("\n")
    if not 1 <= problem.line <= len(lines):
        return head
    start = max(0, problem.column - 100)  # a very long line is shown around the place only
    shown = lines[problem.line - 1].rstrip("\r").replace("\t", " ")[start : start + 160]
    return f"{head}\n  {shown}\n  {' ' * (problem.column - 1 - start)}^"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """ "; did you mean 'billing'?" if one of `known` is close to `wrong`, else nothing."""
    close = get_close_matches(wrong, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
