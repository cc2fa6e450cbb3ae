"""Our evaluation gives what Google's gives: for random typed conditions, and for the corners that are easy to miss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shared.policy.facts import Fact, FactSchema
from shared.policy.language.frontend import ConditionRefused
from tests.policy.oracle import ERROR, Oracle

ENTRY = {
    "k": Fact("string"),
    "n": Fact("int"),
    "at": Fact("timestamp"),
    "o": Fact("int", optional=True),
}
SCHEMA = FactSchema(
    "everything/1",
    "none",
    {
        "as_of": Fact("timestamp"),
        "c": Fact(
            "message",
            fields={
                "n": Fact("int"),
                "m": Fact("int"),
                "d": Fact("double"),
                "s": Fact("string"),
                "b": Fact("bool"),
                "at": Fact("timestamp"),
                "o": Fact("string", optional=True),
                "p": Fact("timestamp", optional=True),
                "tags": Fact("string", many=True),
                "ns": Fact("int", many=True),
                "ds": Fact("double", many=True),
                "h": Fact("message", many=True, fields=ENTRY),
                "inner": Fact("message", fields={"b": Fact("bool"), "n": Fact("int")}),
            },
        ),
    },
)
ORACLE = Oracle(SCHEMA)

INTS = [-(2**63), -(2**63) + 1, -2, -1, 0, 1, 2, 3, 90, 106_751, 106_752, 2**31, 2**62, 2**63 - 1]
DOUBLES = [-1e308, -1.5, -0.0, 0.0, 0.1, 0.2, 0.3, 1.0, 2.5, 1e16, 1e308]
STRINGS = ["", "a", "b", "ab", "é", "😀", "z", 'say "no"', "\\d", "A\tB\n"]


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


class Conditions:
    """Makes the text of typed expressions. `x` says what the loop variable x holds; "" outside of a loop."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.choice = random.choice

    def pick(self, *choices: Callable[[], str]) -> str:
        return self.choice(choices)()

    def int(self, depth: int, x: str = "") -> str:
        leaves = [
            lambda: str(self.choice(INTS)), lambda: str(self.random.randint(1, 3)), lambda: "c.n", lambda: "c.m", lambda: "c.inner.n",
            *([lambda: "x.n"] if x == "message" else [lambda: "x"] if x == "int" else []),
        ]  # fmt: skip
        if depth <= 0:
            return self.pick(*leaves)
        sub = lambda: self.int(depth - 1, x)  # noqa: E731
        return self.pick(
            *leaves, lambda: f"({sub()} + {sub()})", lambda: f"({sub()} - {sub()})", lambda: f"({sub()} * {sub()})",
            lambda: f"-({sub()})",
            lambda: f"size({self.list(depth - 1, x)})", lambda: f"{self.string(depth - 1, x)}.size()",
            lambda: f"({self.bool(depth - 1, x)} ? {sub()} : {sub()})",
        )  # fmt: skip

    def double(self, depth: int, x: str = "") -> str:
        leaves = [
            lambda: repr(self.choice(DOUBLES)),
            lambda: "c.d",
            *([lambda: "x"] if x == "double" else []),
        ]
        if depth <= 0:
            return self.pick(*leaves)
        sub = lambda: self.double(depth - 1, x)  # noqa: E731
        return self.pick(
            *leaves, lambda: f"({sub()} + {sub()})", lambda: f"({sub()} - {sub()})", lambda: f"({sub()} * {sub()})",
            lambda: f"-({sub()})",
        )  # fmt: skip

    def string(self, depth: int, x: str = "") -> str:
        leaves = [
            lambda: quoted(self.choice(STRINGS)), lambda: "c.s",
            *([lambda: "x.k"] if x == "message" else [lambda: "x"] if x == "string" else []),
        ]  # fmt: skip
        if depth <= 0:
            return self.pick(*leaves)
        sub = lambda: self.string(depth - 1, x)  # noqa: E731
        return self.pick(*leaves, lambda: f"({sub()} + {sub()})", lambda: f"(has(c.o) ? c.o : {sub()})")

    def instant(self, depth: int, x: str = "") -> str:
        leaves = [lambda: "as_of", lambda: "c.at", *([lambda: "x.at"] if x == "message" else [])]
        if depth <= 0:
            return self.pick(*leaves)
        sub = lambda: self.instant(depth - 1, x)  # noqa: E731
        return self.pick(
            *leaves, lambda: f"({sub()} + {self.span(depth - 1, x)})", lambda: f"({self.span(depth - 1, x)} + {sub()})",
            lambda: f"({sub()} - {self.span(depth - 1, x)})", lambda: f"(has(c.p) ? c.p : {sub()})",
        )  # fmt: skip

    def span(self, depth: int, x: str = "") -> str:
        leaves = [
            lambda: f"days({self.choice([0, 1, -1, 90, 100_000, 106_752])})",
            lambda: f"hours({self.choice([0, 24, -2160, 2_562_047, 2_562_048])})",
        ]
        if depth <= 0:
            return self.pick(*leaves)
        sub = lambda: self.span(depth - 1, x)  # noqa: E731
        return self.pick(
            *leaves, lambda: f"days({self.int(depth - 1, x)})", lambda: f"({sub()} + {sub()})",
            lambda: f"({sub()} - {sub()})", lambda: f"({self.instant(depth - 1, x)} - {self.instant(depth - 1, x)})",
        )  # fmt: skip

    def list(self, depth: int, x: str = "") -> str:
        kind = self.choice(["string", "int", "double"])
        return self.list_of(kind, depth, x)

    def list_of(self, kind: str, depth: int, x: str = "") -> str:
        facts = {"string": "c.tags", "int": "c.ns", "double": "c.ds", "message": "c.h"}
        make = {"string": self.string, "int": self.int, "double": self.double}
        if depth <= 0:
            return facts[kind]
        over = self.choice(["string", "int", "double", "message"])
        choices = [lambda: facts[kind]]
        if kind in make:
            choices.append(lambda: f"[{make[kind](depth - 1, x)}, {make[kind](depth - 1, x)}]")
        if not x:
            loop = self.list_of(over, depth - 1)
            choices.append(lambda: f"{self.list_of(kind, depth - 1)}.filter(x, {self.bool(depth - 1, kind)})")
            if kind in make:
                choices.append(lambda: f"{loop}.map(x, {make[kind](depth - 1, over)})")
                choices.append(lambda: f"{loop}.map(x, {self.bool(depth - 1, over)}, {make[kind](depth - 1, over)})")
        return self.pick(*choices)

    def bool(self, depth: int, x: str = "") -> str:
        leaves = [
            lambda: "true", lambda: "false", lambda: "c.b", lambda: "c.inner.b", lambda: "has(c.o)", lambda: "has(c.p)",
            *([lambda: "has(x.o)"] if x == "message" else []),
        ]  # fmt: skip
        if depth <= 0:
            return self.pick(*leaves)
        sub = lambda: self.bool(depth - 1, x)  # noqa: E731
        order = lambda: self.choice(["<", "<=", ">", ">=", "==", "!="])  # noqa: E731

        def compared() -> str:
            make = self.choice([self.int, self.double, self.string, self.instant, self.span])
            of = self.choice([0, depth - 1])
            return f"({make(of, x)} {order()} {make(of, x)})"

        def belongs() -> str:
            kind = self.choice(["string", "int", "double"])
            make = {"string": self.string, "int": self.int, "double": self.double}[kind]
            return f"({make(depth - 1, x)} in {self.list_of(kind, depth - 1, x)})"

        def same_lists() -> str:
            kind = self.choice(["string", "int", "double"])
            sign = self.choice(["==", "!="])
            return f"({self.list_of(kind, depth - 1, x)} {sign} {self.list_of(kind, depth - 1, x)})"

        def text() -> str:
            function = self.choice(["contains", "startsWith", "endsWith"])
            return f"{self.string(depth - 1, x)}.{function}({self.string(depth - 1, x)})"

        def chain() -> str:
            sign = self.choice([" && ", " || "])
            return f"({sign.join(sub() for _ in range(self.random.randint(2, 4)))})"

        choices = [
            *leaves, *[compared] * 6, belongs, same_lists, text, chain, chain, chain, lambda: f"!({sub()})",
            lambda: f"({sub()} ? {sub()} : {sub()})",
        ]  # fmt: skip
        if x == "message":
            choices.append(lambda: f"(has(x.o) && x.o {order()} {self.int(depth - 1, x)})")
        if not x:
            kind = self.choice(["string", "int", "double", "message"])
            macro = self.choice(["exists", "all"])
            choices += [lambda: f"{self.list_of(kind, depth - 1)}.{macro}(x, {self.bool(depth - 1, kind)})"] * 2
        return self.pick(*choices)


