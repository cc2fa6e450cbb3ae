"""What AWS wraps events into on their way: lists, Firehose and Kinesis records, SQS bodies, SNS notifications."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import orjson

from services.intake.adapters.fields import first

MAX_EVENTS = 1_000
MAX_WRAPPERS = 4


def events(body: Any) -> list[dict[str, Any]]:
    """The events in a body, whatever is around them; at most MAX_EVENTS."""
    return [event for event, _ in zip(_unwrapped(body, 0), range(MAX_EVENTS), strict=False)]


def _unwrapped(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > MAX_WRAPPERS:
        return
    if isinstance(value, list):
        for each in value:
            yield from _unwrapped(each, depth + 1)
        return
    if not isinstance(value, dict):
        return
    records = first(value, "Records", "records")
    if isinstance(records, list):
        for record in records:
            yield from _record(record, depth + 1)
    elif value.get("Type") == "Notification" and isinstance(value.get("Message"), str):
        yield from _text(value["Message"], depth + 1)
    else:
        yield value


def _record(record: Any, depth: int) -> Iterator[dict[str, Any]]:
    if not isinstance(record, dict):
        return
    kinesis, notification = record.get("kinesis"), record.get("Sns")
    data = kinesis.get("data") if isinstance(kinesis, dict) else record.get("data")
    if isinstance(data, str):
        try:
            yield from _text(base64.b64decode(data, validate=True).decode(), depth)
        except (binascii.Error, ValueError):
            return
    elif isinstance(record.get("body"), str):
        yield from _text(record["body"], depth)
    elif isinstance(notification, dict) and isinstance(notification.get("Message"), str):
        yield from _text(notification["Message"], depth)
    else:
        yield from _unwrapped(record, depth)


def _text(text: str, depth: int) -> Iterator[dict[str, Any]]:
    """JSON inside a text: one value, or one a line as Firehose joins them."""
    try:
        yield from _unwrapped(orjson.loads(text), depth)
    except orjson.JSONDecodeError:
        for line in text.splitlines():
            try:
                yield from _unwrapped(orjson.loads(line), depth)
            except orjson.JSONDecodeError:
                continue
