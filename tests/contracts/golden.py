"""Whole events as files: what today's code writes must equal them, and what it wrote before must stay readable.

    golden/{type}/{name}.json          written by today's code, to the byte
    golden/{type}/{name}.older.json    written by an earlier release: must be readable
    golden/{type}/{name}.newer.json    written by a later release (unknown fields and values): must be readable

An additive change that alters what is written (a new field with a default) makes `x.json` into `x.older.json`, and gets
a new `x.json`. A file is never edited.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent / "golden"
ID_KEY = bytes(range(32))
"""The id key of the golden events: their ids are derived from it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as the codec reads it."""

    headers: Any
    value: bytes | None
    key: bytes | None = None
    topic: str = "prod.complaints"
    partition: int = 4
    offset: int = 90_071


@dataclass(frozen=True, slots=True)
class Golden:
    """One file. `data` is the JSON as it stands there, `value` its bytes as they go to Kafka."""

    name: str
    kind: Literal["today", "older", "newer"]
    topic: str
    record: Record
    data: dict[str, Any]

    @property
    def type(self) -> str:
        return self.name.split("/")[0]


@cache
def every() -> tuple[Golden, ...]:
    return tuple(_read(path) for path in sorted(FOLDER.glob("*/*.json")))


def of_kind(*kinds: str) -> list[Golden]:
    return [golden for golden in every() if golden.kind in kinds]


def compact(data: Any) -> bytes:
    """JSON as it goes to Kafka: no blanks, UTF-8."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def _read(path: Path) -> Golden:
    document = json.loads(path.read_text())
    name, *kind = path.name.removesuffix(".json").split(".")
    return Golden(
        name=f"{path.parent.name}/{name}",
        kind=kind[0] if kind else "today",  # type: ignore[arg-type]
        topic=document["topic"],
        record=Record(
            headers=tuple((header, value.encode()) for header, value in document["headers"].items()),
            value=compact(document["data"]),
            key=bytes.fromhex(document["key"]),
        ),
        data=document["data"],
    )
