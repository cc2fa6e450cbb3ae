"""Contacts, statuses and the default policies, for tests of the domains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

from shared.contracts.complaints import Contact, Raw, Source, StatusReported
from shared.policy.document import load_policy
from shared.policy.evaluate import Policy

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@cache
def policy(service: str) -> Policy:
    """The default policy of a service."""
    name = f"{service}.retail.yaml"
    return load_policy((files(f"services.{service}") / "policy" / name).read_text(), origin=name)


def source(event_id: str = "e-1") -> Source:
    return Source(system="api", instance="shop-eu", record_id="T-1001", event_id=event_id)


def raw() -> Raw:
    return Raw(delivery_id=UUID(int=7), item=0, sha256="00" * 32, content_type="application/json")


def contact(after: timedelta = timedelta(), **fields: Any) -> Contact:
    """A contact `after` the start; `fields` override."""
    given: dict[str, Any] = {
        "source": source(),
        "occurred_at": START + after,
        "occurred_at_quality": "exact",
        "received_at": START + after,
        "channel": "email",
        "text": "The kettle leaks.",
        "raw": raw(),
    }
    return Contact.model_validate(given | fields)


def status(word: str, after: timedelta = timedelta()) -> StatusReported:
    return StatusReported(source=source(), status=word, occurred_at=START + after, received_at=START + after, raw=raw())  # type: ignore[arg-type]
