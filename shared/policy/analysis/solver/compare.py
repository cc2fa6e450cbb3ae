"""Complaints that two versions of a policy decide differently: one for each pair of outcomes, and whether that is all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import z3

from shared.policy.analysis.solver.decided import Decided
from shared.policy.analysis.solver.session import RETRIES, Facts, Session, Sessions, Undecided
from shared.policy.analysis.solver.translate import NotCovered
from shared.policy.evaluate import Policy


def differing(
    old: Policy, new: Policy, confirmed: Callable[[Facts], bool], at_most: int
) -> tuple[list[Facts], bool, str]:
    """(complaints, complete, why not): one complaint for each old outcome and new outcome, confirmed by the evaluator."""
    found: list[Facts] = []
    doubtful = False
    try:
        sessions = Sessions([old, new])
        regions: list[list[dict[Any, int]]] = []
        while len(found) < at_most:
            region, facts = _next(sessions.witness, regions, confirmed)
            if region is None:
                break
            regions.append(region)
            doubtful |= facts is None
            found += [] if facts is None else [facts]
        else:
            return found, False, f"only the first {at_most} differences are shown"
        rest = sessions.proof.model(
            z3.Not(_same(sessions.proof)), *(_outside(sessions.proof, each) for each in regions)
        )
    except NotCovered as refused:
        return found, False, str(refused)
    except Undecided as undecided:
        return found, False, str(undecided)
    if doubtful:
        return found, False, "the evaluator does not confirm every difference that the solver sees"
    return found, rest is None, "" if rest is None else "what long lists of earlier complaints do is left open"


def _next(
    session: Session, regions: list[list[dict[Any, int]]], confirmed: Callable[[Facts], bool]
) -> tuple[list[dict[Any, int]] | None, Facts | None]:
    """Another pair of outcomes, and a complaint of it that the evaluator confirms; None for one where it does not."""
    conditions = [z3.Not(_same(session)), *(_outside(session, each) for each in regions)]
    region = None
    for _ in range(RETRIES):
        model = session.plain_model(*conditions)
        if model is None:
            break
        facts = session.complaint.concrete(model)
        if region is None:
            region = [_outcome(decided, model) for decided in session.decided]
            conditions.append(z3.Not(_outside(session, region)))
        if confirmed(facts) and region == [decided.numbers_of(facts) for decided in session.decided]:
            return region, facts
        conditions.append(session.other_than(model))
    return region, None


def _same(session: Session) -> Any:
    old, new = session.decided
    return old.same_as(new)


def _outcome(decided: Decided, model: Any) -> dict[Any, int]:
    """The outcome in the model: for every place, and every word of a list of words, its number."""
    return {key: model.eval(value, model_completion=True).as_long() for key, value in decided.numbers().items()}


def _outside(session: Session, region: list[dict[Any, int]]) -> Any:
    """That the two outcomes are not those of the region."""
    same = [
        decided.numbers()[key] == value
        for decided, outcome in zip(session.decided, region, strict=True)
        for key, value in outcome.items()
    ]
    return z3.Not(z3.And(same))
