"""Reads what the official front end serializes: `cel.expr.CheckedExpr`, wrapped in an `Any`.

Only the parts of cel/expr/syntax.proto and checked.proto that are needed here are described; protobuf skips the rest.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "cel.expr"
_KINDS = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
}
# Message -> its fields as "label type name number": label `one` is an ordinary field, `many` repeated, anything else
# names the oneof that the field belongs to. Enumerations are read as their numbers.
_MESSAGES: dict[str, tuple[str, ...]] = {
    "Empty": (),
    "Ident": ("one string name 1",),
    "Select": ("one Expr operand 1", "one string field 2", "one bool test_only 3"),
    "Call": ("one Expr target 1", "one string function 2", "many Expr args 3"),
    "CreateList": ("many Expr elements 1", "many int32 optional_indices 2"),
    "CreateStruct": ("one string message_name 1",),
    "Comprehension": (
        "one string iter_var 1", "one Expr iter_range 2", "one string accu_var 3", "one Expr accu_init 4",
        "one Expr loop_condition 5", "one Expr loop_step 6", "one Expr result 7", "one string iter_var2 8",
    ),
    "Constant": (
        "kind int32 null_value 1", "kind bool bool_value 2", "kind int64 int64_value 3", "kind uint64 uint64_value 4",
        "kind double double_value 5", "kind string string_value 6", "kind bytes bytes_value 7",
    ),
    "Expr": (
        "one int64 id 2", "kind Constant const_expr 3", "kind Ident ident_expr 4", "kind Select select_expr 5",
        "kind Call call_expr 6", "kind CreateList list_expr 7", "kind CreateStruct struct_expr 8",
        "kind Comprehension comprehension_expr 9",
    ),
    "ListType": ("one Type elem_type 1",),
    "Type": (
        "kind Empty dyn 1", "kind int32 null 2", "kind int32 primitive 3", "kind int32 wrapper 4",
        "kind int32 well_known 5", "kind ListType list_type 6", "kind Empty map_type 7", "kind Empty function 8",
        "kind string message_type 9", "kind string type_param 10", "kind Type type 11", "kind Empty error 12",
        "kind Empty abstract_type 14",
    ),
    "Reference": ("one string name 1", "many string overload_id 3", "one Constant value 4"),
    # Maps travel as repeated entries of key and value.
    "ReferenceEntry": ("one int64 key 1", "one Reference value 2"),
    "TypeEntry": ("one int64 key 1", "one Type value 2"),
    "PositionEntry": ("one int64 key 1", "one int32 value 2"),
    "SourceInfo": ("many PositionEntry positions 4",),
    "CheckedExpr": (
        "many ReferenceEntry reference_map 2", "many TypeEntry type_map 3", "one Expr expr 4",
        "one SourceInfo source_info 5",
    ),
}  # fmt: skip


@cache
def _checked_expr_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="cel/expr/parts.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        oneofs: list[str] = []
        for text in fields:
            label, kind, field_name, number = text.split()
            field = message.field.add(name=field_name, number=int(number))
            field.label = field.LABEL_REPEATED if label == "many" else field.LABEL_OPTIONAL
            if kind in _KINDS:
                field.type = _KINDS[kind]
            else:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            if label not in ("one", "many"):
                if label not in oneofs:
                    oneofs.append(label)
                    message.oneof_decl.add(name=label)
                field.oneof_index = oneofs.index(label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


def decode(serialized: bytes) -> Any:
    """The `CheckedExpr` message inside the front end's `Any`."""
    wrapped = any_pb2.Any.FromString(serialized)
    if wrapped.type_url != "type.googleapis.com/cel.expr.CheckedExpr":
        raise ValueError(
            f"the front end serialized a {wrapped.type_url}, not a CheckedExpr: its version is not supported"
        )
    return _checked_expr_class().FromString(wrapped.value)