def expression(seed: int) -> str:
    random = Random(seed)
    make = Conditions(random)
    kind = random.choice([make.bool] * 4 + [make.int, make.double, make.string, make.instant, make.span, make.list])
    return kind(random.randint(1, 4))


def complaints(count: int) -> Iterator[dict[str, Any]]:
    """Facts in which equal values, values at the edges and missing fields are all common. Always the same ones."""
    random = Random(7)

    def instant() -> datetime:
        if random.random() < 0.4:
            return datetime(2026, 3, random.randint(1, 3), tzinfo=UTC)
        return datetime.fromtimestamp(random.randint(-8_000_000_000, 10_000_000_000), UTC)

    def number() -> int:
        return random.choice(INTS if random.random() < 0.4 else [1, 2, 3])

    def several(make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(random.choice([0, 1, 2, 2, 3]))]

    def maybe(name: str, make: Callable[[], Any]) -> dict[str, Any]:
        return {name: make()} if random.random() < 0.5 else {}

    def text() -> str:
        return random.choice(STRINGS)

    def double() -> float:
        return random.choice(DOUBLES)

    for _ in range(count):
        yield {
            "as_of": instant(),
            "c": {
                "n": number(), "m": number(), "d": double(), "s": text(), "b": random.random() < 0.5, "at": instant(),
                "tags": several(text), "ns": several(number), "ds": several(double),
                "h": several(lambda: {"k": text(), "n": number(), "at": instant(), **maybe("o", number)}),
                "inner": {"b": random.random() < 0.5, "n": number()}, **maybe("o", text), **maybe("p", instant),
            },
        }  # fmt: skip


