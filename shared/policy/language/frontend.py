"""The official CEL front end: parses and type-checks a condition against the facts that it may read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, timestamp_pb2

from shared.policy.facts import Fact, FactSchema
from shared.policy.language import checked_tree
from shared.policy.language.tree import Type
from shared.policy.problems import did_you_mean

PACKAGE = "facts"
MAX_CHARACTERS = 4_000
FUNCTIONS = ("days", "hours")
_METHODS = ("size", "startsWith", "endsWith", "contains", "exists", "all", "filter", "map", "has")

_F = descriptor_pb2.FieldDescriptorProto
_PROTO_KINDS = {"bool": _F.TYPE_BOOL, "int": _F.TYPE_INT64, "double": _F.TYPE_DOUBLE, "string": _F.TYPE_STRING}
_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '(.*)' \(in container ''\)")
_NO_FIELD = re.compile(r"undefined field '(.*)' not found in struct '(?:facts\.)?(.*)'")
_PLAINER = {"invalid int literal": "the number is too large: whole numbers have 64 bits"}
_NO_OVERLOAD = re.compile(r"found no matching overload for '(.*)' applied to '(.*)'")


class ConditionRefused(Exception):
    """The condition is not valid. `offset` is the character at fault in its text."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a condition may name: the facts, and the qualified names (`variables.age`, `outcome.tier`) with their types.

    `words` holds the values that a qualified name of type string can take, where they are known.
    """

    schema: FactSchema
    names: Mapping[str, Type]
    words: Mapping[str, tuple[str, ...]]
    env: Any


def scope(
    schema: FactSchema,
    names: Mapping[str, Type] | None = None,
    words: Mapping[str, tuple[str, ...]] | None = None,
    functions: Mapping[str, Callable[[int], timedelta]] | None = None,
) -> Scope:
    """A scope of `schema` and further names. `functions` gives bodies for days and hours, to evaluate there (tests)."""
    names = dict(names or {})
    variables = {name: _cel_type(_fact_type(name, fact)) for name, fact in schema.facts.items()}
    variables |= {name: _cel_type(kind) for name, kind in names.items()}
    declared = [_function(name, (functions or {}).get(name)) for name in FUNCTIONS]
    return Scope(
        schema,
        names,
        dict(words or {}),
        cel.NewEnv(descriptor_pool=fact_messages(schema), variables=variables, functions=declared),
    )


def check(text: str, where: Scope) -> Any:
    """Parse and type-check. Returns the `CheckedExpr`. Raises ConditionRefused at the first fault."""
    if len(text) > MAX_CHARACTERS:
        raise ConditionRefused(0, f"a condition has at most {MAX_CHARACTERS} characters; this one has {len(text)}")
    try:
        return checked_tree.decode(where.env.compile(text).serialize())
    except (RuntimeError, ValueError) as error:
        raise _refusal(text, str(error), where) from None


def _function(name: str, body: Callable[..., Any] | None) -> Any:
    overload = cel.Overload(f"{name}(int)", return_type=cel.Type.DURATION, parameters=[cel.Type.INT], impl=body)
    return cel.FunctionDecl(name, [overload])


def message_name(path: str) -> str:
    """The name of the message type of a fact: complaint.customer -> complaint_customer."""
    return path.replace(".", "_")


def message_fact(facts: Mapping[str, Fact], name: str, prefix: str = "") -> Fact | None:
    """The fact whose message type has this name."""
    for key, fact in facts.items():
        if fact.kind == "message":
            if message_name(prefix + key) == name:
                return fact
            if (inner := message_fact(fact.fields, name, f"{prefix}{key}.")) is not None:
                return inner
    return None


def _fact_type(path: str, fact: Fact) -> Type:
    kind = Type("message", name=message_name(path)) if fact.kind == "message" else Type(fact.kind)
    return Type("list", of=kind) if fact.many else kind


def _cel_type(kind: Type) -> Any:
    if kind.kind == "list":
        assert kind.of is not None
        return cel.Type.List(_cel_type(kind.of))
    return cel.Type(f"{PACKAGE}.{kind.name}") if kind.kind == "message" else getattr(cel.Type, kind.kind.upper())


@lru_cache(maxsize=32)
def fact_messages(schema: FactSchema) -> Any:
    """The facts as protobuf messages in a pool: what lets the checker know nested fields."""
    pool = descriptor_pool.DescriptorPool()
    for well_known in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(well_known.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="facts.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fact in schema.facts.items():
        if fact.kind == "message":
            _add_message(file, name, fact)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_message(file: descriptor_pb2.FileDescriptorProto, path: str, fact: Fact) -> None:
    message = file.message_type.add(name=message_name(path))
    for number, (name, part) in enumerate(fact.fields.items(), start=1):
        field = message.field.add(name=name, number=number)
        field.label = _F.LABEL_REPEATED if part.many else _F.LABEL_OPTIONAL
        if part.kind == "message":
            field.type, field.type_name = _F.TYPE_MESSAGE, f".{PACKAGE}.{message_name(f'{path}.{name}')}"
            _add_message(file, f"{path}.{name}", part)
        elif part.kind == "timestamp":
            field.type, field.type_name = _F.TYPE_MESSAGE, ".google.protobuf.Timestamp"
        else:
            field.type = _PROTO_KINDS[part.kind]
            if part.optional and not part.many:  # has() must tell an empty value from a missing one
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{name}")


def _refusal(text: str, error: str, where: Scope) -> ConditionRefused:
    found = _ERROR.search(error)
    if found is None or int(found[1]) < 1:
        if "recursion" in error:
            return ConditionRefused(0, "nested too deeply; split it with variables")
        return ConditionRefused(0, f"the condition is not valid: {error.splitlines()[0][:200]}")
    line, column, message = int(found[1]), int(found[2]), found[3].removesuffix(" [INVALID_ARGUMENT]")
    offset = sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1
    return ConditionRefused(_name_start(text, min(offset, len(text)), message), _in_our_words(message, where))


def _name_start(text: str, offset: int, message: str) -> int:
    """The front end points at the last dot, or the bracket after a function's name; people look for the name."""
    if _NO_FIELD.fullmatch(message):
        return offset + text[offset:].startswith(".")
    if found := _UNDECLARED.fullmatch(message):
        before = found[1] if text[offset : offset + 1] == "(" else found[1].rpartition(".")[0]
        return offset - len(before) if text[:offset].endswith(before) else offset
    return offset


