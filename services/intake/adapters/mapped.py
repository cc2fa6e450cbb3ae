"""Any JSON by a mapping file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from services.intake.adapters import fields
from services.intake.adapters.expressions import ValueFailed
from services.intake.adapters.mapped_item import read_item
from services.intake.adapters.mapping import Kind, MappingFile, MappingRefused
from services.intake.adapters.mapping_reader import load
from services.intake.submissions import Delivery, Item, Unreadable

MAX_ITEMS = 10_000


class Mapped:
    """Reads JSON or NDJSON by the mapping file of the source (option `mapping`)."""

    name = "mapped"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        mapping = mapping_of(delivery, "json")
        value = _json(delivery)
        try:
            found = value if mapping.items is None else mapping.items(value)
        except ValueFailed as failed:
            raise Unreadable(422, "Nothing found", f"`items` of the mapping: {failed}") from None
        if mapping.items is not None and found is None:
            raise Unreadable(422, "Nothing found", "`items` of the mapping finds nothing in this body")
        items = found if isinstance(found, list) else [found]
        if len(items) > MAX_ITEMS:
            raise Unreadable(
                413, "Too many items", f"One delivery holds at most {MAX_ITEMS} items; this one has {len(items)}."
            )
        return [read_item(delivery, mapping, number, item) for number, item in enumerate(items)]


def mapping_of(delivery: Delivery, kind: Kind) -> MappingFile:
    """The mapping of the delivery's source. Raises Unreadable when it has none, or one that is wrong."""
    text = delivery.options.get("mapping")
    if not isinstance(text, str) or not text.strip():
        detail = "this source has no mapping file; draft one with: amends intake map new PAYLOAD"
        raise Unreadable(422, "No mapping", detail)
    try:
        return load(text, kind)
    except MappingRefused as refused:
        raise Unreadable(
            422, "Mapping refused", f"the mapping of this source cannot be used: {refused.told('mapping')}"
        ) from None


def json_items(delivery: Delivery) -> list[Any]:
    """The values of the body as a list: of one, of the list that it is, or of the lines of NDJSON."""
    value = _json(delivery)
    return value if isinstance(value, list) else [value]


def _json(delivery: Delivery) -> Any:
    """The body: one JSON value, or a list with one for each line of NDJSON."""
    if delivery.content_type == "application/x-ndjson":
        return [fields.json_of(line) for line in delivery.body.split(b"\n") if line.strip()]
    try:
        return fields.json_of(delivery.body)
    except Unreadable:
        lines = [line for line in delivery.body.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise
        try:
            return [orjson.loads(line) for line in lines]
        except orjson.JSONDecodeError:
            pass
        raise
