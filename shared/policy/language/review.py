"""What the type checker does not see: fields that may be missing must be guarded, and words must exist."""

from __future__ import annotations

from shared.policy.facts import Fact
from shared.policy.language.frontend import ConditionRefused
from shared.policy.language.tree import (
    Call,
    Choice,
    Entry,
    FactAt,
    Junction,
    ListOf,
    Literal_,
    Loop,
    Member,
    Node,
    Present,
    Variable,
    parts,
    walk,
)
from shared.policy.problems import did_you_mean

Words = dict[str, tuple[str, ...]]


def review(node: Node, words: Words) -> tuple[list[ConditionRefused], list[ConditionRefused]]:
    """(errors, warnings) of a condition. `words` are the known values of qualified names such as outcome.action."""
    errors: list[ConditionRefused] = []
    warnings: list[ConditionRefused] = []
    _guards(node, frozenset(), errors)
    for part in walk(node):
        if isinstance(part, Call):
            _words(part, words, errors, warnings)
    return errors, warnings


# --- fields that may be missing


def _keys(node: Node) -> tuple[str, ...]:
    """The optional things that reading this needs: complaint.channel, or h.outcome inside a loop over h."""
    if isinstance(node, Member):
        above = _keys(node.of)
        name = f"{node.of.name}.{node.name}"
        return (*above, name) if node.fact.optional else above
    if isinstance(node, FactAt) and node.fact.optional:
        return (".".join(node.path),)
    return ()


def _implied(node: Node, truth: bool) -> frozenset[str]:
    """What must be present if the condition came out as `truth`."""
    match node:
        case Present():
            return frozenset(_keys(node.of)) if truth else frozenset()
        case Call(overload="logical_not"):
            return _implied(node.args[0], not truth)
        case Junction():
            each = [_implied(term, truth) for term in node.terms]
            return frozenset.union(*each) if node.every == truth else frozenset.intersection(*each)
    return frozenset()


def _guards(node: Node, present: frozenset[str], errors: list[ConditionRefused]) -> None:
    match node:
        case Present():
            if isinstance(node.of, Member):
                _guards(node.of.of, present, errors)
        case FactAt() | Member():
            for key in _keys(node):
                if key not in present:
                    errors.append(
                        ConditionRefused(node.offset, f"{key} may be missing: guard it, as in has({key}) && ...")
                    )
            if isinstance(node, Member):
                _guards(node.of, present, errors)
        case Junction():
            # && is false if any term is false, whatever error another ends in: order does not matter. || likewise.
            for index, term in enumerate(node.terms):
                others = [_implied(t, node.every) for i, t in enumerate(node.terms) if i != index]
                _guards(term, present.union(*others), errors)
        case Choice():
            _guards(node.condition, present, errors)
            _guards(node.then, present | _implied(node.condition, True), errors)
            _guards(node.otherwise, present | _implied(node.condition, False), errors)
        case Loop():
            _guards(node.over, present, errors)
            if node.condition is not None:
                _guards(node.condition, present, errors)
            if node.result is not None:
                known = present if node.condition is None else present | _implied(node.condition, True)
                _guards(node.result, known, errors)
        case _:
            for part in parts(node):
                _guards(part, present, errors)


# --- words


def _vocabulary(node: Node, words: Words) -> tuple[str, Fact] | None:
    """The name and the fact whose values bound what this can be."""
    if isinstance(node, FactAt) and node.fact.values:
        return node.path[-1], node.fact
    if isinstance(node, (Member, Entry)) and node.fact is not None and node.fact.values:
        return node.name, node.fact
    if isinstance(node, Variable) and node.name in words:
        return node.name, Fact("string", values=words[node.name])
    return None


def _words(call: Call, words: Words, errors: list[ConditionRefused], warnings: list[ConditionRefused]) -> None:
    if call.overload in ("equals", "not_equals", "in_list"):
        left, right = call.args
        for known, other in ((left, right), (right, left)):
            vocabulary = _vocabulary(known, words)
            if vocabulary is None:
                continue
            for literal in other.items if isinstance(other, ListOf) else (other,):
                if isinstance(literal, Literal_) and literal.value not in vocabulary[1].values:
                    _unknown_word(literal, *vocabulary, errors, warnings)


def _unknown_word(
    literal: Literal_, name: str, fact: Fact, errors: list[ConditionRefused], warnings: list[ConditionRefused]
) -> None:
    hint = did_you_mean(str(literal.value), fact.values)
    listed = ", ".join(fact.values)
    if fact.open:
        message = (
            f"'{literal.value}' is not among the known values of {name} ({listed}){hint or '; is it spelt right?'}"
        )
        warnings.append(ConditionRefused(literal.offset, message))
    else:
        errors.append(ConditionRefused(literal.offset, f"'{literal.value}' is not a value of {name} ({listed}){hint}"))
