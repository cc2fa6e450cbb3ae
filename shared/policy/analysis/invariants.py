"""Invariants for one complaint, by the evaluator itself: what a counterexample must pass before it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any

from shared.policy import targets
from shared.policy.evaluate import Policy
from shared.policy.language.closures import compile_expression
from shared.policy.language.loading import Compiled, Fault, Layout, loader
from shared.policy.language.tree import Node, Variable, walk
from shared.policy.shape import Monotone


def violated(policy: Policy, condition: Node, facts: Mapping[str, Any]) -> bool:
    """Whether a `never` invariant is broken by the decision for these facts."""
    outcome = policy.answer(facts)
    layout = Layout()
    named = [
        node
        for part in (condition, *policy.trees.variables.values())
        for node in walk(part)
        if isinstance(node, Variable)
    ]
    for name, body in policy.trees.variables.items():
        layout.define(name, compile_expression(body, layout))
    for name in {node.name for node in named} - set(policy.trees.variables):
        layout.define(name, _constant(policy, name.removeprefix("outcome."), outcome))
    compiled = compile_expression(condition, layout)
    try:
        return bool(compiled(loader(layout)(facts)))
    except Fault:
        return False  # an error is not "true": an outcome that nobody set, for example


def _constant(policy: Policy, name: str, outcome: Mapping[str, Any]) -> Compiled:
    value = outcome.get(name)

    def read(_: Any) -> Any:
        if value is None:
            raise Fault(f"outcome.{name} is not set")
        return _as_seen(policy, name, value)

    return read


def _as_seen(policy: Policy, name: str, value: Any) -> Any:
    """The value as conditions see it: durations as elapsed time, a day being 24 hours."""
    return timedelta(seconds=targets.nominal_s(targets.parse(value))) if policy.outcomes[name].kind == "duration" else value


def breaks(policy: Policy, monotone: Monotone, lower: Mapping[str, Any], higher: Mapping[str, Any]) -> bool:
    """Whether the two complaints, alike but for a fact that is greater in `higher`, break a monotone invariant."""
    name = monotone.never_lowers or monotone.never_raises or ""
    before, after = policy.answer(lower).get(name), policy.answer(higher).get(name)
    if before is None or after is None:
        return False
    before, after = _as_seen(policy, name, before), _as_seen(policy, name, after)
    if monotone.lower is not None:
        before, after = after, before
    return bool(after < before if monotone.never_lowers is not None else after > before)


def with_value(facts: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The facts with another value at one path."""
    changed: dict[str, Any] = deepcopy(dict(facts))
    message = changed
    for step in path[:-1]:
        message = message[step]
    message[path[-1]] = value
    return changed
