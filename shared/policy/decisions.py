"""The recorded decisions as the commands read them from records: page by page, no personal data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from shared.cli.client import Client

Decision = dict[str, Any]


def pages(
    client: Client,
    *,
    since: datetime | None = None,
    service: str | None = None,
    read: Callable[[int, int], None] | None = None,
) -> Iterator[list[Decision]]:
    """All decisions from `since` on, in ledger order. `read` is told how many ledger rows were read, and of how many."""
    start: int | None = 0
    while start is not None:
        asked = f"/v1/decisions?start={start}"
        asked += f"&since={quote(since.isoformat())}" if since else ""
        asked += f"&service={service}" if service else ""
        page = client.get(asked)
        if read is not None:
            read((page["next"] or page["size"]) - start, page["size"])
        yield page["decisions"]
        start = page["next"]


def lines(found: Iterable[list[Decision]], policies: set[str]) -> Iterator[bytes]:
    """The decisions by these policies as blocks of lines, in the form that backtests take; those without facts are left out."""
    for page in found:
        block = b"".join(
            orjson.dumps(decision, option=orjson.OPT_APPEND_NEWLINE)
            for decision in page
            if decision["policy"] in policies and decision.get("facts") is not None
        )
        if block:
            yield block
