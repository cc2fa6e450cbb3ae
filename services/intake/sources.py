"""Sources: each has a name, an adapter, a way to be verified, and secrets that are stored encrypted.

A source's name is part of every complaint's identity: it stays. Processes keep the sources in memory and load them again every
ten seconds, so that a new secret works, and a disabled source stops, within that time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson
import structlog

from shared.vault import CannotOpen, KeyStore

if TYPE_CHECKING:
    import asyncpg

    from shared.postgres.pool import Connection

    Direct = Connection | asyncpg.Connection[asyncpg.Record]

log = structlog.get_logger(__name__)

REFRESH_S = 10.0
STALE_S = 300.0  # how long what was loaded before still serves when the database does not answer
LIVE = 2  # signing secrets at a time
Purpose = Literal["signing", "token"]

LOAD = """
select name, adapter, auth, options, created_at, disabled_at from source order by name
"""
LOAD_SECRETS = "select source, purpose, wrapped from source_secret order by source, id desc"
ADD = "insert into source (name, adapter, auth, options) values ($1, $2, $3, $4::text::json)"
ADD_SECRET = "insert into source_secret (source, purpose, wrapped) values ($1, $2, $3)"  # noqa: S105
# The oldest beyond the newest $3 are forgotten for good.
FORGET = """
delete from source_secret where source = $1 and purpose = $2 and id not in (
    select id from source_secret where source = $1 and purpose = $2 order by id desc limit $3
)
"""
DISABLE = "update source set disabled_at = app_now() where name = $1 and disabled_at is null returning name"
SET_OPTIONS = "update source set options = $2::text::json where name = $1 and disabled_at is null returning name"
# Texts that waited for a token, or were given up.
ASK_AGAIN = "update text_fetch set due_at = app_now(), attempts = 0 where source = $1"
ONE = "select adapter, auth, options from source where name = $1 and disabled_at is null"
COUNT_TEXTS = """
select source, count(*) filter (where due_at < 'infinity') as waiting, count(*) filter (where due_at = 'infinity') as stopped,
    max(problem) as problem
from text_fetch group by 1
"""
COUNT_SECRETS = "select source, purpose, count(*) as live from source_secret group by 1, 2"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One source as it is used. `secrets`: any of them verifies; `token` opens the system's API."""

    name: str
    adapter: str
    auth: str
    options: Mapping[str, Any]
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    token: str | None = field(default=None, repr=False)


class SourcesUnavailable(Exception):
    """The sources could not be loaded for too long: nobody can be verified."""


Load = Callable[[], Awaitable[Sequence[SourceRecord]]]


class Sources:
    """The sources in memory, loaded when they are older than ten seconds (for an unknown name at most once a second)."""

    def __init__(self, load: Load, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._monotonic = monotonic
        self._records: dict[str, SourceRecord] = {}
        self._loaded_at: float | None = None
        self._tried_at = float("-inf")
        self._loading = asyncio.Lock()

    async def get(self, name: str) -> SourceRecord | None:
        """The source, or None when there is none of that name in use. Raises SourcesUnavailable."""
        now = self._monotonic()
        fresh = self._loaded_at is not None and now - self._loaded_at < REFRESH_S
        if not fresh or name not in self._records:
            await self.refresh()
        if self._loaded_at is None or self._monotonic() - self._loaded_at > REFRESH_S + STALE_S:
            raise SourcesUnavailable
        return self._records.get(name)

    async def refresh(self) -> None:
        """Load again, unless that was tried less than a second ago."""
        if self._monotonic() - self._tried_at < 1.0:
            return
        async with self._loading:
            started = self._monotonic()
            if started - self._tried_at < 1.0:
                return
            try:
                records = await self._load()
            except Exception as error:
                log.warning("sources not loaded; those in memory serve on", error=type(error).__name__)
            else:
                self._records = {record.name: record for record in records}
                self._loaded_at = started
            self._tried_at = self._monotonic()

    def all(self) -> list[SourceRecord]:
        """All sources in use as they were last loaded, by name."""
        return sorted(self._records.values(), key=lambda record: record.name)

    def adapter(self, name: str) -> str | None:
        """The adapter of a source as it was last loaded."""
        record = self._records.get(name)
        return None if record is None else record.adapter

    def record(self, name: str) -> SourceRecord | None:
        """A source as it was last loaded."""
        return self._records.get(name)

    def options(self, name: str) -> Mapping[str, Any]:
        """The settings of a source as they were last loaded."""
        record = self._records.get(name)
        return {} if record is None else record.options


async def load(conn: Direct, keys: KeyStore) -> list[SourceRecord]:
    """All sources in use, their secrets opened. One whose secrets cannot be opened verifies nobody."""
    secrets: dict[str, dict[str, list[bytes]]] = {}
    for row in await conn.fetch(LOAD_SECRETS):
        try:
            opened = keys.unwrap(row["wrapped"], _place(row["source"], row["purpose"]))
        except CannotOpen as problem:
            log.error("the secret of a source cannot be opened", source=row["source"], reason=str(problem))
            continue
        secrets.setdefault(row["source"], {}).setdefault(row["purpose"], []).append(opened)
    found = []
    for row in await conn.fetch(LOAD):
        if row["disabled_at"] is None:
            own = secrets.get(row["name"], {})
            token = next(iter(own.get("token", ())), None)
            found.append(
                SourceRecord(
                    row["name"],
                    row["adapter"],
                    row["auth"],
                    orjson.loads(row["options"]),
                    tuple(own.get("signing", ())[:LIVE]),
                    None if token is None else token.decode(),
                )
            )
    return found


async def add(conn: Direct, name: str, adapter: str, auth: str, options: Mapping[str, Any]) -> None:
    """A new source. Raises asyncpg.UniqueViolationError when the name was used before."""
    await conn.execute(ADD, name, adapter, auth, orjson.dumps(dict(options)).decode())


async def add_secret(
    conn: Direct, keys: KeyStore, name: str, purpose: Purpose, secret: str, *, live: int = LIVE
) -> None:
    """One more secret of a source; the newest `live` of its purpose stay."""
    await conn.execute(ADD_SECRET, name, purpose, keys.wrap(secret.encode(), _place(name, purpose)))
    await conn.execute(FORGET, name, purpose, live)


def _place(name: str, purpose: str) -> bytes:
    return f"source/{purpose}/{name}".encode()
