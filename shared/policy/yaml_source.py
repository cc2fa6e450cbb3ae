"""YAML as policies may use it: plain data with positions, and nothing implicit.

Anchors, aliases, tags, duplicate keys, several documents, and words that YAML versions read differently (`no`, `on`,
`0x1f`, `1_000`) are refused. Size and depth are bounded before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from shared.policy.problems import Problem

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 16
MAX_NODES = 20_000

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_DOUBTFUL = re.compile(
    r"(?i:yes|no|on|off|y|n)|True|TRUE|False|FALSE|Null|NULL"
    r"|[-+]?[0-9][0-9_]*|\+[0-9.]+|0[xob][0-9a-f_]+|[-+]?\.(?i:inf|nan)|[-+]?[0-9.]+[eE][-+]?[0-9]+|[0-9]+(:[0-5][0-9])+"
)


class YamlRefused(Exception):
    """The text is not YAML that a policy may use."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


@dataclass(slots=True)
class Node:
    """A value and where it stands. `value` is a scalar, a list of Nodes, or a dict of text -> Node.

    `keys` of a mapping holds where each key stands. `start` and `end` are character positions of the scalar as written.
    """

    value: Any
    line: int
    column: int
    start: int = 0
    end: int = 0
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Any:
        """The bare data, without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def at(self, path: tuple[int | str, ...]) -> tuple[int, int]:
        """Line and column of the deepest part of `path` that exists: of the key itself where the last step is a key."""
        node, place = self, (self.line, self.column)
        for step in path:
            value = node.value
            if isinstance(value, dict) and step in value:
                place, node = node.keys[str(step)], value[step]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                node = value[step]
                place = (node.line, node.column)
            else:
                break
        return place


def parse(text: str) -> Node:
    """Read one document. Raises YamlRefused with the place and what to write instead."""
    if len(text) > MAX_CHARACTERS:
        raise YamlRefused(Problem(1, 1, None, f"the document is longer than {MAX_CHARACTERS // 1024} KiB"))
    try:
        events = iter(list(_bounded(YAML(typ="safe", pure=True).parse(text))))
        root = _document(events)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        message = f"not valid YAML: {error.problem or error.context}"
        if "but found '<scalar>'" in message:
            message += "; text that begins with a quote is quoted as a whole, as in '\"legal\" in complaint.tags'"
        raise YamlRefused(Problem(line, column, None, message)) from None
    except (YAMLError, ValueError, UnicodeError) as error:
        raise YamlRefused(Problem(1, 1, None, f"not valid YAML: {str(error).splitlines()[0]}")) from None
    return root


def _refuse(event: Event, message: str) -> YamlRefused:
    return YamlRefused(Problem(event.start_mark.line + 1, event.start_mark.column + 1, None, message))


def _bounded(events: Iterator[Event]) -> Iterator[Event]:
    """Pass the events on, but refuse what a policy may not use as soon as it appears."""
    depth = documents = nodes = 0
    for event in events:
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _refuse(event, "anchors and aliases (& and *) are not allowed: write the value out, or quote it")
        if getattr(event, "tag", None) not in (None, "!"):
            raise _refuse(event, "tags (!) are not allowed: quote the value if it is text")
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refuse(event, "one file holds one policy: remove the second document")
        nodes += isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent))
        depth += isinstance(event, (MappingStartEvent, SequenceStartEvent))
        depth -= isinstance(event, (MappingEndEvent, SequenceEndEvent))
        if nodes > MAX_NODES:
            raise _refuse(event, f"the document holds more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise _refuse(event, f"nested more than {MAX_DEPTH} levels deep")
        yield event


def _document(events: Iterator[Event]) -> Node:
    for event in events:
        if isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent)):
            return _node(event, events)
    raise YamlRefused(Problem(1, 1, None, "the file is empty"))


def _node(event: Event, events: Iterator[Event]) -> Node:
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    if isinstance(event, ScalarEvent):
        return Node(_scalar(event), line, column, event.start_mark.index, event.end_mark.index)
    if isinstance(event, SequenceStartEvent):
        items: list[Node] = []
        while not isinstance(part := next(events), SequenceEndEvent):
            items.append(_node(part, events))
        return Node(items, line, column)
    node = Node({}, line, column)
    while not isinstance(part := next(events), MappingEndEvent):
        key = _scalar(part) if isinstance(part, ScalarEvent) else None
        if not isinstance(key, str):
            raise _refuse(part, "a key must be text")
        if key in node.value:
            raise _refuse(part, f"the key '{key}' appears twice (first on line {node.keys[key][0]})")
        node.keys[key] = (part.start_mark.line + 1, part.start_mark.column + 1)
        node.value[key] = _node(next(events), events)
    return node


def _scalar(event: ScalarEvent) -> str | int | float | bool | None:
    """Quoted and block scalars are text. Unquoted: whole numbers, decimals, true, false, null, else text."""
    text: str = event.value
    if event.style is not None:
        if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
            raise _refuse(event, "half of a character (\\ud800 to \\udfff) is no text: write the whole character")
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "~", "null"):
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _DOUBTFUL.fullmatch(text):
        raise _refuse(
            event, f"YAML readers disagree about {text[:40]}: write true or false, a plain number, or quote it as text"
        )
    return text


def place_in(source: str, node: Node, offset: int) -> tuple[int, int]:
    """Line and column in the file of character `offset` of a text scalar, across folding, indentation and quotes."""
    raw, value = source[node.start : node.end], node.value
    at = 0
    if raw[:1] in ("|", ">"):
        at = raw.find("\n") + 1
    elif raw[:1] in ("'", '"'):
        at = 1
    for index, character in enumerate(value[: offset + 1]):
        if character.isspace():
            if at >= len(raw) or not raw[at].isspace():
                break
            if index == offset:
                break
            following = value[index + 1 : index + 2]
            at += 1
            if following and not following.isspace():
                while at < len(raw) and raw[at].isspace():
                    at += 1
            continue
        while at < len(raw) and raw[at] != character and (raw[at].isspace() or raw[at] in "\\"):
            at += 1
        if index == offset:
            break
        at += 2 if raw[0] == "'" and character == "'" else 1
    before = source[: node.start + min(at, len(raw))]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
