"""CloudEvents 1.0 over HTTP: binary, structured and batch. The data is a canonical item; `id` is its idempotency key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.intake.adapters.canonical import MAX_ITEMS, loosened, read_item
from services.intake.submissions import Delivery, Item, Rejection, Unreadable

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class CloudEvents:
    """Reads CloudEvents. What the data leaves out is taken from the attributes: event id, record (subject), time, type."""

    name = "cloudevents"

    def read(self, delivery: Delivery) -> Sequence[Item]:
        if delivery.content_type == BATCH:
            events = _loads(delivery.body)
            if not isinstance(events, list):
                raise Unreadable(400, "Malformed batch", "A CloudEvents batch is a JSON array of events.")
            if len(events) > MAX_ITEMS:
                raise Unreadable(
                    413, "Too many items", f"One batch holds at most {MAX_ITEMS} events; this one has {len(events)}."
                )
        elif delivery.content_type == STRUCTURED:
            events = [_loads(delivery.body)]
        elif "ce-specversion" in delivery.headers or "ce_specversion" in delivery.headers:  # of HTTP, of Kafka
            attributes = {name[3:]: value for name, value in delivery.headers.items() if name.startswith(("ce-", "ce_"))}
            data = _loads(delivery.body) if "json" in delivery.content_type else delivery.body.decode("utf-8", "replace")
            events = [{**attributes, "data": data}]
        else:
            # Some senders of structured events and batches call them plain JSON: the attribute that all have tells.
            given = _loads(delivery.body) if delivery.body.lstrip()[:1] in (b"{", b"[") else None
            events = given if isinstance(given, list) else [given]
            if not any(isinstance(event, Mapping) and "specversion" in event for event in events[:MAX_ITEMS]):
                raise Unreadable(
                    415,
                    "Not a CloudEvent",
                    f"Send {STRUCTURED}, {BATCH}, or JSON with the ce-* headers of the binary mode.",
                )
            if len(events) > MAX_ITEMS:
                raise Unreadable(413, "Too many items", f"One batch holds at most {MAX_ITEMS} events; this one has {len(events)}.")
        return [_item(delivery, number, event) for number, event in enumerate(events)]


def _item(delivery: Delivery, number: int, event: Any) -> Item:
    if not isinstance(event, Mapping):
        return Rejection(None, "event", "each event must be a JSON object")
    for attribute in ("id", "source", "specversion", "type"):
        value = event.get(attribute)
        if not isinstance(value, str) or not value:
            return Rejection(None, attribute, "is a required attribute of a CloudEvent")
    if event["specversion"] != "1.0":
        return Rejection(event["id"], "specversion", "must be 1.0: no other version of CloudEvents is read")
    data = event.get("data")
    if data is None and isinstance(event.get("data_base64"), str):
        data = _decoded(event["data_base64"])
    if isinstance(data, str) and data.strip():
        data = {"text": data}
    if not isinstance(data, dict):
        return Rejection(event["id"], "data", "must be a canonical complaint as a JSON object")
    # `source` and `id` together name an event; the key's source stands for ours, so theirs goes into the id.
    event_id = f"{event['source']}#{event['id']}"
    defaults = {"event_id": event_id, "event_type": event["type"][:255], "system": "cloudevents"}
    if event.get("subject"):
        defaults["record_id"] = event["subject"]
    elif isinstance(data.get("text"), str) and data["text"].strip():
        defaults["record_id"] = event_id
    if event.get("time"):
        defaults["occurred_at"] = event["time"]
    return read_item(delivery, number, loosened({**defaults, **{k: v for k, v in data.items() if v is not None}}))


def _decoded(data: str) -> Any:
    """`data_base64`: bytes that are JSON, or text."""
    try:
        decoded = base64.b64decode(data, validate=True)
        return orjson.loads(decoded) if decoded.lstrip()[:1] in (b"{", b"[") else decoded.decode()
    except (binascii.Error, ValueError):
        return None


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = f"The body is not JSON in UTF-8: {error.msg} (line {error.lineno}, column {error.colno})."
        raise Unreadable(400, "Malformed JSON", detail) from None
