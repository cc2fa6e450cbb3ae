"""The JSON Schema of policy documents: what editors complete and check while somebody writes.

The checks that matter (conditions against facts, catalogue, tests) are those of `document.py`; this is the form alone.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from shared.policy import schemas
from shared.policy.guardrails import METRICS
from shared.policy.kinds import KINDS
from shared.policy.outcomes import Kind, Outcome
from shared.policy.shape import Document
from shared.text.drafts.rules import RulesDocument as DraftRulesDocument
from shared.text.reading.documents import LexiconDocument
from shared.text.reading.rules import RulesDocument as ReadingRulesDocument

_READ = "ReadingRules, DraftRules: how complaints and drafts are read, by the phrases of lexicons"

_DURATION = {"type": "string", "pattern": r"^(0|[1-9][0-9]*)(m|h|d|w|bm|bh|bd)$"}
_AMOUNT = {
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,4})? [A-Z]{3}$"},
        {"type": "object", "required": ["amount", "currency"]},
    ]
}


def document_schema() -> dict[str, Any]:
    """The schema of every kind of document, and of the lexicons beside reading and draft rules (they have no `kind`)."""
    models = (Document, ReadingRulesDocument, DraftRulesDocument, LexiconDocument)
    names, given = models_json_schema([(model, "validation") for model in models], by_alias=True)
    policy, reading, drafts, lexicon = (names[model, "validation"] for model in models)
    defs = given["$defs"]
    limits = defs["Guardrails"]["properties"]["limits"]
    limits["properties"] = {name: {"description": doc} for name, (_, doc) in METRICS.items()}
    defs[policy["$ref"].rpartition("/")[2]]["allOf"] = [_of_kind(name, kind) for name, kind in KINDS.items()]
    # An editor completes `kind` from here, and the rest from the form that it names.
    kinds = [*KINDS, "ReadingRules", "DraftRules"]
    about = [f"{name}: {kind.doc}" for name, kind in KINDS.items()] + [_READ]
    other = {
        "properties": {"kind": {"enum": kinds, "description": "\n".join(about)}},
        "required": ["kind"],
        "allOf": [
            {"if": _is("ReadingRules"), "then": reading},
            {"if": _is("DraftRules"), "then": drafts},
            {"if": {"properties": {"kind": {"enum": list(KINDS)}}, "required": ["kind"]}, "then": policy},
        ],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Amends policy",
        "type": "object",
        "if": {"anyOf": [{"required": [name]} for name in ("language", "labels", "lists", "forms")]},
        "then": lexicon,
        "else": other,
        "$defs": defs,
    }


def _is(kind: str) -> dict[str, Any]:
    return {"properties": {"kind": {"const": kind}}, "required": ["kind"]}


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
        "if": _is(name),
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
