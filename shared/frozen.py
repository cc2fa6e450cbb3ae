"""Frozen dataclasses for what is made for every event: held frozen by the type checker, not once more by the interpreter.

A frozen dataclass of Python writes each of its fields through `object.__setattr__`: one of 17 fields takes five times as
long to make as one that is not, and a decision makes dozens of them. So here `frozen=True` is what mypy enforces (strict, in
CI), and equality and hash are those of a frozen dataclass; at run time it is a plain one. Used as `dataclasses` is:

    from shared.frozen import dataclass, field, replace
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

__all__ = ["dataclass", "field", "replace"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass, replace
else:

    def dataclass(*, frozen=False, eq=True, **options):
        """As of `dataclasses`, without its check at run time that nothing is written."""
        return dataclasses.dataclass(eq=eq, unsafe_hash=frozen and eq, **options)

    def replace(old, /, **changes):
        """As of `dataclasses`: the same but for `changes`."""
        places, read = _places(type(old))
        values = list(read(old))
        for name, value in changes.items():
            values[places[name]] = value
        return type(old)(*values)


@cache
def _places(of: type) -> tuple[dict[str, int], Callable[[object], tuple[object, ...]]]:
    """The names of the fields of such an object in the order of its `__init__`, each with its place in it; and what reads
    them all at once."""
    names = [each.name for each in dataclasses.fields(of)]
    # attrgetter of one name gives the value itself.
    read = attrgetter(*names) if len(names) > 1 else lambda old: tuple(getattr(old, name) for name in names)
    return {name: place for place, name in enumerate(names)}, read
