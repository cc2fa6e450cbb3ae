"""Takes the front end's tree over into ours, and refuses whatever `cel-subset/1` does not admit.

The subset is what is listed here: no regular expressions, no conversions, no index, no maps, no division, no loop
inside a loop. So the cost of a condition is bounded by its text and by the caps on lists of facts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.policy.facts import Fact
from shared.policy.language.frontend import PACKAGE, ConditionRefused, Scope, check, message_fact
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
    Type,
    Variable,
)

MAX_DEPTH = 24

_COMPARED = ("int64", "double", "string", "timestamp", "duration")
ADMITTED = {
    "logical_not", "equals", "not_equals", "in_list",
    *(f"{order}_{kind}" for order in ("less", "less_equals", "greater", "greater_equals") for kind in _COMPARED),
    "add_int64", "add_double", "add_string",
    "add_timestamp_duration", "add_duration_timestamp", "add_duration_duration",
    "subtract_int64", "subtract_double", "subtract_timestamp_timestamp", "subtract_timestamp_duration",
    "subtract_duration_duration", "multiply_int64", "multiply_double", "negate_int64", "negate_double",
    "size_list", "list_size", "size_string", "string_size", "contains_string", "starts_with_string", "ends_with_string",
    "days(int)", "hours(int)",
}  # fmt: skip
_PRIMITIVES = {1: Type("bool"), 2: Type("int"), 4: Type("double"), 5: Type("string")}
_WELL_KNOWN = {2: Type("timestamp"), 3: Type("duration")}
_INSTEAD = {
    "duration": "write days(n) or hours(n)",
    "matches": "there are no regular expressions; use contains, startsWith, endsWith or in",
    "_/_": "there is no division; multiply the other side",
    "_%_": "there is no remainder",
    "_[_]": "there is no index; use exists, all, filter or map",
    "timestamp": "as_of is the only clock; compare facts with it",
    "exists_one": "use filter(...).size() == 1",
}


def admit(text: str, scope: Scope) -> Node:
    """Check the condition and return its tree. Raises ConditionRefused."""
    checked = check(text, scope)
    return _Reader(checked, scope, text).read(checked.expr, {}, 1)


class _Reader:
    """One checked expression: types, overloads and places by the id of a node."""

    def __init__(self, checked: Any, scope: Scope, text: str) -> None:
        self._scope = scope
        self._text = text
        self._types = {entry.key: entry.value for entry in checked.type_map}
        self._overloads = {entry.key: tuple(entry.value.overload_id) for entry in checked.reference_map}
        self._offsets = {entry.key: entry.value for entry in checked.source_info.positions}

    def read(self, expr: Any, entries: dict[str, Entry], depth: int) -> Node:
        """`entries` are the loop variables in sight."""
        if depth > MAX_DEPTH:
            raise self._refused(expr, f"nested more than {MAX_DEPTH} levels deep; split it with variables")
        kind = expr.WhichOneof("kind")
        if kind == "const_expr":
            return self._literal(expr)
        if kind == "ident_expr":
            return self._name(expr, entries)
        if kind == "select_expr":
            return self._select(expr, entries, depth)
        if kind == "call_expr":
            return self._call(expr, entries, depth)
        if kind == "list_expr":
            if expr.list_expr.optional_indices:
                raise self._refused(expr, "optional entries are not part of cel-subset/1")
            items = tuple(self.read(item, entries, depth + 1) for item in expr.list_expr.elements)
            self._no_messages(items)
            return ListOf(type=self._type(expr), offset=self._offset(expr), items=items)
        if kind == "comprehension_expr":
            return self._loop(expr, entries, depth)
        raise self._refused(expr, "maps and messages cannot be built; cel-subset/1 has only lists")

    def _offset(self, expr: Any) -> int:
        """Where the node begins; of an operator, where it stands. The front end gives a function's bracket."""
        offset = int(self._offsets.get(expr.id, 0))
        if self._text[offset : offset + 1] == "(":
            while offset and (self._text[offset - 1].isalnum() or self._text[offset - 1] == "_"):
                offset -= 1
        return offset

    def _refused(self, expr: Any, message: str) -> ConditionRefused:
        return ConditionRefused(self._offset(expr), message)

    def _type(self, expr: Any) -> Type:
        found = _type_of(self._types.get(expr.id))
        if found is None:
            raise self._refused(expr, "values of this type cannot be used: lists hold one type, and there are no maps, "
                                      "bytes, unsigned numbers or null")  # fmt: skip
        return found

    def _literal(self, expr: Any) -> Node:
        kind = expr.const_expr.WhichOneof("kind")
        if kind not in ("bool_value", "int64_value", "double_value", "string_value"):
            raise self._refused(expr, f"{kind.removesuffix('_value')} constants are not part of cel-subset/1")
        return Literal_(type=self._type(expr), offset=self._offset(expr), value=getattr(expr.const_expr, kind))

    def _name(self, expr: Any, entries: dict[str, Entry]) -> Node:
        name, offset = expr.ident_expr.name.removeprefix("."), self._offset(expr)
        if name in entries:
            entry = entries[name]
            return Entry(type=entry.type, offset=offset, name=name, fact=entry.fact)
        if name in self._scope.names:
            return Variable(type=self._scope.names[name], offset=offset, name=name)
        if name in self._scope.schema.facts:
            return FactAt(type=self._type(expr), offset=offset, path=(name,), fact=self._scope.schema.facts[name])
        raise self._refused(expr, f"'{name}' cannot be used as a value")

    def _select(self, expr: Any, entries: dict[str, Entry], depth: int) -> Node:
        select = expr.select_expr
        of = self.read(select.operand, entries, depth + 1)
        offset = of.offset
        kind = Type("bool") if select.test_only else self._type(expr)
        node: FactAt | Member
        if isinstance(of, FactAt) and select.field in of.fact.fields:
            fact = of.fact.fields[select.field]
            node = FactAt(type=kind, offset=offset, path=(*of.path, select.field), fact=fact)
        elif isinstance(of, Entry | Member) and of.fact is not None and select.field in of.fact.fields:
            node = Member(type=kind, offset=offset, of=of, name=select.field, fact=of.fact.fields[select.field])
        else:
            raise ConditionRefused(
                offset, f"'.{select.field}' can only follow a fact or the variable of a loop over facts"
            )
        if not select.test_only:
            return node
        if node.fact.many:
            raise ConditionRefused(offset, "a list is always present; ask for its size()")
        return Present(type=Type("bool"), offset=offset, of=node)

    def _call(self, expr: Any, entries: dict[str, Entry], depth: int) -> Node:
        call, offset = expr.call_expr, self._offset(expr)
        if call.function in ("_&&_", "_||_"):
            terms = self._terms(expr, call.function, entries, depth)
            return Junction(type=Type("bool"), offset=offset, every=call.function == "_&&_", terms=terms)
        given = ([call.target] if call.HasField("target") else []) + list(call.args)
        overload = self._overloads.get(expr.id, ())
        if call.function == "_?_:_":
            condition, then, otherwise = (self.read(arg, entries, depth + 1) for arg in given)
            self._no_messages((then, otherwise))
            return Choice(type=self._type(expr), offset=offset, condition=condition, then=then, otherwise=otherwise)
        if len(overload) != 1 or overload[0] not in ADMITTED:
            name = call.function.replace("_", "").replace("@", "")
            instead = _INSTEAD.get(call.function, "see the language's list of operators and functions")
            raise self._refused(expr, f"'{name}' is not part of cel-subset/1 here: {instead}")
        args = tuple(self.read(arg, entries, depth + 1) for arg in given)
        if overload[0] not in ("size_list", "list_size"):
            self._no_messages(args)
        return Call(type=self._type(expr), offset=offset, overload=overload[0], args=args)

    def _no_messages(self, nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            if _holds_messages(node.type):
                raise ConditionRefused(node.offset, "a whole message cannot be compared or chosen; use its fields")

    def _terms(self, expr: Any, function: str, entries: dict[str, Entry], depth: int) -> tuple[Node, ...]:
        """The operands of a chain of && or ||, flattened; a chain counts as one level."""
        found: list[Node] = []
        for arg in expr.call_expr.args:
            if arg.WhichOneof("kind") == "call_expr" and arg.call_expr.function == function:
                found.extend(self._terms(arg, function, entries, depth))
            else:
                found.append(self.read(arg, entries, depth + 1))
        return tuple(found)

    def _loop(self, expr: Any, entries: dict[str, Entry], depth: int) -> Node:
        loop = expr.comprehension_expr
        if entries:
            raise self._refused(expr, "a loop inside a loop is not allowed; compute the inner list as a variable first")
        over = self.read(loop.iter_range, entries, depth + 1)
        name = loop.iter_var
        if over.type.of is None or loop.iter_var2:
            raise self._refused(expr, "only lists can be looped over, with one loop variable")
        if name in self._scope.schema.facts or name in ("variables", "outcome"):
            raise self._refused(expr, f"the loop variable '{name}' hides a fact of that name; call it something else")
        entry = Entry(type=over.type.of, offset=self._offset(expr), name=name, fact=self._entry_fact(over))
        shape = _macro(loop)
        if shape is None:
            raise self._refused(expr, f"only exists, all, filter and map are allowed; {_INSTEAD['exists_one']}")
        macro, condition, result = shape
        inside = {name: entry}
        return Loop(
            type=self._type(expr), offset=self._offset(expr), macro=macro, entry=entry, over=over,
            condition=None if condition is None else self.read(condition, inside, depth + 1),
            result=None if result is None else self.read(result, inside, depth + 1),
        )  # fmt: skip

    def _entry_fact(self, over: Node) -> Fact | None:
        if isinstance(over, FactAt):
            return replace(over.fact, many=False)
        if isinstance(over, Loop) and isinstance(over.result, (FactAt, Member)):
            return over.result.fact
        kind = over.type.of
        assert kind is not None
        return message_fact(self._scope.schema.facts, kind.name) if kind.kind == "message" else None


def _holds_messages(kind: Type) -> bool:
    return kind.kind == "message" or (kind.of is not None and _holds_messages(kind.of))


def _type_of(found: Any) -> Type | None:
    if found is None:
        return None
    kind = found.WhichOneof("kind")
    if kind == "primitive":
        return _PRIMITIVES.get(found.primitive)
    if kind == "well_known":
        return _WELL_KNOWN.get(found.well_known)
    if kind == "message_type":
        return Type("message", name=found.message_type.removeprefix(f"{PACKAGE}."))
    if kind == "list_type":
        of = _type_of(found.list_type.elem_type)
        return None if of is None else Type("list", of=of)
    return None


def _macro(loop: Any) -> tuple[Any, Any, Any] | None:
    """(macro, condition, result) of an expanded macro, recognised by its exact shape; None for any other loop."""
    step, initial = loop.loop_step, loop.accu_init
    if not _is_accumulator(loop.result, loop):
        return None
    function = step.call_expr.function
    args = step.call_expr.args
    if initial.WhichOneof("kind") == "const_expr" and initial.const_expr.WhichOneof("kind") == "bool_value":
        start = initial.const_expr.bool_value
        if function == ("_&&_" if start else "_||_") and len(args) == 2 and _is_accumulator(args[0], loop):
            return ("all" if start else "exists"), args[1], None
        return None
    if initial.WhichOneof("kind") != "list_expr" or initial.list_expr.elements:
        return None
    condition = None
    if function == "_?_:_" and _is_accumulator(args[2], loop):
        condition, step = args[0], args[1]
        function, args = step.call_expr.function, step.call_expr.args
    if function != "_+_" or len(args) != 2 or not _is_accumulator(args[0], loop):
        return None
    made = args[1].list_expr.elements
    if len(made) != 1:
        return None
    if condition is not None and made[0].ident_expr.name == loop.iter_var:
        return "filter", condition, None
    return "map", condition, made[0]


def _is_accumulator(expr: Any, loop: Any) -> bool:
    return bool(expr.WhichOneof("kind") == "ident_expr" and expr.ident_expr.name == loop.accu_var)
