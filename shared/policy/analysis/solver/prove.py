"""`amends policy validate --prove`: rules that nothing can reach, gaps, overlaps, and invariants for every complaint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import z3

from shared.policy.analysis.invariants import breaks, violated, with_value
from shared.policy.analysis.overlaps import matched
from shared.policy.analysis.solver.session import RETRIES, Answer, Facts, Session, Sessions, Undecided
from shared.policy.analysis.solver.translate import NotCovered, Number, Translator
from shared.policy.evaluate import Policy
from shared.policy.language.tree import Type
from shared.policy.shape import Invariant, Monotone

Kind = Literal["unreachable", "gap", "overlap", "invariant", "not_covered"]
Result = Literal["proved", "refuted", "found", "not proved"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `place` is the path in the document; `facts` a complaint that shows it (`second`: the other of two)."""

    kind: Kind
    place: tuple[int | str, ...]
    name: str
    result: Result
    message: str
    facts: Facts | None = None
    second: Facts | None = None


def prove(policy: Policy) -> Iterator[Finding]:
    """Everything that is found, in the order of the document."""
    try:
        sessions = Sessions([policy])
    except NotCovered as refused:
        yield Finding("not_covered", ("spec",), policy.id, "not proved", f"nothing can be proved: {refused}")
        return
    for index in range(len(policy.rules.rules)):
        yield from _reachable(policy, sessions, index)
    if policy.rules.hit_policy == "UNIQUE":
        yield from _overlaps(policy, sessions)
    if policy.rules.hit_policy != "COLLECT":
        yield from _gap(policy, sessions)
    for index, invariant in enumerate(policy.document.spec.invariants):
        yield _invariant(policy, sessions, index, invariant)


def _reachable(policy: Policy, sessions: Sessions, index: int) -> Iterator[Finding]:
    rule, place = policy.rules.rules[index], ("spec", "rules", index, "when")
    decided = sessions.proof.decided[0]
    try:
        if sessions.proof.model(decided.matched[index]) is None:
            message = f"{rule.id} can never match: its condition is false for every complaint"
            yield Finding("unreachable", place, rule.id, "refuted", message)
        elif policy.rules.hit_policy == "FIRST" and sessions.proof.model(decided.fires[index]) is None:
            earlier = [z3.Not(each) for each in decided.matched[:index]]
            names = [policy.rules.rules[each].id for each in sessions.proof.blame(decided.matched[index], earlier)]
            message = f"{rule.id} can never be reached: whatever it matches, {' or '.join(names)} matches first"
            yield Finding("unreachable", place, rule.id, "refuted", message)
    except Undecided as undecided:
        yield Finding(
            "unreachable", place, rule.id, "not proved", f"whether {rule.id} can match is not known: {undecided}"
        )


def _overlaps(policy: Policy, sessions: Sessions) -> Iterator[Finding]:
    rules = policy.rules.rules
    for second in range(1, len(rules)):
        for first in range(second):

            def both(session: Session, pair: tuple[int, int] = (first, second)) -> Any:
                return z3.And([session.decided[0].matched[each] for each in pair])

            def really(facts: Facts, pair: tuple[int, int] = (first, second)) -> bool:
                return matched(policy, facts, pair) == set(pair)

            answer = sessions.ask(both, really)
            names, place = f"{rules[first].id} and {rules[second].id}", ("spec", "rules", second, "when")
            if answer.status == "found":
                message = f"{names} both match one complaint; the hit policy UNIQUE allows one rule"
                yield Finding("overlap", place, rules[second].id, "refuted", message, answer.facts)
            elif answer.status == "unknown":
                message = f"whether {names} can match together is not known: {answer.why}"
                yield Finding("overlap", place, rules[second].id, "not proved", message)


