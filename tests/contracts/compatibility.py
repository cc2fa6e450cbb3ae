"""May this schema replace the released one inside a version? Additive changes only.

Both directions count: consumers out there read what we write tomorrow with the schema of yesterday, and we read again
what we wrote yesterday (Kafka keeps days, the ledger years). So a constraint can neither be tightened nor loosened.

Admitted: a new optional field of an open object; a new value of an enumeration that is marked `x-unknown-reads-as`,
because every reader takes a value it does not know as the one named there; other words in titles and descriptions.
All else is a new version of the event.

`jsoncompat` judges what is left after the rules here. The rules are for what it gets wrong: it does not look at `pattern`
and `format`, and refuses optional fields on open objects. Defaults are ours too: they are what an absent field means.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.contracts.json_schema import READS_AS

jsoncompat = pytest.importorskip("jsoncompat", reason="it has no wheels for this Python")

Schema = dict[str, Any]
ANNOTATIONS = {"$schema", "$id", "$comment", "$defs", "title", "description", "examples"}
SAME = ("pattern", "format", "default", "additionalProperties")


def problems(released: Schema, today: Schema) -> list[str]:
    """What breaks somebody, as sentences with the place; empty when `today` may replace `released`."""
    return _Comparison(released, today).at("", released, today)


class _Comparison:
    def __init__(self, released: Schema, today: Schema) -> None:
        self._defs = (released.get("$defs", {}), today.get("$defs", {}))

    def at(self, place: str, old: Schema, new: Schema) -> list[str]:
        old, new = _resolved(old, self._defs[0]), _resolved(new, self._defs[1])
        found = [
            *self._fields(place, old, new),
            *self._values(place, old, new),
            *self._parts(place, old, new),
            *(
                f"{place or 'event'}: {keyword} changed from {old.get(keyword)!r} to {new.get(keyword)!r}"
                for keyword in SAME
                if not (
                    isinstance(old.get(keyword), dict) and isinstance(new.get(keyword), dict) and keyword in _NESTED
                )
                and old.get(keyword) != new.get(keyword)
            ),
        ]
        return found or self._rest(place, old, new)

    def _fields(self, place: str, old: Schema, new: Schema) -> list[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        found = [f"{place}.{name}: removed" for name in before if name not in after]
        for name in after:
            if name in before:
                found += [f"{place}.{name}: is required now"] * (name in now - was)
                found += [f"{place}.{name}: is no longer required"] * (name in was - now)
                found += self.at(f"{place}.{name}", before[name], after[name])
            elif name in now:
                found.append(f"{place}.{name}: new and required")
            elif old.get("additionalProperties") is False:
                found.append(f"{place}.{name}: new in a closed object")
        return found

    def _values(self, place: str, old: Schema, new: Schema) -> list[str]:
        before, after = old.get("enum"), new.get("enum")
        found = []
        if old.get(READS_AS) != new.get(READS_AS):
            found.append(f"{place}: {READS_AS} changed from {old.get(READS_AS)!r} to {new.get(READS_AS)!r}")
        if before is not None and after is not None:
            found += [f"{place}: value {value!r} removed" for value in before if value not in after]
            if READS_AS not in old:
                found += [
                    f"{place}: value {value!r} added to a closed enumeration" for value in after if value not in before
                ]
        return found

    def _parts(self, place: str, old: Schema, new: Schema) -> list[str]:
        found = []
        for keyword, sign in _NESTED.items():
            before, after = old.get(keyword), new.get(keyword)
            if isinstance(before, dict) and isinstance(after, dict):
                found += self.at(f"{place}{sign}", before, after)
        branches, others = old.get("anyOf", []), new.get("anyOf", [])
        if len(branches) == len(others):
            for number, (before, after) in enumerate(zip(branches, others, strict=True)):
                found += self.at(f"{place}|{number}", before, after)
        return found

    def _rest(self, place: str, old: Schema, new: Schema) -> list[str]:
        before, after = _own(old, new), _own(new, old)
        if before == after or jsoncompat.check_compat(
            _with_defs(before, self._defs[0]), _with_defs(after, self._defs[1]), "both"
        ):
            return []
        changed = sorted(keyword for keyword in {*before, *after} if before.get(keyword) != after.get(keyword))
        return [f"{place or 'event'}: {', '.join(changed)} changed"]


_NESTED = {"items": "[]", "additionalProperties": ".*"}


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    while "$ref" in schema:
        target = definitions[schema["$ref"].removeprefix("#/$defs/")]
        schema = {**target, **{keyword: value for keyword, value in schema.items() if keyword != "$ref"}}
    return schema


def _own(schema: Schema, other: Schema) -> Schema:
    """What the rules above have not judged."""
    judged = ANNOTATIONS | {*SAME, READS_AS, "properties", "required"}
    judged |= {keyword for keyword in ("enum", "items") if keyword in schema and keyword in other}
    if len(schema.get("anyOf", [])) == len(other.get("anyOf", [])):
        judged.add("anyOf")
    return {keyword: value for keyword, value in schema.items() if keyword not in judged}


def _with_defs(schema: Schema, definitions: dict[str, Schema]) -> str:
    return json.dumps({**schema, "$defs": definitions})
