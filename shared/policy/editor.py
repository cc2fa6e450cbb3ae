"""The JSON Schema of policy documents: what editors complete and check while somebody writes.

The checks that matter (conditions against facts, catalogue, tests) are those of `document.py`; this is the form alone.
"""

from __future__ import annotations

from typing import Any

from shared.policy import schemas
from shared.policy.guardrails import METRICS
from shared.policy.kinds import KINDS
from shared.policy.outcomes import Kind, Outcome
from shared.policy.shape import Document

_DURATION = {"type": "string", "pattern": r"^(0|[1-9][0-9]*)(m|h|d|w|bm|bh|bd)$"}
_AMOUNT = {
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,4})? [A-Z]{3}$"},
        {"type": "object", "required": ["amount", "currency"]},
    ]
}


def document_schema() -> dict[str, Any]:
    """The schema of every kind of document; what can be decided depends on `kind`."""
    schema = Document.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Amends policy", **schema}
    schema["properties"]["kind"]["description"] = "\n".join(f"{name}: {kind.doc}" for name, kind in KINDS.items())
    limits = schema["$defs"]["Guardrails"]["properties"]["limits"]
    limits["properties"] = {name: {"description": doc} for name, (_, doc) in METRICS.items()}
    schema["allOf"] = [_of_kind(name, kind) for name, kind in KINDS.items()]
    return schema


def _of_kind(name: str, kind: Kind) -> dict[str, Any]:
    outcomes = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _of_outcome(outcome) for key, outcome in kind.outcomes.items()},
    }
    required = [key for key, outcome in kind.outcomes.items() if outcome.required]
    spec = {
        "facts": {"enum": list(schemas.versions(kind.service))},
        "rules": {"items": {"properties": {"then": {**outcomes, "minProperties": 1}}}},
        "default": {**outcomes, "required": required} if required else outcomes,
        "aggregate": {"propertyNames": {"enum": [key for key, each in kind.outcomes.items() if each.ordered]}},
    }
    return {
        "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
        "then": {"properties": {"spec": {"properties": spec}}},
    }


def _of_outcome(outcome: Outcome) -> dict[str, Any]:
    shape: dict[str, Any]
    match outcome.kind:
        case "int":
            shape = {"type": "integer", "minimum": outcome.minimum, "maximum": outcome.maximum}
        case "duration":
            shape = _DURATION
        case "word":
            shape = {"enum": list(outcome.values)}
        case "name":
            shape = {"type": "string"}
        case "words":
            shape = {"type": "array", "items": {"enum": list(outcome.values)} if outcome.values else {"type": "string"}}
        case "money":
            shape = {"type": "object", "minProperties": 1, "additionalProperties": _AMOUNT}
        case "clocks":
            shape = {"type": "object", "minProperties": 1, "additionalProperties": _DURATION}
    return {**shape, "description": outcome.doc}