def _gap(policy: Policy, sessions: Sessions) -> Iterator[Finding]:
    every = tuple(range(len(policy.rules.rules)))
    answer = sessions.ask(
        lambda session: z3.Not(z3.Or(session.decided[0].matched)), lambda facts: not matched(policy, facts, every)
    )
    if answer.status == "found":
        message = "no rule matches every complaint: for this one the default decides"
        yield Finding("gap", ("spec", "default"), "default", "found", message, answer.facts)
    elif answer.status == "unknown":
        message = f"whether some rule matches every complaint is not known: {answer.why}"
        yield Finding("gap", ("spec", "default"), "default", "not proved", message)


def _invariant(policy: Policy, sessions: Sessions, index: int, invariant: Invariant) -> Finding:
    place = ("spec", "invariants", index)
    try:
        tree = policy.trees.invariants[index]
        if tree is not None:
            return _finding(place, invariant.id, _never(policy, sessions, tree))
        assert invariant.monotone is not None
        return _monotone(policy, sessions, place, invariant.id, invariant.monotone)
    except NotCovered as refused:
        return Finding("invariant", place, invariant.id, "not proved", f"{invariant.id} is not proved: {refused}")


def _never(policy: Policy, sessions: Sessions, tree: Any) -> Answer:
    def broken(session: Session) -> Any:
        translator = Translator(session.complaint, policy.trees.variables, session.decided[0].outcome)
        return translator.condition(tree)

    return sessions.ask(broken, lambda facts: violated(policy, tree, facts))


def _finding(place: tuple[int | str, ...], name: str, answer: Answer) -> Finding:
    match answer.status:
        case "proved":
            return Finding("invariant", place, name, "proved", f"{name} holds for every complaint")
        case "found":
            return Finding("invariant", place, name, "refuted", f"{name} does not hold", answer.facts)
        case _:
            return Finding("invariant", place, name, "not proved", f"{name} is not proved: {answer.why}")


def _monotone(
    policy: Policy, sessions: Sessions, place: tuple[int | str, ...], name: str, monotone: Monotone
) -> Finding:
    path = tuple((monotone.raise_ or monotone.lower or "").split("."))
    fact = policy.schema.at(".".join(path))
    outcome = monotone.never_lowers or monotone.never_raises or ""
    assert fact is not None

    def broken(session: Session) -> tuple[Any, Any]:
        other, decided = session.beside(path)
        low, high = session.complaint.value(path, fact), other.value(path, fact)
        raised = z3.And(z3.Not(low), high) if fact.kind == "bool" else low < high
        if fact.optional:
            raised = z3.And(raised, session.complaint.is_present(path))
        kind = policy.outcomes[outcome].type() or Type("int")
        before, after = (_expr(each.outcome(outcome, kind)) for each in (session.decided[0], decided))
        if monotone.lower is not None:
            before, after = after, before
        worse = after < before if monotone.never_lowers is not None else after > before
        both_set = z3.And(session.decided[0].is_set((outcome, None)), decided.is_set((outcome, None)))
        return z3.And(raised, both_set, worse), other

    try:
        condition, _ = broken(sessions.proof)
        if sessions.proof.model(condition) is None:
            return Finding("invariant", place, name, "proved", f"{name} holds for every complaint")
        condition, other = broken(sessions.witness)
        excluded: list[Any] = []
        for _ in range(RETRIES):
            model = sessions.witness.plain_model(condition, *excluded, also=(other,))
            if model is None:
                break
            lower = sessions.witness.complaint.concrete(model)
            higher = with_value(lower, path, _at(other.concrete(model), path))
            if breaks(policy, monotone, lower, higher):
                return Finding("invariant", place, name, "refuted", f"{name} does not hold", lower, higher)
            low = sessions.witness.complaint.value(path, fact)
            excluded.append(low != model.eval(low, model_completion=True))
    except Undecided as undecided:
        return Finding("invariant", place, name, "not proved", f"{name} is not proved: {undecided}")
    why = "the solver's complaints are not confirmed by the evaluator"
    return Finding("invariant", place, name, "not proved", f"{name} is not proved: {why}")


def _expr(value: Any) -> Any:
    return value.expr if isinstance(value, Number) else value


def _at(facts: Facts, path: tuple[str, ...]) -> Any:
    value: Any = facts
    for step in path:
        value = value[step]
    return value
