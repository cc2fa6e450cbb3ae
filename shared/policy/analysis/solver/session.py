"""Questions to the solver about one or two policies over the same symbolic complaint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import z3

from shared.policy.analysis.candidates import constants
from shared.policy.analysis.solver.decided import Decided, Values, know_words
from shared.policy.analysis.solver.symbols import Complaint, Path, Words, copy_of
from shared.policy.evaluate import Policy

TIMEOUT_MS = 10_000
BUDGET_S = 60.0
RETRIES = 8
Facts = dict[str, Any]


class Undecided(Exception):
    """The solver gave up in its time."""


class Budget:
    """The time that one command gives the solver: what is not known then is said to be not known."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + BUDGET_S

    def spent(self) -> bool:
        return time.monotonic() > self._ends


class Session:
    """One symbolic complaint and what each policy decides for it.

    `entries`: how many earlier complaints it has at most; None leaves what is said about them open, for proofs.
    """

    def __init__(self, policies: Sequence[Policy], entries: int | None, values: Values, budget: Budget) -> None:
        self._budget = budget
        self.complaint = Complaint(policies[0].schema, Words(), entries)
        know_words(self.complaint, policies)
        self._values = values
        self._policies = policies
        self.decided = [Decided(policy, self.complaint, self._values) for policy in policies]

    def beside(self, own: Path) -> tuple[Complaint, Decided]:
        """Another complaint that differs from the first in one fact only, and the first policy's decision."""
        other = copy_of(self.complaint, [own])
        return other, Decided(self._policies[0], other, self._values)

    def model(self, *conditions: Any) -> Any | None:
        """A model of the conditions; None if there is none. Raises Undecided."""
        solver = self._solver(conditions)
        return solver.model() if _satisfied(solver) else None

    def plain_model(self, *conditions: Any, also: Sequence[Complaint] = ()) -> Any | None:
        """A model in which as many facts as possible are as in a neutral complaint."""
        solver = self._solver(conditions)
        if not _satisfied(solver):
            return None
        model = solver.model()
        for usual in [each for complaint in (self.complaint, *also) for each in complaint.neutral()]:
            if z3.is_true(model.eval(usual, model_completion=True)):
                solver.add(usual)  # this model shows that it can be kept
                continue
            solver.push()
            solver.add(usual)
            if self._budget.spent() or solver.check() != z3.sat:
                solver.pop()
            else:
                model = solver.model()
        return model

    def other_than(self, model: Any) -> Any:
        """That some fact is not as in the model."""
        values = [value for value in self.complaint.values.values() if z3.is_expr(value)]
        return z3.Or([value != model.eval(value, model_completion=True) for value in values])

    def blame(self, condition: Any, suspects: Sequence[Any]) -> list[int]:
        """Of suspects that together exclude the condition, few that are enough."""
        solver = self._solver([condition])
        marks = [z3.Bool(f"suspect {index}") for index in range(len(suspects))]
        for mark, suspect in zip(marks, suspects, strict=True):
            solver.add(z3.Implies(mark, suspect))
        kept = list(range(len(suspects)))
        for index in list(kept):
            without = [each for each in kept if each != index]
            if solver.check([marks[each] for each in without]) == z3.unsat:
                kept = without
        return kept

    def _solver(self, conditions: Sequence[Any]) -> Any:
        if self._budget.spent():
            raise Undecided(f"not known after {BUDGET_S:.0f} s")
        solver = z3.Solver()
        solver.set("timeout", TIMEOUT_MS)
        solver.add(*self.complaint.constraints, *conditions)
        return solver


def _satisfied(solver: Any) -> bool:
    answer = solver.check()
    if answer == z3.unknown:
        raise Undecided(f"the solver gave up: {solver.reason_unknown()}")
    return bool(answer == z3.sat)


@dataclass(frozen=True, slots=True)
class Answer:
    """`proved`: no complaint does it. `found`: `facts` do it, the evaluator says so too. `unknown`: neither, and `why`."""

    status: Literal["proved", "found", "unknown"]
    facts: Facts | None = None
    why: str = ""


Question = Callable[[Session], Any]


class Sessions:
    """The two views of the same policies: one for proofs, one for complaints that can be shown."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        numbers = constants([t for p in policies for t in (*p.trees.conditions, *p.trees.variables.values())]).numbers
        small = [number for number in numbers if 0 < number <= 5]
        values, budget = Values(), Budget()
        self.proof = Session(policies, None, values, budget)
        self.witness = Session(policies, max(small, default=1) + 1, values, budget)

    def ask(self, question: Question, confirmed: Callable[[Facts], bool]) -> Answer:
        """Whether some complaint satisfies what `question` makes of a session; `confirmed` asks the evaluator."""
        try:
            if self.proof.model(question(self.proof)) is None:
                return Answer("proved")
            tried = 0
            for facts in self._candidates(question(self.witness)):
                if confirmed(facts):
                    return Answer("found", facts)
                tried += 1
        except Undecided as undecided:
            return Answer("unknown", why=str(undecided))
        if tried:
            return Answer(
                "unknown", why=f"{tried} complaints of the solver were tried, and the evaluator confirms none"
            )
        most = self.witness.complaint.entries
        return Answer(
            "unknown", why=f"no complaint with up to {most} earlier ones does it, but longer lists are left open"
        )

    def _candidates(self, condition: Any) -> Iterator[Facts]:
        excluded: list[Any] = []
        for _ in range(RETRIES):
            model = self.witness.plain_model(condition, *excluded)
            if model is None:
                return
            yield self.witness.complaint.concrete(model)
            excluded.append(self.witness.other_than(model))
