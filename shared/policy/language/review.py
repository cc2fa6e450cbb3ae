"""What the type checker does not see: fields that may be missing must be guarded, and words must exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from shared.policy.facts import Fact
from shared.policy.language.frontend import ConditionRefused
from shared.policy.language.loading import Fault
from shared.policy.language.operators import one_argument
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

Words = Mapping[str, tuple[str, ...]]
Bodies = Mapping[str, Node]


class Found:
    """What is wrong with a condition, and what only looks wrong."""

    def __init__(self) -> None:
        self.errors: list[ConditionRefused] = []
        self.warnings: list[ConditionRefused] = []

    def refuse(self, node: Node, message: str) -> None:
        self.errors.append(ConditionRefused(node.offset, message))

    def warn(self, node: Node, message: str) -> None:
        self.warnings.append(ConditionRefused(node.offset, message))


def review(node: Node, words: Words, bodies: Bodies) -> Found:
    """The problems of a condition. `words` are the known values of qualified names such as outcome.action; `bodies` the
    trees of the variables."""
    found = Found()
    _guards(node, frozenset(), found.errors)
    for part in walk(node):
        if isinstance(part, Call):
            _words(part, words, bodies, found)
            _range(part, found)
            _constant_fault(part, found)
    return found


# --- fields that may be missing


def _keys(node: Node) -> tuple[str, ...]:
    """The optional things that reading this needs: complaint.channel, or h.outcome inside a loop over h."""
    if isinstance(node, Member):
        above = _keys(node.of)
        name = f"{node.of.name}.{node.name}"
        return (*above, name) if node.fact.guarded else above
    if isinstance(node, FactAt) and node.fact.guarded:
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


def _vocabulary(node: Node, words: Words, bodies: Bodies) -> tuple[str, Fact] | None:
    """The name and the fact whose values bound what this can be, also through variables and loops."""
    match node:
        case FactAt() if node.fact.values:
            return node.path[-1], node.fact
        case Member() if node.fact.values:
            return node.name, node.fact
        case Entry() if node.fact is not None and node.fact.values:
            return node.name, node.fact
        case Variable() if node.name in words:
            return node.name, Fact("string", values=words[node.name])
        case Variable() if node.name in bodies:
            return _vocabulary(bodies[node.name], words, bodies)
        case Loop(macro="filter"):
            return _vocabulary(node.over, words, bodies)
        case Loop(macro="map", result=result) if result is not None:
            return _vocabulary(result, words, bodies)
    return None


def _literals(node: Node) -> Iterator[Literal_]:
    """The constants that this can be."""
    match node:
        case Literal_():
            yield node
        case ListOf():
            for item in node.items:
                yield from _literals(item)
        case Choice():
            yield from _literals(node.then)
            yield from _literals(node.otherwise)


def _words(call: Call, words: Words, bodies: Bodies, found: Found) -> None:
    if call.overload not in (
        "equals",
        "not_equals",
        "in_list",
        "starts_with_string",
        "ends_with_string",
        "contains_string",
    ):
        return
    left, right = call.args
    for known, other in ((left, right), (right, left)):
        vocabulary = _vocabulary(known, words, bodies)
        if vocabulary is None:
            continue
        name, fact = vocabulary
        for literal in _literals(other):
            part = _PARTS.get(call.overload)
            if part is not None:
                if known is left and not fact.open and not any(part(v, str(literal.value)) for v in fact.values):
                    found.warn(literal, f"no value of {name} ({', '.join(fact.values)}) fits '{literal.value}'")
            elif literal.value not in fact.values:
                _unknown_word(literal, name, fact, found)


_PARTS: dict[str, Callable[[str, str], bool]] = {
    "starts_with_string": str.startswith,
    "ends_with_string": str.endswith,
    "contains_string": str.__contains__,
}


def _unknown_word(literal: Literal_, name: str, fact: Fact, found: Found) -> None:
    word, listed = str(literal.value)[:40], ", ".join(fact.values)
    hint = did_you_mean(word, fact.values)
    if fact.open:
        found.warn(
            literal, f"'{word}' is not among the known values of {name} ({listed}){hint or '; is it spelt right?'}"
        )  # fmt: skip
    else:
        found.refuse(literal, f"'{word}' is not a value of {name} ({listed}){hint}")


# --- numbers that cannot be


_TRUE_ABOVE = {"greater_int64": 1, "greater_equals_int64": 0}
_TRUE_BELOW = {"less_int64": 1, "less_equals_int64": 0}


def _range(call: Call, found: Found) -> None:
    """Warn of a comparison that is the same for every value that the fact can have."""
    if len(call.args) != 2:
        return
    fact, number = call.args
    if not isinstance(fact, (FactAt, Member)) or not isinstance(number, Literal_) or type(number.value) is not int:
        return
    low, high, value = fact.fact.minimum, fact.fact.maximum, number.value
    if low is None or high is None:
        return
    if call.overload in _TRUE_ABOVE:
        first = value + _TRUE_ABOVE[call.overload]
        never, always = first > high, first <= low
    elif call.overload in _TRUE_BELOW:
        last = value - _TRUE_BELOW[call.overload]
        never, always = last < low, last >= high
    elif call.overload in ("equals", "not_equals"):
        outside = not low <= value <= high
        never, always = outside and call.overload == "equals", outside and call.overload == "not_equals"
    else:
        return
    if never or always:
        name = fact.path[-1] if isinstance(fact, FactAt) else fact.name
        found.warn(number, f"{name} is {low} to {high}, so this is {'never' if never else 'always'} true")


def _constant_fault(call: Call, found: Found) -> None:
    function = one_argument(call.overload)
    if function is not None and len(call.args) == 1 and isinstance(call.args[0], Literal_):
        try:
            function(call.args[0].value)
        except Fault as fault:
            found.refuse(call, f"this always fails: {fault}")
