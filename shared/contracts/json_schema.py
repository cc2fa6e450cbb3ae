"""JSON Schemas (2020-12) of the events as they are written, from the models.

Objects are open: readers ignore fields that they do not know.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.contracts.envelope import FALLBACKS, EventData
from shared.contracts.topics import EVENTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Marks an enumeration that may get new values inside a version, and what readers take an unknown one as.
READS_AS = "x-unknown-reads-as"
_WRITTEN: JsonSchemaMode = "serialization"


def event_schema(event: type[EventData]) -> dict[str, Any]:
    """The schema of one event type's data."""
    schema = _clean(event.model_json_schema(mode=_WRITTEN))
    return {"$schema": DIALECT, "$id": f"urn:amends:schema:{event.TYPE}", **schema}


def shared_definitions(events: Sequence[type[BaseModel]], ref_template: str) -> dict[str, Any]:
    """The schemas of `events` and of all their parts by name, pointing to each other by `ref_template`."""
    _, schemas = models_json_schema([(event, _WRITTEN) for event in events], ref_template=ref_template)
    return {name: _clean(schema) for name, schema in sorted(schemas["$defs"].items())}


def json_schemas() -> dict[str, str]:
    """File name -> text of the schema, one for each event type."""
    return {
        f"{name}.json": json.dumps(event_schema(event), indent=2, ensure_ascii=False) + "\n"
        for name, event in EVENTS.items()
    }


def meaning(event: type[BaseModel]) -> str:
    """What the event says: its docstring, as one paragraph."""
    return " ".join((inspect.getdoc(event) or event.__name__).split())


def _clean(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the library's noise: no null (absent fields are left out), no title that repeats a name."""
    schema = _without_null(schema)
    is_object = "properties" in schema
    cleaned: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "default":
            if value is not None:
                cleaned[keyword] = _without_nulls(value)
        elif keyword in ("properties", "$defs"):
            cleaned[keyword] = {name: _clean(part) for name, part in value.items()}
        elif keyword == "anyOf":
            cleaned[keyword] = [_clean(branch) for branch in value]
        elif keyword in ("items", "additionalProperties") and isinstance(value, dict):
            cleaned[keyword] = _clean(value)
        elif keyword != "title" or is_object:
            cleaned[keyword] = value
    fallback = next((value for value in FALLBACKS if value in schema.get("enum", ())), None)
    if fallback is not None:
        cleaned[READS_AS] = fallback
    return {keyword: cleaned[keyword] for keyword in sorted(cleaned, key=_reading_order)}


def _reading_order(keyword: str) -> int:
    # These files are read by people.
    return {"title": -3, "description": -2, "type": -1, "$defs": 1}.get(keyword, 0)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    branches = schema.get("anyOf", [])
    kept = [branch for branch in branches if branch != {"type": "null"}]
    if len(kept) == len(branches):
        return schema
    rest = {keyword: value for keyword, value in schema.items() if keyword != "anyOf"}
    return {**kept[0], **rest} if len(kept) == 1 else {"anyOf": kept, **rest}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return value
