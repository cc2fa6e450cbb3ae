"""Reads and checks a mapping file: every problem with its line, its column and, for a misspelt name, what may be meant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from services.intake.adapters.expressions import ExpressionRefused, Get, cel_get, jmespath_get
from services.intake.adapters.mapping import (
    ALIASES,
    CSV_KEYS,
    DATE_WORDS,
    REST,
    RULE_KEYS,
    SETTINGS,
    TARGETS,
    TIMES,
    WORDS,
    Condition,
    CsvShape,
    Kind,
    MappingFile,
    MappingRefused,
    Rule,
)
from shared.policy.problems import Problem, did_you_mean
from shared.policy.yaml_source import Node, YamlRefused, parse, place_in

_SOME_TIME = datetime(2026, 11, 22, 13, 45, 59, tzinfo=UTC)


@lru_cache(maxsize=64)
def load(text: str, kind: Kind) -> MappingFile:
    """The mapping that a file holds. Raises MappingRefused with every problem in it."""
    return _Reader(text, kind).read()


@dataclass(slots=True)
class _Reader:
    text: str
    kind: Kind
    problems: list[Problem] = field(default_factory=list)

    def read(self) -> MappingFile:
        try:
            root = parse(self.text)
        except YamlRefused as refused:
            raise MappingRefused([refused.problem], self.text) from None
        if not isinstance(root.value, dict):
            raise MappingRefused(
                [Problem(1, 1, None, "a mapping is a YAML mapping: `fields:` and a line for each")], self.text
            )
        top: dict[str, Node] = root.value
        zone = self._zone(top.get("zone"))
        rules = self._rules(self._fields(root), zone)
        if not rules and not self.problems:
            self._problem(root, "no field is mapped; at least `text` or `record_id` is needed")
        if not {"record_id", "text", "html", "status", "subject"} & set(rules) and not self.problems:
            self._problem(
                root, "neither `record_id` nor `text` is mapped: without one of them there is no complaint to find"
            )
        ignore = tuple(str(node.value) for node in self._list(top.get("ignore")))
        named = [source for rule in rules.values() for source in rule.sources]
        if self.kind == "json":
            named = [re.split(r"[.\[|]", source)[0].strip('"') for source in named]
        made = MappingFile(
            version=self._whole(top.get("version"), 1),
            name=self._words(top.get("name"), "mapping"),
            system=self._words(top.get("system"), "csv" if self.kind == "csv" else "mapped"),
            digest=hashlib.sha256(self.text.encode()).hexdigest(),
            kind=self.kind,
            rules=rules,
            zone=zone,
            items=self._items(top.get("items")),
            rest=self._one_of(top.get("rest"), REST, "custom"),
            ignore=ignore,
            spoken=frozenset([*named, *ignore]),
            nulls=frozenset(str(node.value).strip().casefold() for node in self._list(top.get("nulls"))),
            csv=self._csv(top.get("csv")),
            set_aside=tuple(filter(None, (self._condition(node) for node in self._list(top.get("set_aside"))))),
        )
        if self.problems:
            raise MappingRefused(self.problems, self.text)
        return made

    # --- fields ---

    def _fields(self, root: Node) -> dict[str, tuple[Node, tuple[int, int]]]:
        """Field name -> its node and where the name stands. `customer:` and `custom:` may be written as a block."""
        found: dict[str, tuple[Node, tuple[int, int]]] = {}
        nested = root.value.get("fields")
        for key, node in root.value.items():
            if key in SETTINGS:
                continue
            if nested is not None or not self._is_field(key):
                known = SETTINGS if nested is not None else (*SETTINGS, *TARGETS, *ALIASES)
                self._problem(root.keys[key], f"'{key}' is no setting of a mapping{did_you_mean(key, known)}")
            else:
                self._field(found, key, node, root.keys[key])
        if nested is not None and isinstance(nested.value, dict):
            for key, node in nested.value.items():
                self._field(found, key, node, nested.keys[key])
        elif nested is not None:
            self._problem(nested, "`fields` is a mapping: a line `field: column or path` for each field")
        return found

    @staticmethod
    def _is_field(key: str) -> bool:
        return (
            key in TARGETS
            or key in ALIASES
            or key in ("customer", "custom", "money_claimed")
            or key.startswith("custom.")
        )

    def _field(self, found: dict[str, Any], key: str, node: Node, place: tuple[int, int]) -> None:
        if key in ("customer", "custom", "money_claimed") and isinstance(node.value, dict):
            for inner, each in node.value.items():
                self._field(found, f"{key}.{inner}", each, node.keys[inner])
            return
        target = ALIASES.get(key, key)
        if target not in TARGETS and not (target.startswith("custom.") and len(target) <= 64 + len("custom.")):
            known = (*TARGETS, *ALIASES)
            self._problem(
                place, f"'{key}' is no field of a complaint{did_you_mean(key, known)}; your own go under `custom.`"
            )
        elif target in found:
            self._problem(place, f"'{key}' is mapped twice")
        else:
            found[target] = (node, place)

    def _rules(self, fields: dict[str, tuple[Node, tuple[int, int]]], zone: ZoneInfo | None) -> dict[str, Rule]:
        return {
            target: rule
            for target, (node, place) in fields.items()
            if (rule := self._rule(target, node, place, zone)) is not None
        }

    def _rule(self, target: str, node: Node, place: tuple[int, int], zone: ZoneInfo | None) -> Rule | None:
        if not isinstance(node.value, dict):
            gets = self._paths(node)
            sources = tuple(str(n.value) for n in (node.value if isinstance(node.value, list) else [node]))
            return Rule(target, gets, sources, zone=zone, line=place[0], column=place[1])
        return self._long_rule(target, node, place, zone)

    def _long_rule(self, target: str, node: Node, place: tuple[int, int], zone: ZoneInfo | None) -> Rule | None:
        given: dict[str, Node] = node.value
        for key in given:
            if key not in RULE_KEYS:
                self._problem(node.keys[key], f"'{key}' is nothing that a field can have{did_you_mean(key, RULE_KEYS)}")
        origins = [key for key in ("from", "cel", "value") if key in given]
        if len(origins) != 1:
            self._problem(place, f"'{target}' needs exactly one of `from`, `cel` and `value`")
            return None
        gets: tuple[Get, ...] = ()
        sources: tuple[str, ...] = ()
        constant = None
        if "from" in given:
            gets = self._paths(given["from"])
            listed = given["from"].value if isinstance(given["from"].value, list) else [given["from"]]
            sources = tuple(str(n.value) for n in listed)
        elif "cel" in given:
            gets = tuple(filter(None, (self._cel(given["cel"]),)))
        else:
            constant = given["value"].plain()
            self._check_word(target, given["value"], constant)
        values = self._values(target, given.get("values"))
        for key in ("else", "default"):
            if key in given and not isinstance(given[key].value, dict | list):
                self._check_word(target, given[key], given[key].value)
        return Rule(
            target, gets, sources, constant, values, self._plain(given.get("else")), self._plain(given.get("default")),
            self._formats(target, given.get("format")), self._zone(given.get("zone")) or zone, self._region(given.get("region")),
            self._text_of(given.get("join")), self._text_of(given.get("split")), self._plain(given.get("optional")) is True, *place,
        )  # fmt: skip

    def _values(self, target: str, node: Node | None) -> dict[str, Any] | None:
        if node is None:
            return None
        if not isinstance(node.value, dict):
            self._problem(node, "`values` is a mapping: `their word: our word`")
            return None
        for each in node.value.values():
            self._check_word(target, each, each.value)
        return {key.strip().casefold(): each.plain() for key, each in node.value.items()}

    def _check_word(self, target: str, node: Node, word: Any) -> None:
        known = WORDS.get(target)
        for each in word if isinstance(word, list) else [word]:
            if known is not None and each is not None and each not in known:
                self._problem(
                    node, f"'{each}' is no {target}{did_you_mean(str(each), known)}; there are: {', '.join(known)}"
                )

    # --- expressions ---

    def _paths(self, node: Node) -> tuple[Get, ...]:
        nodes = node.value if isinstance(node.value, list) else [node]
        return tuple(filter(None, (self._path(each) for each in nodes)))

    def _path(self, node: Node) -> Get | None:
        if not isinstance(node.value, str) or not node.value:
            wanted = "the name of a column" if self.kind == "csv" else "a path (JMESPath)"
            self._problem(node, f"{wanted} is wanted here; text that looks like a number is quoted")
            return None
        if self.kind == "csv":
            column: str = node.value
            return lambda item: item.get(column)
        return self._jmespath(node)

    def _jmespath(self, node: Node) -> Get | None:
        return self._compiled(jmespath_get, node)

    def _cel(self, node: Node) -> Get | None:
        if not isinstance(node.value, str):
            self._problem(node, "a CEL expression is text")
            return None
        return self._compiled(cel_get, node)

    def _compiled(self, compile_: Callable[[str], Get], node: Node) -> Get | None:
        try:
            return compile_(str(node.value))
        except ExpressionRefused as refused:
            self._problem(place_in(self.text, node, refused.offset), refused.message)
            return None

    def _condition(self, node: Node) -> Condition | None:
        given = node.value
        if not isinstance(given, dict) or set(given) != {"when", "reason"}:
            self._problem(node, "an entry of `set_aside` has `when` (CEL) and `reason`")
            return None
        get = self._cel(given["when"])
        return None if get is None else Condition(get, str(given["reason"].value)[:255])

    def _items(self, node: Node | None) -> Get | None:
        if node is None:
            return None
        if self.kind == "csv":
            self._problem(node, "`items` is for JSON; in a CSV file each row is an item")
            return None
        return self._jmespath(node)

    # --- settings ---

    def _csv(self, node: Node | None) -> CsvShape:
        if node is None or not isinstance(node.value, dict):
            if node is not None:
                self._problem(node, f"`csv` is a mapping of: {', '.join(CSV_KEYS)}")
            return CsvShape()
        for key in node.value:
            if key not in CSV_KEYS:
                self._problem(node.keys[key], f"'{key}' is no setting of `csv`{did_you_mean(key, CSV_KEYS)}")
        shape = {key: each.value for key, each in node.value.items() if key in CSV_KEYS}
        delimiter = {"tab": "\t", "\\t": "\t"}.get(shape.get("delimiter", ""), shape.get("delimiter"))
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
            self._problem(node, "the delimiter is one character, quoted, or `tab`")
        encoding = shape.get("encoding")
        if encoding is not None and not _is_encoding(str(encoding)):
            self._problem(node, f"'{encoding}' is no encoding that Python knows; common ones: utf-8, utf-16, cp1252")
        return CsvShape(delimiter, shape.get("quote", '"'), encoding)

    def _zone(self, node: Node | None) -> ZoneInfo | None:
        if node is None:
            return None
        name = str(node.value)
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            self._problem(
                node, f"'{name}' is no time zone{did_you_mean(name, available_timezones())}; such as Europe/London"
            )
            return None

    def _formats(self, target: str, node: Node | None) -> tuple[str, ...]:
        formats = (
            tuple(str(each.value) for each in (node.value if isinstance(node.value, list) else [node])) if node else ()
        )
        if formats and target not in TIMES:
            self._problem(node, "`format` is for times")
        for each in formats:
            if each not in DATE_WORDS and not _is_format(each):
                self._problem(
                    node,
                    f"'{each}' is no time format; write it as Python does (%d/%m/%Y %H:%M), or {', '.join(DATE_WORDS)}",
                )
        return formats

    def _region(self, node: Node | None) -> str | None:
        if node is None:
            return None
        region = str(node.value).upper()
        if len(region) != 2 or not region.isalpha():
            self._problem(node, "a region is the two letters of a country, such as GB")
        return region

    def _list(self, node: Node | None) -> list[Node]:
        if node is None:
            return []
        return node.value if isinstance(node.value, list) else [node]

    def _one_of(self, node: Node | None, known: tuple[str, ...], default: str) -> str:
        if node is None:
            return default
        if node.value not in known:
            self._problem(node, f"one of {', '.join(known)} is wanted here{did_you_mean(str(node.value), known)}")
        return str(node.value)

    def _whole(self, node: Node | None, default: int) -> int:
        if node is None:
            return default
        if not isinstance(node.value, int) or isinstance(node.value, bool) or node.value < 1:
            self._problem(node, "the version is a whole number; raise it with every change")
            return default
        return node.value

    def _words(self, node: Node | None, default: str) -> str:
        if node is None:
            return default
        if not isinstance(node.value, str) or not 0 < len(node.value) <= 64:
            self._problem(node, "a name of at most 64 characters is wanted here")
            return default
        return node.value

    def _text_of(self, node: Node | None) -> str | None:
        if node is not None and not isinstance(node.value, str):
            self._problem(node, "text is wanted here; quote it")
            return None
        return None if node is None else node.value

    @staticmethod
    def _plain(node: Node | None) -> Any:
        return None if node is None else node.plain()

    def _problem(self, where: Node | tuple[int, int] | None, message: str) -> None:
        line, column = (
            where if isinstance(where, tuple) else (where.line, where.column) if where is not None else (1, 1)
        )
        self.problems.append(Problem(line, column, None, message))


def _is_format(text: str) -> bool:
    """Whether it is a format of a time in Python's signs: what it writes, it can read."""
    try:
        datetime.strptime(_SOME_TIME.strftime(text), text)  # noqa: DTZ007 - only whether it can be read
    except (ValueError, re.error):
        return False
    return "%" in text


def _is_encoding(name: str) -> bool:
    try:
        b"".decode(name)
    except (LookupError, ValueError):
        return False
    return True
