"""Complaints at the edges of a policy's conditions: for every fact the values at which a condition can change.

They find overlaps and differences without a solver. What they find is real, for the evaluator says so; what they do not
find may still exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from math import prod
from random import Random
from typing import Any

from shared.policy.evaluate import Policy
from shared.policy.facts import Fact
from shared.policy.language.operators import one_argument
from shared.policy.language.tree import Call, FactAt, Literal_, Node, Variable, walk
from shared.policy.tests_inside import NEUTRAL_AS_OF, given_facts

Path = tuple[str, ...]
Assignment = dict[Path, Any]
ABSENT = object()
_SECOND = timedelta(seconds=1)
_AT_MOST = 40  # values of one fact that are tried


@dataclass(frozen=True, slots=True)
class Constants:
    """The constants that conditions compare with."""

    numbers: tuple[int, ...]
    decimals: tuple[float, ...]
    words: tuple[str, ...]
    spans: tuple[timedelta, ...]


def constants(nodes: Iterable[Node]) -> Constants:
    """What the trees compare with, in the order of the text."""
    numbers: dict[int, None] = {}
    decimals: dict[float, None] = {}
    words: dict[str, None] = {}
    spans: dict[timedelta, None] = {}
    for node in (part for tree in nodes for part in walk(tree)):
        if isinstance(node, Literal_):
            if type(node.value) is int:
                numbers[node.value] = None
            elif isinstance(node.value, float):
                decimals[node.value] = None
            elif isinstance(node.value, str):
                words[node.value] = None
        elif (
            isinstance(node, Call)
            and node.overload in ("days(int)", "hours(int)")
            and isinstance(node.args[0], Literal_)
        ):
            span = one_argument(node.overload)
            assert span is not None
            spans[span(node.args[0].value)] = None
    return Constants(tuple(numbers), tuple(decimals), tuple(words), tuple(spans))


def facts_read(nodes: Iterable[Node], bodies: Mapping[str, Node]) -> dict[Path, Fact]:
    """The facts that the trees read, also through variables; of a list of messages the list."""
    found: dict[Path, Fact] = {}
    seen: set[str] = set()
    queue = list(nodes)
    while queue:
        for node in walk(queue.pop()):
            if isinstance(node, FactAt):
                found[node.path] = node.fact
            elif isinstance(node, Variable) and node.name in bodies and node.name not in seen:
                seen.add(node.name)
                queue.append(bodies[node.name])
    return found


def values_of(fact: Fact, known: Constants, as_of: datetime) -> list[Any]:
    """The values to try for one fact. ABSENT stands for a missing one."""
    if fact.many:
        found = _lists(fact, known, as_of)
    elif fact.kind == "int":
        found = _numbers(fact, known)
    elif fact.kind == "bool":
        found = [False, True]
    elif fact.kind == "double":
        found = [0.0, *(value + step for value in known.decimals for step in (0.0, -0.01, 0.01))]
    elif fact.kind == "timestamp":
        found = [as_of, *(as_of - span - step for span in known.spans for step in (0 * _SECOND, _SECOND, -_SECOND))]
    else:
        found = _words(fact, known)
    if fact.guarded:
        found.append(ABSENT)
    return found[:_AT_MOST]


def _numbers(fact: Fact, known: Constants) -> list[Any]:
    low = -(2**63) if fact.minimum is None else fact.minimum
    high = 2**63 - 1 if fact.maximum is None else fact.maximum
    if high - low <= 20:
        return list(range(low, high + 1))
    near = {0, 1, *(number + step for number in known.numbers for step in (-1, 0, 1))}
    return sorted(number for number in near if low <= number <= high)


def _words(fact: Fact, known: Constants) -> list[Any]:
    named = [word for word in known.words if word in fact.values or fact.open or not fact.values]
    other = next((value for value in fact.values if value not in named), None)
    return [*([other] if other is not None else [] if fact.values else ["other"]), *named]


def _lists(fact: Fact, known: Constants, as_of: datetime) -> list[Any]:
    if fact.kind == "message":
        return _entries(fact, known, as_of)
    if fact.kind != "string":
        return [[]]
    named = [word for word in known.words if word in fact.values or fact.open]
    pairs = [[a, b] for index, a in enumerate(named) for b in named[index + 1 :]]
    return [[], *([word] for word in named), named, *pairs]


def _entries(fact: Fact, known: Constants, as_of: datetime) -> list[Any]:
    """Lists of equal entries: none, one, and as many as some condition counts, with every combination of field values."""
    counts = sorted({1, *(n + step for n in known.numbers for step in (0, 1) if 1 <= n + step <= 6)})
    fields = {name: values_of(part, known, as_of)[:12] for name, part in fact.fields.items()}
    lists: list[Any] = [[]]
    for values in product(*fields.values()):
        entry = {name: value for name, value in zip(fields, values, strict=True) if value is not ABSENT}
        lists.extend([dict(entry) for _ in range(count)] for count in counts)
    if len(lists) > _AT_MOST:
        lists = [[], *Random(1).sample(lists[1:], _AT_MOST - 1)]  # noqa: S311 (no secret)
    return lists


def assignments(policy: Policy, nodes: Iterable[Node], known: Constants, at_most: int) -> Iterator[Assignment]:
    """Combinations of values for the facts that the trees read: all of them, or `at_most` drawn at random."""
    read = facts_read(nodes, policy.trees.variables)
    read.pop(("as_of",), None)
    choices = {
        path: values_of(fact, known, NEUTRAL_AS_OF)
        for path, fact in read.items()
        if fact.kind != "message" or fact.many
    }
    if prod(map(len, choices.values())) <= at_most:
        for values in product(*choices.values()):
            yield dict(zip(choices, values, strict=True))
        return
    random = Random(2)  # noqa: S311 (always the same ones)
    for _ in range(at_most):
        yield {path: random.choice(values) for path, values in choices.items()}


def facts_of(policy: Policy, assignment: Assignment) -> dict[str, Any]:
    """The neutral complaint with these values."""
    facts: dict[str, Any] = deepcopy(given_facts({}, policy.schema)[0])
    for path, value in assignment.items():
        message = facts
        for step in path[:-1]:
            message = message[step]
        if value is ABSENT:
            message.pop(path[-1], None)
        else:
            message[path[-1]] = value
    return facts
