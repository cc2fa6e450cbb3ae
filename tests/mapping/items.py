"""Reading payloads in the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from services.intake.adapters import ADAPTERS
from services.intake.submissions import ContactSubmission, Delivery, Item
from shared.contracts.complaints import Contact

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)


def read(adapter: str, body: str | bytes, mapping: str | None = None) -> list[Item]:
    data = body if isinstance(body, bytes) else body.encode()
    options = {} if mapping is None else {"mapping": mapping}
    return list(ADAPTERS[adapter].read(Delivery(UUID(int=1), "crm", NOW, "text/csv", {}, data, options=options)))


def contacts(adapter: str, body: str | bytes, mapping: str | None = None) -> list[Contact]:
    found = []
    for item in read(adapter, body, mapping):
        assert isinstance(item, ContactSubmission), item
        found.append(item.contact)
    return found


def json(value: Any) -> bytes:
    return orjson.dumps(value)
