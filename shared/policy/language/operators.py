"""The operators and functions of `cel-subset/1` in Python, by the front end's overload ids.

Where Python means the same as CEL its operator is used as it is; the rest is bounded or written out here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shared.policy.language.loading import Compiled, Fault, Values

# CEL computes with durations as 64-bit nanoseconds: about 292 years. Python's finest step is the microsecond.
_LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

_Two = Callable[[Compiled, Compiled], Compiled]


def one_argument(overload: str) -> Callable[[Any], Any] | None:
    """The function of an overload with one argument."""
    return _ONE.get(overload)


def two_arguments(overload: str, *, doubles_in_list: bool) -> Callable[[Compiled, Compiled], Compiled]:
    """Builds the function of an overload with two arguments from those of its arguments."""
    if doubles_in_list and overload in _DOUBLES_IN_LIST:
        return _DOUBLES_IN_LIST[overload]
    if overload in _TWO:
        return _TWO[overload]
    sign, _, kind = overload.partition("_")
    if sign in _SIGNS:
        return _arithmetic(_SIGNS[sign], _BOUNDS.get(kind))
    return _COMPARE[_comparison(overload)][0]


def slot_with_constant(overload: str) -> Callable[[int, Any], Compiled] | None:
    """Builds a comparison of a slot with a constant, the commonest condition by far; None for other overloads."""
    comparison = _COMPARE.get(_comparison(overload))
    return comparison[1] if comparison is not None else None


def _comparison(overload: str) -> str:
    """less_int64 -> less; equals as it is."""
    return overload if overload in _COMPARE else overload.rpartition("_")[0]


_COMPARE: dict[str, tuple[_Two, Callable[[int, Any], Compiled]]] = {
    "equals": (lambda a, b: lambda v: a(v) == b(v), lambda i, c: lambda v: v[i] == c),
    "not_equals": (lambda a, b: lambda v: a(v) != b(v), lambda i, c: lambda v: v[i] != c),
    "less": (lambda a, b: lambda v: a(v) < b(v), lambda i, c: lambda v: v[i] < c),
    "less_equals": (lambda a, b: lambda v: a(v) <= b(v), lambda i, c: lambda v: v[i] <= c),
    "greater": (lambda a, b: lambda v: a(v) > b(v), lambda i, c: lambda v: v[i] > c),
    "greater_equals": (lambda a, b: lambda v: a(v) >= b(v), lambda i, c: lambda v: v[i] >= c),
}


def _int64(value: int) -> int:
    if _LOWEST <= value <= _HIGHEST:
        return value
    raise Fault("a whole number is out of range (64 bits)")


def _length(value: timedelta) -> timedelta:
    if -_LONGEST <= value <= _LONGEST:
        return value
    raise Fault("a duration is out of range")


def span(**units: int) -> timedelta:
    """A duration. Raises Fault beyond 292 years."""
    try:
        return _length(timedelta(**units))
    except OverflowError:
        raise Fault("a duration is out of range") from None


def _arithmetic(build: _Two, bound: Callable[[Any], Any] | None) -> _Two:
    def bounded(a: Compiled, b: Compiled) -> Compiled:
        operate = build(a, b)

        def compute(v: Values) -> Any:
            try:
                return operate(v) if bound is None else bound(operate(v))
            except OverflowError:
                raise Fault("a time or duration is out of range") from None

        return compute

    return bounded


_BOUNDS: dict[str, Callable[[Any], Any]] = {"int64": _int64, "duration_duration": _length}
_SIGNS: dict[str, _Two] = {
    "add": lambda a, b: lambda v: a(v) + b(v),
    "subtract": lambda a, b: lambda v: a(v) - b(v),
    "multiply": lambda a, b: lambda v: a(v) * b(v),
}
_ONE: dict[str, Callable[[Any], Any]] = {
    "logical_not": lambda a: not a,
    "negate_int64": lambda a: _int64(-a),
    "negate_double": lambda a: -a,
    "days(int)": lambda n: span(days=n),
    "hours(int)": lambda n: span(hours=n),
    **dict.fromkeys(("size_list", "list_size", "size_string", "string_size"), len),
}
_TWO: dict[str, _Two] = {
    "in_list": lambda a, b: lambda v: a(v) in b(v),
    "contains_string": lambda a, b: lambda v: b(v) in a(v),
    "starts_with_string": lambda a, b: lambda v: a(v).startswith(b(v)),
    "ends_with_string": lambda a, b: lambda v: a(v).endswith(b(v)),
    # The difference of two times cannot overflow in Python, so the loop over past complaints is spared the handler.
    "subtract_timestamp_timestamp": lambda a, b: lambda v: _length(a(v) - b(v)),
}
# Python's `in` and == on lists take an object as equal to itself; CEL's NaN is equal to nothing.
_DOUBLES_IN_LIST: dict[str, _Two] = {
    "in_list": lambda a, b: lambda v: any(each == x for x in (a(v),) for each in b(v)),
    "equals": lambda a, b: lambda v: _equal_doubles(a(v), b(v)),
    "not_equals": lambda a, b: lambda v: not _equal_doubles(a(v), b(v)),
}


def _equal_doubles(a: list[float], b: list[float]) -> bool:
    return len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True))