def _in_our_words(message: str, where: Scope) -> str:
    if found := _UNDECLARED.fullmatch(message):
        known = [*where.schema.paths(), *where.names, *FUNCTIONS, *_METHODS, "true", "false"]
        return f"unknown name '{found[1]}'{did_you_mean(found[1], known)}"
    if found := _NO_FIELD.fullmatch(message):
        name, parent = found[1], message_fact(where.schema.facts, found[2])
        known = list(parent.fields) if parent else []
        listed = "" if did_you_mean(name, known) else f"; it has {', '.join(known)}"
        return f"{found[2].replace('_', '.')} has no fact '{name}'{did_you_mean(name, known)}{listed}"
    if found := _NO_OVERLOAD.fullmatch(message):
        function, types = found[1].replace("_", "").replace("@", ""), found[2].strip("()").replace(f"{PACKAGE}.", "")
        types = types.replace("google.protobuf.Timestamp", "timestamp").replace("google.protobuf.Duration", "duration")
        return f"'{function}' cannot be applied to ({types}); values are never converted silently"
    if message.startswith("Syntax error: "):
        detail = message.removeprefix("Syntax error: ").split(" expecting ")[0]
        detail = detail.replace("mismatched input '<EOF>'", "the condition ends too early").replace(
            "'<EOF>'", "the end"
        )
        return f"not a valid condition: {detail}"
    return _PLAINER.get(message, message)