CASES = [(facts, ORACLE.data(facts)) for facts in complaints(24)]


@settings(max_examples=2500, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 2**32 - 1))
def test_random_expressions_give_what_googles_evaluator_gives(seed: int) -> None:
    text = expression(seed)
    try:
        google = ORACLE.google(text)
    except RuntimeError as error:
        assume("recursion" not in str(error))
        raise
    try:
        ours = ORACLE.ours(text)
    except ConditionRefused as refused:
        assume("nested" not in refused.message)
        raise
    for facts, data in CASES:
        assert same(ours(facts), google(data)), (text, facts)


def same(ours: Any, google: Any) -> bool:
    """Equal, of the same type; NaN is the same as NaN here, and 0.0 is not the same as -0.0."""
    if isinstance(ours, list) and isinstance(google, list):
        return len(ours) == len(google) and all(map(same, ours, google))
    if isinstance(ours, datetime):
        return ours == (google if google.tzinfo else google.replace(tzinfo=UTC))
    return type(ours) is type(google) and (repr(ours) == repr(google) if isinstance(ours, float) else ours == google)


OVERFLOW = "c.n + 9223372036854775807 > 0"
NAN = "(1e308 * 10.0 - 1e308 * 10.0)"
FACTS = {
    "as_of": datetime(2026, 3, 2, tzinfo=UTC),
    "c": {
        "n": 1, "m": 3, "d": 1.5, "s": "x", "b": True, "at": datetime(2026, 3, 1, tzinfo=UTC), "tags": ["a"],
        "ns": [1, 2], "ds": [0.5], "h": [{"k": "a", "n": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}],
        "inner": {"b": False, "n": 0},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (OVERFLOW, ERROR),
        (f"{OVERFLOW} || true", True),
        (f"true || {OVERFLOW}", True),
        (f"{OVERFLOW} || false", ERROR),
        (f"{OVERFLOW} && false", False),
        (f"{OVERFLOW} && true", ERROR),
        (f"false || {OVERFLOW} || c.m == 3", True),
        (f"true && {OVERFLOW} && c.m != 3", False),
        (f"!({OVERFLOW})", ERROR),
        (f"({OVERFLOW}) ? true : true", ERROR),
        ("[1, 0].exists(x, x + 9223372036854775807 > 0)", True),
        ("[0, 1].exists(x, x + 9223372036854775807 < 0)", ERROR),
        ("[1, 0].all(x, x + 9223372036854775807 < 0)", False),
        ("[0, 1].all(x, x + 9223372036854775807 > 0)", ERROR),
        ("[0, 1].filter(x, x + 9223372036854775807 > 0).size() == 1", ERROR),
        (f"{NAN} == {NAN}", False),
        (f"[{NAN}].exists(x, x == x)", False),
        (f"[{NAN}].exists(x, x in [x])", False),
        (f"[{NAN}].all(x, [x] != [x])", True),
        ("9223372036854775807 * 2 > 0", ERROR),
        ("-c.n - 9223372036854775807 == -9223372036854775808", True),
        ("-(-9223372036854775807 - c.n) > 0", ERROR),
        ("days(106752) > days(0)", ERROR),
        ("days(106000) + days(1000) > days(0)", ERROR),
        ('size("😀é") == 2', True),
        ('"Z" < "a" && "z" < "é"', True),
        ("0.1 + 0.2 == 0.3", False),
        ("[] == c.tags.filter(x, x == 'b')", True),
        ("has(c.o)", False),
        ("c.h.exists(x, has(x.o))", False),
        ("days(1) == hours(24)", True),
        ("as_of - c.at == days(1)", True),
    ],
)
def test_corners(text: str, value: Any) -> None:
    assert ORACLE.ours(text)(FACTS) == value
    assert ORACLE.google(text)(ORACLE.data(FACTS)) == value
