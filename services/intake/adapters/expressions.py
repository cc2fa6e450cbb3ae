"""What a mapping may compute: JMESPath for paths, CEL for values and conditions. Compiled once, with the place of a fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jmespath
from cel_expr_python import cel
from jmespath.exceptions import JMESPathError

Get = Callable[[Any], Any]
_CEL_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class ExpressionRefused(Exception):
    """The expression is not valid. `offset` is the character at fault."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        self.message = message
        super().__init__(message)


class ValueFailed(Exception):
    """An expression that does not work on an item. The message says why, without content."""


def jmespath_get(expression: str) -> Get:
    """What JMESPath finds in an item; None where it finds nothing. Raises ExpressionRefused."""
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as error:
        at = max(0, min(getattr(error, "lex_position", 0) or 0, len(expression) - 1))
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = """a key with other signs than letters, digits and _ is quoted inside the text: '"First name"'"""
        raise ExpressionRefused(at, f"not JMESPath: {message[:160]}; {hint}") from None

    def get(item: Any) -> Any:
        try:
            return compiled.search(item)
        except (JMESPathError, RecursionError, TypeError, ValueError) as error:
            raise ValueFailed(f"its path does not work on this item ({type(error).__name__})") from None

    return get


def cel_get(expression: str) -> Get:
    """What CEL works out from `item`. Raises ExpressionRefused. An item that is no object is `item.value`."""
    try:
        compiled = _environment().compile(expression)
    except RuntimeError as error:
        offset, message = _first_fault(str(error), expression)
        hint = 'an item\'s own values are `item.name` or `item["a name"]`'
        raise ExpressionRefused(offset, f"not CEL: {message}; {hint}") from None

    def get(item: Any) -> Any:
        try:
            found = compiled.eval(data={"item": item if isinstance(item, dict) else {"value": item}})
            if found.type() == cel.Type.ERROR:
                raise ValueFailed("its CEL finds no value in this item")
            return _plain(found.value())
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise ValueFailed(f"its CEL does not work on this item ({type(error).__name__})") from None

    return get


@lru_cache(maxsize=1)
def _environment() -> Any:
    return cel.NewEnv(variables={"item": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


def _first_fault(message: str, expression: str) -> tuple[int, str]:
    found = _CEL_ERROR.search(message)
    if found is None:
        return 0, message.splitlines()[0][:160]
    before = sum(len(line) + 1 for line in expression.split("\n")[: int(found.group(1)) - 1])
    return max(0, min(before + int(found.group(2)) - 1, len(expression) - 1)), found.group(3)[:160]


def _plain(value: Any) -> Any:
    """A CEL value as plain data."""
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _plain(value.value()) if hasattr(value, "value") else value
